"""From appearance factors to what the renderer needs: a shaped head, its colours, and the light."""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import Any

import numpy as np

from g3an.data.faces.factors import APPEARANCE, HAIR_STYLES
from g3an.data.faces.head import LEFT_EYE, RIGHT_EYE, head
from g3an.data.faces.render import Person, with_hair

# Targets at -1 and +1 of each coefficient; several move together.
_SHAPES = {
    "head_width": (("head-scale-horiz-decr",), ("head-scale-horiz-incr",)),
    "head_height": (("head-scale-vert-decr",), ("head-scale-vert-incr",)),
    "fullness": (("head-fat-decr",), ("head-fat-incr",)),
    "forehead": (("forehead-scale-vert-decr",), ("forehead-scale-vert-incr",)),
    "cheek_bones": (("cheek-bones-decr",), ("cheek-bones-incr",)),
    "cheeks": (("cheek-volume-decr",), ("cheek-volume-incr",)),
    "chin_width": (("chin-width-decr",), ("chin-width-incr",)),
    "chin_height": (("chin-height-decr",), ("chin-height-incr",)),
    "chin_forward": (("chin-prominent-decr",), ("chin-prominent-incr",)),
    "nose_width": (("nose-scale-horiz-decr",), ("nose-scale-horiz-incr",)),
    "nose_length": (("nose-scale-vert-decr",), ("nose-scale-vert-incr",)),
    "nose_depth": (("nose-scale-depth-decr",), ("nose-scale-depth-incr",)),
    "nose_hump": (("nose-hump-decr",), ("nose-hump-incr",)),
    "nose_point": (("nose-point-down",), ("nose-point-up",)),
    "mouth_width": (("mouth-scale-horiz-decr",), ("mouth-scale-horiz-incr",)),
    "mouth_height": (("mouth-trans-down",), ("mouth-trans-up",)),
    "upper_lip": (("mouth-upperlip-volume-decr", "mouth-upperlip-height-decr"),
                  ("mouth-upperlip-volume-incr", "mouth-upperlip-height-incr")),
    "lower_lip": (("mouth-lowerlip-volume-decr", "mouth-lowerlip-height-decr"),
                  ("mouth-lowerlip-volume-incr", "mouth-lowerlip-height-incr")),
    "eye_size": (("eye-scale-decr",), ("eye-scale-incr",)),
    "eye_height": (("eye-trans-down",), ("eye-trans-up",)),
    "eye_slant": (("eye-corner2-down",), ("eye-corner2-up",)),
    "brow_height": (("eyebrows-trans-down",), ("eyebrows-trans-up",)),
    "ear_size": (("ear-scale-decr",), ("ear-scale-incr",)),
    "ear_wing": (("ear-wing-decr",), ("ear-wing-incr",)),
}  # fmt: skip

# Lower edge of the hair at the depths of ``HAIRLINE_Z``, nape to forehead, and its thickness: top, sides, front.
_NAPE = (6.50, 6.55, 6.72, 6.98, 7.30)
_HAIR = {
    "shaved": ((*_NAPE, 7.28, 7.70, 7.92, 8.02, 8.07), (0.0, 0.0, 0.0), False),
    "cropped": ((*_NAPE, 7.25, 7.70, 7.90, 8.00, 8.05), (0.06, 0.03, 0.01), False),
    "short": ((*_NAPE, 7.20, 7.66, 7.88, 7.98, 8.02), (0.16, 0.06, 0.05), False),
    "swept": ((*_NAPE, 7.20, 7.68, 7.92, 8.02, 8.06), (0.26, 0.07, 0.12), False),
    "fringe": ((6.45, 6.50, 6.65, 6.90, 7.10, 7.12, 7.48, 7.62, 7.68, 7.70), (0.16, 0.12, 0.05), False),
    "receding": ((*_NAPE, 7.26, 7.82, 8.15, 8.45, 8.70), (0.03, 0.06, 0.0), False),
    "afro": ((*_NAPE, 7.15, 7.62, 7.86, 7.96, 8.00), (0.42, 0.34, 0.10), False),
    "long": ((6.30, 6.35, 6.55, 6.80, 7.00, 7.15, 7.66, 7.90, 8.02, 8.10), (0.14, 0.12, 0.04), True),
    "long with fringe": ((6.30, 6.35, 6.55, 6.80, 7.00, 7.05, 7.45, 7.60, 7.67, 7.69), (0.14, 0.12, 0.06), True),
}

# Colours as sRGB bytes, from one end of the factor to the other.
_SKIN = ((238, 208, 190), (228, 190, 166), (214, 170, 140), (196, 146, 112), (160, 110, 78), (118, 76, 52),
         (84, 52, 37), (58, 37, 28))  # fmt: skip
_HAIR_TONES = ((14, 12, 12), (38, 26, 20), (70, 46, 30), (112, 76, 46), (162, 122, 72), (206, 170, 112))
_IRIS = ((52, 30, 18), (84, 50, 26), (110, 82, 40), (96, 108, 66), (84, 120, 150), (120, 136, 146))


def linear(colour: object) -> np.ndarray:
    """sRGB bytes to linear light in [0, 1]."""
    c = np.asarray(colour, np.float64) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _between(colours: tuple[tuple[int, int, int], ...], place: float) -> np.ndarray:
    """A colour along a row of colours, ``place`` in [0, 1]; mixed as sRGB, which is even to the eye."""
    at = np.linspace(0, 1, len(colours))
    return linear([np.interp(place, at, [colour[k] for colour in colours]) for k in range(3)])


def _hue(hue: float, saturation: float, value: float) -> np.ndarray:
    return linear(np.array(colorsys.hsv_to_rgb(hue, saturation, value)) * 255)


@lru_cache(maxsize=16)
def _person(factors: tuple[float, ...]) -> Person:
    f = {factor.name: value for factor, value in zip(APPEARANCE, factors, strict=True)}
    hair = _hair(f)
    neutral = with_hair(_neutral(f), hair["hairline"], hair["volume"])
    values: dict[str, Any] = {"neutral": neutral, **hair, **_colours(f), **_light(f)}
    # Single precision throughout, which halves the time that colours take.
    single: dict[str, Any] = {k: v.astype(np.float32) if isinstance(v, np.ndarray) else v for k, v in values.items()}
    return Person(**single)


def person(appearance: np.ndarray) -> Person:
    """The person that a vector of appearance factors describes."""
    return _person(tuple(float(value) for value in appearance))


def _neutral(f: dict[str, float]) -> np.ndarray:
    """The shaped head, moved so that its eyes are where the template's are: the camera looks there."""
    root = np.sqrt(f["base_1"])  # makes the place uniform over the triangle
    base = {"caucasian": 1 - root, "asian": root * (1 - f["base_2"]), "african": root * f["base_2"]}
    old = np.clip((f["age"] - 25) / 65, 0, 1)
    weights: dict[str, float] = {}
    for origin, share in base.items():
        for sex, of_sex in (("female", 1 - f["sex"]), ("male", f["sex"])):
            for age, of_age in (("young", 1 - old), ("old", old)):
                weights[f"macro/{origin}-{sex}-{age}"] = float(share * of_sex * of_age)
    for name, (low, high) in _SHAPES.items():
        for target in low if f[name] < 0 else high:
            weights[f"local/{target}"] = abs(f[name])
    asset = head()
    vertices = asset.shape(weights)
    eyes = np.isin(asset.vertex_part, (LEFT_EYE, RIGHT_EYE))
    vertices += asset.template[eyes].mean(0) - vertices[eyes].mean(0)
    return vertices.astype(np.float32)


def _hair(f: dict[str, float]) -> dict[str, Any]:
    line, volume, long = _HAIR[HAIR_STYLES[int(f["hair_style"])]]
    scale = 0.75 + 0.5 * f["hair_volume"]
    return {
        "hairline": np.array(line, np.float32),
        "volume": tuple(scale * part for part in volume),
        "long": long,
        "strands": 20 * f["hair_volume"],
    }


def _colours(f: dict[str, float]) -> dict[str, Any]:
    skin = _between(_SKIN, f["skin_tone"]) * (1 + 0.16 * (f["skin_red"] - 0.5) * np.array([0.5, -1.0, -1.0]))
    tone = _between(_HAIR_TONES, f["hair_tone"])
    tone = tone * (1 + 0.7 * f["hair_red"] * np.array([0.9, -0.25, -0.6]))
    grey = np.clip((f["hair_grey"] - 0.7) / 0.3, 0, 1)
    hair = tone + (linear((190, 188, 184)) - tone) * grey
    # Lips are the skin with more blood in it; on dark skin the difference is smaller.
    lips = skin * np.array([0.82, 0.42, 0.44]) + np.array([0.02, 0.0, 0.005])
    return {
        "skin": skin,
        "lips": lips,
        "hair": hair,
        "brow": np.minimum(0.65 * hair + 0.04 * skin, 0.55 * skin),
        "brow_width": 0.046 + 0.032 * f["brow_width"],
        "beard": f["beard"] * np.clip((f["sex"] - 0.5) / 0.3, 0, 1),
        "iris": _between(_IRIS, f["iris"]),
        "shirt": _hue(f["shirt_hue"], 0.45, 0.2 + 0.65 * f["shirt_light"]),
        "background": _hue(f["background_hue"], 0.22, 0.35 + 0.45 * f["background_light"]),
    }


def _light(f: dict[str, float]) -> dict[str, Any]:
    azimuth, height = np.radians(f["light_azimuth"]), np.radians(f["light_height"])
    key = np.array([np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)])
    warmth = f["light_warmth"] - 0.5
    return {
        "key": key.astype(np.float32),
        "key_colour": 0.86 * np.array([1 + 0.16 * warmth, 1.0, 1 - 0.22 * warmth]),
        "fill": 0.25 + 0.35 * f["light_fill"],
    }
