"""Which dimensions of z_a and z_m change the video most: stored for the shipped networks, measured once for others.

``python -m g3an.ranking`` measures the shipped networks and stores them; run it when weights are added or replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from g3an.errors import G3ANError
from g3an.files import read_json, write_json
from g3an.latents import PARTS, Effects, rank_dimensions

STORED = Path(__file__).with_name("rankings.json")
Ranking = dict[str, Effects]
"""Effects by part, ``appearance`` and ``motion``."""


def stored(generator: Any) -> Ranking | None:
    """The ranking of a network that came with the package; else None."""
    with contextlib.suppress(G3ANError, KeyError, TypeError, ValueError):
        return _from_json(read_json(STORED)[_hash(generator)], generator)
    return None


def known(generator: Any) -> Ranking | None:
    """The ranking of a network that came with the package or was measured on this machine before; else None."""
    if found := stored(generator):
        return found
    with contextlib.suppress(G3ANError, KeyError, TypeError, ValueError):
        return _from_json(read_json(_cached(_hash(generator))), generator)
    return None


def measure(generator: Any, rank: Callable[..., Effects] = rank_dimensions) -> Ranking:
    """Measure both parts with :func:`g3an.latents.rank_dimensions` (a minute or so on a CPU) and remember them.

    The ranking goes to the user's cache folder, or ``G3AN_CACHE``, under the hash of the weights; where that cannot be
    written it is measured again next time.
    """
    found = {part: rank(generator, part) for part in PARTS}
    with contextlib.suppress(G3ANError):
        write_json(_cached(_hash(generator)), _to_json(found))
    return found


def effects(generator: Any, part: str, again: bool = False) -> Effects:
    """How much each dimension of z_a or z_m changes the video: as it is known, else measured by :func:`measure`.

    Parameters
    ----------
    part
        ``appearance`` or ``motion``.
    again
        Measure this part in any case, and do not remember it.
    """
    if again:
        return rank_dimensions(generator, part)
    return (known(generator) or measure(generator))[part]


def unranked(generator: Any) -> Ranking:
    """What stands in until a network is measured: dimensions in the order of their numbers, without effect."""
    widths = zip(PARTS, (generator.config.z_a_dim, generator.config.z_m_dim), strict=True)
    return {part: Effects(part, 3.0, (0.0,) * width, 0) for part, width in widths}


def _hash(generator: Any) -> str:
    return str(getattr(generator, "weights_hash", "unknown"))


def _cached(key: str) -> Path:
    from g3an.data.faces.sets import default_cache

    return default_cache() / "rankings" / f"{key}.json"


def _to_json(found: Ranking) -> dict[str, Any]:
    # Two decimals of 255 levels: machines and thread counts differ further behind.
    return {
        part: {"extent": effects.extent, "codes": effects.codes, "change": [round(x, 2) for x in effects.change]}
        for part, effects in found.items()
    }


def _from_json(content: dict[str, Any], generator: Any) -> Ranking:
    found = {
        part: Effects(part, float(content[part]["extent"]), tuple(map(float, content[part]["change"])),
                      int(content[part]["codes"]))
        for part in PARTS
    }  # fmt: skip
    widths = (generator.config.z_a_dim, generator.config.z_m_dim)
    if tuple(len(found[part].change) for part in PARTS) != widths:
        raise ValueError("the ranking of another network")
    return found


def store_shipped(path: Path = STORED) -> None:
    """Measure every shipped network that is not stored, and drop those that are shipped no more."""
    from g3an.checkpoints import load_generator, shipped

    before = read_json(path) if path.is_file() else {}
    content = {}
    for name in shipped():
        generator = load_generator(name)
        key = str(generator.weights_hash)
        content[key] = before.get(key) or {"name": name} | _to_json(
            {part: rank_dimensions(generator, part, progress=True) for part in PARTS}
        )
    write_json(path, content)


if __name__ == "__main__":
    store_shipped()
