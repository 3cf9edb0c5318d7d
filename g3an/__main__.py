"""``python -m g3an``, the same as ``g3an``."""

from g3an.cli import main

main()
