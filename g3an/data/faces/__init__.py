"""Simulated faces: a parametric head, its factors, and the sets ``mug-sim`` and ``uva-nemo-sim``."""
