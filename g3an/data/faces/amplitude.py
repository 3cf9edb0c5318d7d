"""How much of its expression a face shows, as far as it can be seen."""

from __future__ import annotations

import numpy as np

from g3an.data.faces.factors import FRAMES, MOTION
from g3an.data.faces.head import head
from g3an.data.faces.motion import expression_units, poses
from g3an.data.layouts import EXPRESSIONS


def amplitude(dataset: str, motion: np.ndarray, frames: int = FRAMES) -> np.ndarray:
    """How much of the full expression each frame shows: a mean of its face units, as they weigh at its apex.

    Unlike ``strength`` of :func:`g3an.data.faces.motion.courses` it counts what is seen, with the gains of brows and
    mouth and the weaker half of the face: intensity 1 with gains of 0.8 looks as intensity 0.8 with gains of 1 does.

    Parameters
    ----------
    dataset, motion, frames
        As of :func:`g3an.data.faces.motion.courses`.

    Returns
    -------
    np.ndarray
        ``(frames,)``, from 0 to about 1.1.
    """
    names = [factor.name for factor in MOTION[dataset]]
    expression = EXPRESSIONS[int(motion[names.index("expression")])] if "expression" in names else "happy"
    # Lids also close in blinks, which are no part of the expression.
    counted = [not unit.startswith("eyeBlink") for unit in head().units]
    shown = np.stack([pose.units for pose in poses(dataset, motion, frames)])[:, counted]
    return np.asarray(shown.sum(1) / expression_units(expression)[counted].sum())
