"""From motion factors to the pose of each frame: weighted face units with onset, apex and end."""

from __future__ import annotations

import numpy as np

from g3an.data.faces.factors import ASYMMETRY, FRAMES, MOTION, RATE, TIMING
from g3an.data.faces.head import head
from g3an.data.faces.render import Pose
from g3an.data.layouts import EXPRESSIONS

# Strength of each unit at the apex; a name without a side means both halves.
_UNITS = {
    "sad": {"browInnerUp": 1.0, "browDown": 0.15, "mouthFrown": 1.0, "mouthShrugLower": 0.7, "eyeSquint": 0.35,
            "eyeBlink": 0.22, "mouthRollLower": 0.2},
    "anger": {"browDown": 1.0, "noseSneer": 0.35, "mouthPress": 0.8, "eyeSquint": 0.55, "mouthFrown": 0.25,
              "mouthRollUpper": 0.4, "mouthRollLower": 0.4, "jawForward": 0.3},
    "surprise": {"browInnerUp": 1.0, "browOuterUp": 1.0, "eyeWide": 0.9, "jawOpen": 0.75, "mouthFunnel": 0.35},
    "disgust": {"noseSneer": 1.0, "browDown": 0.55, "mouthUpperUp": 0.9, "mouthFrown": 0.35, "eyeSquint": 0.7,
                "cheekSquint": 0.7, "mouthLowerDown": 0.25, "jawOpen": 0.06},
    "happy": {"mouthSmile": 1.0, "cheekSquint": 0.8, "mouthUpperUp": 0.45, "jawOpen": 0.16, "eyeSquint": 0.25,
              "mouthDimple": 0.4, "mouthLowerDown": 0.15},
    "fear": {"browInnerUp": 1.0, "browOuterUp": 0.5, "browDown": 0.35, "eyeWide": 1.0, "mouthStretch": 1.0,
             "jawOpen": 0.32, "mouthLowerDown": 0.7},
}  # fmt: skip

BLINK = 0.28
"""Seconds from open over closed to open."""


def expression_units(name: str) -> np.ndarray:
    """The apex of an expression: weights of all units, float32 ``(len(head().units),)``."""
    units = head().units
    weights = np.zeros(len(units), np.float32)
    for unit, strength in _UNITS[name].items():
        for side in ("", "Left", "Right"):
            if unit + side in units:
                weights[units.index(unit + side)] = strength
    return weights


COURSES = {"strength": "", "blink": "", "yaw": "degrees", "pitch": "degrees", "roll": "degrees"}
"""What runs through a clip, and its unit: strength of the expression and closure of the lids in [0, 1], turns of the
head as in the factors of the same names."""


def courses(dataset: str, motion: np.ndarray, frames: int = FRAMES) -> dict[str, np.ndarray]:
    """What a vector of motion factors makes of each frame: for each of ``COURSES`` an array ``(frames,)``."""
    f = {factor.name: float(value) for factor, value in zip(MOTION[dataset], motion, strict=True)}
    times = np.arange(frames) / RATE
    strength = f["intensity"] * envelope(times, *(
        low + f[name] * (high - low)
        for name, (low, high) in zip(("onset", "rise", "apex", "fall"), TIMING[_kind(f)], strict=True)
    ))  # fmt: skip
    closed = np.clip(1 - np.abs(times - f["blink"]) / (BLINK / 2), 0, 1)
    # Drift runs along half a wave, so that the head comes to rest at both ends.
    drift = -0.5 * np.cos(np.pi * times / times[-1])
    turns = {name: f[name] + f[f"{name}_drift"] * drift for name in ("yaw", "pitch", "roll")}
    return {"strength": strength, "blink": closed * closed * (3 - 2 * closed), **turns}


def poses(dataset: str, motion: np.ndarray, frames: int = FRAMES) -> list[Pose]:
    """The pose of each frame that a vector of motion factors describes."""
    f = {factor.name: float(value) for factor, value in zip(MOTION[dataset], motion, strict=True)}
    kind = _kind(f)
    apex = expression_units(EXPRESSIONS[int(f["expression"])] if kind == "expression" else "happy")
    apex = apex * _gains(f, ASYMMETRY[kind])
    course = courses(dataset, motion, frames)
    yaw, pitch, roll = (np.radians(course[name]) for name in ("yaw", "pitch", "roll"))
    gaze = (np.radians(f["gaze_x"]), np.radians(f["gaze_y"]))
    lids = [number for number, name in enumerate(head().units) if name.startswith("eyeBlink")]
    out = []
    for t in range(frames):
        units = np.clip(apex * course["strength"][t], 0, 1)
        units[lids] = np.maximum(units[lids], course["blink"][t])
        out.append(Pose(units, float(yaw[t]), float(pitch[t]), float(roll[t]), gaze=gaze))
    return out


def _kind(f: dict[str, float]) -> str:
    return "expression" if "expression" in f else "posed" if f["posed"] else "spontaneous"


def envelope(times: np.ndarray, onset: float, rise: float, apex: float, fall: float) -> np.ndarray:
    """Strength over time in [0, 1]: 0 until ``onset``, 1 for ``apex`` seconds, both slopes without jerk (quintic)."""
    up = np.clip((times - onset) / rise, 0, 1)
    down = np.clip((times - onset - rise - apex) / fall, 0, 1)
    return up**3 * (10 - 15 * up + 6 * up * up) - down**3 * (10 - 15 * down + 6 * down * down)


def _gains(f: dict[str, float], most: float) -> np.ndarray:
    gains = np.ones(len(head().units), np.float32)
    weaker = "Right" if f["asymmetry"] < 0 else "Left"
    for number, name in enumerate(head().units):
        gains[number] = f["brow_gain"] if name.startswith(("brow", "eye")) else f["mouth_gain"]
        if name.endswith(weaker):
            gains[number] *= 1 - most * abs(f["asymmetry"])
    return gains
