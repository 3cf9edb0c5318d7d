"""Saving and loading small networks that read clips."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from g3an.errors import G3ANError
from g3an.files import atomic_write

_COUNTS = "num_batches_tracked"  # of batch norms: nothing that reading needs


def save_probe(network: nn.Module, path: Path) -> None:
    """Write the weights in half precision, atomically."""
    state = network.state_dict().items()
    content = {name: value.half().contiguous() for name, value in state if not name.endswith(_COUNTS)}
    with atomic_write(path) as temporary:
        save_file(content, temporary)


def load_probe(network: nn.Module, path: str | Path, what: str) -> None:
    """Read weights that :func:`save_probe` wrote into ``network``, and set it to evaluation mode.

    Raises
    ------
    G3ANError
        The file is missing, damaged or of another network; the sentence names ``what`` is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise G3ANError(f"There is no {what} {os.fspath(path)}.")
    try:
        content = {name: value.float() for name, value in load_file(path).items()}
    except OSError as error:
        raise G3ANError(f"{path} cannot be read: {error.strerror}.") from None
    except SafetensorError as error:
        raise G3ANError(f"{path} is damaged ({error}); install the package again.") from None
    wanted = {name: value.shape for name, value in network.state_dict().items() if not name.endswith(_COUNTS)}
    found = {name: value.shape for name, value in content.items()}
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            raise G3ANError(f"{path} holds another network: {name} does not fit.")
    network.load_state_dict(content, strict=False)
    network.eval()
