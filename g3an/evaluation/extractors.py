"""Networks that look at clips for FID and its kin, each with the hash of its weights and what it does first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from g3an.errors import G3ANError
from g3an.evaluation.factors import SHIPPED, load_factors
from g3an.files import atomic_write, sha256
from g3an.parameters import did_you_mean

CHUNK = 64
"""Clips looked at together, and kept in one file of the cache."""


@dataclass(frozen=True)
class Extractor:
    """A network that turns clips into features.

    Attributes
    ----------
    name, hash
        Its name here, and the SHA-256 of its weights.
    width
        Numbers a clip.
    normalisation
        What is done to a clip in [-1, 1] before the network sees it, in words, for the protocol.
    look
        float32 clips ``(B, 3, T, 64, 64)`` in [-1, 1] to features ``(B, width)`` and, where the network classifies,
        logits ``(B, classes)``, else None.
    """

    name: str
    hash: str
    width: int
    normalisation: str
    look: Callable[[Tensor], tuple[Tensor, Tensor | None]]


def open_extractor(name: str) -> Extractor:
    """An extractor by name: ``factors``, the shipped network that reads simulated faces.

    Raises
    ------
    G3ANError
        There is no such extractor, or its weights are missing or damaged.
    """
    if name not in _OPEN:
        raise G3ANError(f"There is no extractor {name!r}.{did_you_mean(name, _OPEN)}")
    return _OPEN[name]()


def _factors() -> Extractor:
    network = load_factors()

    def look(clips: Tensor) -> tuple[Tensor, Tensor | None]:
        seen = network.read(clips)
        return seen.features, seen.expression

    width = 3 * network.width
    return Extractor("factors", sha256(SHIPPED), width, "grey and standardised for motion, as it is for looks", look)


_OPEN = {"factors": _factors}


@dataclass(frozen=True)
class Seen:
    """Features ``(n, width)`` and, of an extractor that classifies, logits ``(n, classes)``."""

    features: Tensor
    logits: Tensor | None


def extract(
    extractor: Extractor, parts: Iterator[tuple[str, Callable[[], Tensor]]], count: int, cache: str | Path | None,
    progress: bool = True, label: str = "clips",
) -> Seen:  # fmt: skip
    """Features of many clips, a chunk at a time; a run that was stopped goes on after its last chunk.

    Parameters
    ----------
    parts
        For each chunk a string that fixes its content (a hash of it, or of the weights and codes that it is made
        from) and a function that gives the clips; it is not called for chunks that are in the cache.
    count
        Number of clips in all, for the progress bar.
    cache
        Folder; None keeps nothing.

    Raises
    ------
    G3ANError
        Clips of a wrong shape, outside [-1, 1], or with values that are not finite.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    with tqdm(total=count, unit="clip", desc=f"{extractor.name}: {label}", disable=not progress) as bar:
        for content, make in parts:
            digest = hashlib.sha256(f"{extractor.name} {extractor.hash} {content}".encode()).hexdigest()
            file = Path(cache) / "features" / f"{digest}.npz" if cache else None
            kept = _read(file) if file else None
            if kept is None:
                clips = _checked(make())
                with torch.inference_mode():
                    features, logits = extractor.look(clips)
                kept = (features.float().numpy(), np.zeros((0, 0)) if logits is None else logits.float().numpy())
                if file:
                    with atomic_write(file) as temporary, open(temporary, "wb") as stream:
                        np.savez(stream, features=kept[0], logits=kept[1])
            found.append(kept)
            bar.update(len(kept[0]))
    features = torch.from_numpy(np.concatenate([features for features, _ in found]))
    classified = found[0][1].size > 0
    return Seen(features, torch.from_numpy(np.concatenate([x for _, x in found])) if classified else None)


def _checked(clips: Tensor) -> Tensor:
    if clips.ndim != 5 or clips.shape[1] != 3:
        raise G3ANError(f"Clips to be measured are (n, 3, T, H, W), not {tuple(clips.shape)}.")
    if not bool(torch.isfinite(clips).all()):
        raise G3ANError("A clip to be measured holds values that are not finite.")
    if clips.abs().max() > 1.001:
        raise G3ANError(f"Clips to be measured lie in [-1, 1]; these reach {float(clips.abs().max()):.3g}.")
    return clips.float()


def _read(file: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """A chunk of the cache; None where there is none, or a damaged one, which is made anew."""
    try:
        with np.load(file, allow_pickle=False) as content:
            return content["features"], content["logits"]
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:  # a cut zip file raises BadZipFile, which has no common parent with these
        if type(error).__name__ != "BadZipFile":
            raise
        return None
