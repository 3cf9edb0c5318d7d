"""The factors that a simulated clip is drawn from: what a person looks like, and what the face does.

Both are vectors of named numbers. Each is drawn independently of all others, which is what makes it possible to
measure how a network disentangles them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FRAMES = 24
"""Of a clip."""

RATE = 12.5
"""Frames a second: every second one of a camera with 25, or every fourth of UvA-NEMO's 50."""

HAIR_STYLES = ("shaved", "cropped", "short", "swept", "fringe", "receding", "afro", "long", "long with fringe")


@dataclass(frozen=True)
class Factor:
    """One number of a clip's description: uniform in [low, high], or normal within it where ``spread`` is given.

    ``odd`` ones change their sign in a mirror, the others are the same there.
    """

    name: str
    low: float
    high: float
    unit: str
    meaning: str
    spread: float = 0.0
    whole: bool = False
    odd: bool = False


def _shape(name: str, meaning: str, spread: float = 0.33) -> Factor:
    return Factor(name, -1, 1, "1 = full strength of the target", meaning, spread=spread)


APPEARANCE = (
    Factor("sex", 0, 1, "", "shape of the head, from female (0) to male (1)"),
    Factor("age", 18, 75, "years", "shape and folds of the head"),
    Factor("base_1", 0, 1, "", "with base_2: place between the asset's three base heads, uniform over the triangle"),
    Factor("base_2", 0, 1, "", "see base_1"),
    _shape("head_width", "narrow to wide"),
    _shape("head_height", "low to high"),
    _shape("fullness", "lean to full"),
    _shape("forehead", "low to high"),
    _shape("cheek_bones", "flat to prominent"),
    _shape("cheeks", "hollow to full"),
    _shape("chin_width", "narrow to wide"),
    _shape("chin_height", "short to long"),
    _shape("chin_forward", "receding to prominent"),
    _shape("nose_width", "narrow to wide"),
    _shape("nose_length", "short to long"),
    _shape("nose_depth", "flat to protruding"),
    _shape("nose_hump", "hollow to humped bridge"),
    _shape("nose_point", "tip down to tip up"),
    _shape("mouth_width", "narrow to wide"),
    _shape("mouth_height", "mouth lower to higher"),
    _shape("upper_lip", "thin to full"),
    _shape("lower_lip", "thin to full"),
    _shape("eye_size", "small to large"),
    _shape("eye_height", "eyes lower to higher"),
    _shape("eye_slant", "outer corners down to up"),
    _shape("brow_height", "brows lower to higher"),
    _shape("ear_size", "small to large"),
    _shape("ear_wing", "close to the head to standing off"),
    Factor("skin_tone", 0, 1, "", "from the lightest (0) to the darkest (1) skin"),
    Factor("skin_red", 0, 1, "", "from sallow (0) to ruddy (1)"),
    Factor("hair_style", 0, len(HAIR_STYLES) - 1, "number in HAIR_STYLES", "shape of the hair", whole=True),
    Factor("hair_tone", 0, 1, "", "from black (0) over brown to blond (1)"),
    Factor("hair_red", 0, 1, "", "red pigment; seen where hair_tone is not near 0"),
    Factor("hair_grey", 0, 1, "", "grey above 0.7, white at 1"),
    Factor("hair_volume", 0, 1, "", "thickness of the hair, relative to its style"),
    Factor("brow_width", 0, 1, "", "thin to bushy brows"),
    Factor("beard", 0, 1, "", "shade of a shaved beard; seen as far as sex is near 1"),
    Factor("iris", 0, 1, "", "colour of the eyes: dark brown, brown, hazel, green, blue, grey"),
    Factor("shirt_hue", 0, 1, "turns of the colour circle", "colour of the shirt"),
    Factor("shirt_light", 0, 1, "", "dark to light shirt"),
    Factor("background_hue", 0, 1, "turns of the colour circle", "colour of the background"),
    Factor("background_light", 0, 1, "", "dark to light background"),
    Factor("light_azimuth", -50, 50, "degrees", "where the key light stands, to the camera's left or right", odd=True),
    Factor("light_height", 15, 50, "degrees", "how high it stands"),
    Factor("light_warmth", 0, 1, "", "bluish to yellowish light"),
    Factor("light_fill", 0, 1, "", "hard to soft: the share of light from the other side"),
)

_HEAD_MOTION = (
    Factor("yaw", -10, 10, "degrees", "mean turn of the head, to its left if positive", odd=True),
    Factor("pitch", -6, 6, "degrees", "mean nod, up if positive"),
    Factor("roll", -5, 5, "degrees", "mean tilt", odd=True),
    Factor("yaw_drift", -8, 8, "degrees over the clip", "change of yaw", odd=True),
    Factor("pitch_drift", -5, 5, "degrees over the clip", "change of pitch"),
    Factor("roll_drift", -4, 4, "degrees over the clip", "change of roll", odd=True),
    Factor("blink", 0.1, 3.0, "seconds", "when the eyes close for a moment; beyond 1.9 they do not"),
    Factor("gaze_x", -10, 10, "degrees", "where the eyes look, relative to the head", odd=True),
    Factor("gaze_y", -5, 5, "degrees", "the same, up if positive"),
)


TIMING = {
    # seconds: onset, rise, apex, fall
    "expression": ((0.08, 0.40), (0.25, 0.60), (0.35, 0.90), (0.30, 0.70)),
    # Posed smiles start faster and leave faster than spontaneous ones.
    "posed": ((0.05, 0.40), (0.16, 0.36), (0.30, 0.80), (0.20, 0.45)),
    "spontaneous": ((0.05, 0.40), (0.45, 0.90), (0.20, 0.60), (0.50, 1.00)),
}
"""Ranges of the times that the factors onset, rise, apex and fall place within."""

ASYMMETRY = {"expression": 0.25, "posed": 0.45, "spontaneous": 0.12}
"""How much weaker than the other a half of the face is at asymmetry 1 or -1."""

_TIMES = "share of its range in TIMING"

_FACE_MOTION = (
    Factor("intensity", 0.7, 1.0, "1 = full expression", "strength at the apex"),
    Factor("asymmetry", -1, 1, "1 = the most in ASYMMETRY", "the weaker half of the face: right below 0", odd=True),
    Factor("brow_gain", 0.75, 1.2, "1 = as the expression has it", "strength of brows and lids"),
    Factor("mouth_gain", 0.8, 1.15, "1 = as the expression has it", "strength of mouth, jaw and nose"),
    Factor("onset", 0, 1, _TIMES, "when the expression begins"),
    Factor("rise", 0, 1, _TIMES, "how long it takes from onset to apex: the speed"),
    Factor("apex", 0, 1, _TIMES, "how long it is held"),
    Factor("fall", 0, 1, _TIMES, "how long it takes from apex to neutral"),
)

MOTION: dict[str, tuple[Factor, ...]] = {
    "mug-sim": (
        Factor("expression", 0, 5, "number in EXPRESSIONS", "the category", whole=True),
        *_FACE_MOTION,
        *_HEAD_MOTION,
    ),
    "uva-nemo-sim": (
        Factor("posed", 0, 1, "0 or 1", "spontaneous or posed smile, which have other times and symmetry", whole=True),
        *_FACE_MOTION,
        *_HEAD_MOTION,
    ),
}
"""Motion factors of each simulated set."""


def draw_factors(factors: tuple[Factor, ...], random: np.random.Generator) -> np.ndarray:
    """One value of each factor, independently: float32 ``(len(factors),)``."""
    values = []
    for factor in factors:
        # Both numbers are always drawn, so that a change of one factor leaves the others' draws alone.
        flat, normal = random.random(), random.standard_normal()
        if factor.whole:
            value = factor.low + int(flat * (factor.high - factor.low + 1))
        elif factor.spread:
            value = np.clip(normal * factor.spread, factor.low, factor.high)
        else:
            value = factor.low + flat * (factor.high - factor.low)
        values.append(value)
    return np.array(values, np.float32)
