"""``g3an evaluate``: a network's FID, KID and IS under one protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from g3an.data import ClipDataset, open_dataset
from g3an.data.faces.sets import SETS, default_cache
from g3an.data.layouts import Split
from g3an.errors import G3ANError
from g3an.evaluation.extractors import CHUNK, Extractor, Seen, extract, extractors_of, open_extractor
from g3an.evaluation.metrics import fid, halves, inception_score, interval, kid, rank_warning, split_warning
from g3an.evaluation.protocol import Measurement, Protocol, frechet_name
from g3an.latents import generate, sample_codes


def evaluate(
    generator: Any, dataset: str, extractor: str | Extractor = "", root: str | Path | None = None, *,
    split: Split | None = None, clips: int = 2048, step: int | None = None, mirror: bool | None = None, seed: int = 0,
    draws: int = 50, cache: str | Path | None = None, cached: bool = True, progress: bool = True,
) -> list[Measurement]:  # fmt: skip
    """Measure a generator against real clips.

    Parameters
    ----------
    generator
        From :func:`g3an.checkpoints.load_generator`.
    dataset, root
        Real clips, as for :func:`g3an.data.open_dataset`.
    extractor
        Name of an extractor that needs no weight file, or one from :func:`open_extractor`; empty: the first that knows
        such clips (:func:`g3an.evaluation.extractors.extractors_of`).
    split
        Whose real clips; None: test people of the simulated sets, everyone of others.
    clips
        Generated clips, and random real ones.
    step
        Frames of the video from one frame of a real clip to the next; None: as in the network's training, one or
        several (:func:`trained_steps`), so that real and generated clips are of one pace.
    mirror
        Whether real clips are mirrored at random; None: as in the network's training (:func:`trained_mirrored`).
    draws
        Resamples of the bootstrap.
    cache
        Folder for features; None: the user's cache folder, as for simulated faces.
    cached
        As for :func:`g3an.data.open_dataset`; False draws just the simulated clips that are needed.

    Returns
    -------
    list of Measurement
        FID (FVD with the extractor ``i3d``), KID and, if the extractor classifies, IS.

    Raises
    ------
    G3ANError
        Missing or too few clips, an unknown extractor, or clips that cannot be measured.
    """
    chosen = extractor if isinstance(extractor, Extractor) else open_extractor(extractor or extractors_of(dataset)[0])
    steps = trained_steps(generator) if step is None else (step,)
    whose: Split = split or ("test" if dataset in SETS else "all")
    length = generator.frame_count()
    mirrored = trained_mirrored(generator) if mirror is None else mirror
    data = open_dataset(
        dataset, root, split=whose, length=length, steps=steps, mirror=mirrored, seed=seed, cached=cached
    )  # fmt: skip
    protocol = Protocol(
        dataset, str(whose), chosen.name, chosen.hash, clips=clips, length=length,
        step=steps if len(steps) > 1 else steps[0], normalisation=chosen.normalisation, seed=seed, mirrored=mirrored,
    )  # fmt: skip
    cache = Path(cache) if cache else default_cache()
    real, people = real_features(chosen, data, clips, cache, progress)
    made = generated_features(chosen, generator, clips, seed, cache, progress)
    one, two = halves(people, seed)
    if min(len(one), len(two)) < 2:
        raise G3ANError(f"{clips} clips are too few to compare real ones with each other; measure more clips.")
    counts = {"real": clips, "generated": clips, "floor": min(len(one), len(two))}
    name = str(generator.card.get("name", "network")) if hasattr(generator, "card") else "network"
    subject = f"{name} {str(getattr(generator, 'weights_hash', ''))[:12]}".strip()
    warnings = (*rank_warning(real.features, "real"), *rank_warning(made.features, "generated"))
    if chosen.name == "factors" and dataset not in SETS:
        warnings += (f"factors learned to read simulated faces only; its features say little of {dataset}.",)
    distinct = len(data)
    if clips > distinct:
        warnings += (f"The {clips:,} real clips are random windows of {distinct:,} videos.",)
    found = []
    for metric, measure in ((frechet_name(chosen.name), fid), ("KID", partial(kid, seed=protocol.subset_seed))):
        low, high = interval(measure, real.features, made.features, seed, draws)
        value = measure(real.features, made.features)
        floor = measure(real.features[one], real.features[two])
        found.append(Measurement(metric, value, low, high, floor, subject, dataset in SETS, counts, warnings, protocol))
    if made.logits is not None:
        value = inception_score(made.logits, protocol.subset_seed)

        def score(_: Tensor, logits: Tensor) -> float:
            return inception_score(logits, protocol.subset_seed)

        low, high = interval(score, made.logits, made.logits, seed, draws)
        told = (*warnings, *split_warning(made.logits))
        found.append(replace(found[0], metric="IS", value=value, low=low, high=high, floor=None, warnings=told))
    return found


def trained_steps(generator: Any) -> tuple[int, ...]:
    """Frames of a video from one frame of a training clip to the next, as the network's card has them.

    In order, each once; 1 alone, where no card says.
    """
    card = getattr(generator, "card", {})
    return tuple(sorted(set(card.get("training", {}).get("clip_steps") or [1])))


def trained_mirrored(generator: Any) -> bool:
    """Whether a network's training clips were mirrored at random; not, where no card says so."""
    return bool(getattr(generator, "card", {}).get("training", {}).get("mirror"))


def real_features(
    extractor: Extractor, data: ClipDataset, clips: int, cache: Path | None, progress: bool = True
) -> tuple[Seen, list[str]]:
    """Features of random real clips, and who is in each."""
    epoch = data.epoch(0, clips)
    people: list[str] = []

    def parts() -> Iterator[tuple[str, Callable[[], Tensor]]]:
        for start in range(0, clips, CHUNK):
            chunk = [epoch[k] for k in range(start, min(start + CHUNK, clips))]
            people.extend(data.subjects[clip["index"]] for clip in chunk)
            videos = torch.stack([clip["video"] for clip in chunk])
            yield hashlib.sha256(videos.numpy().tobytes()).hexdigest(), partial(_itself, videos)

    return extract(extractor, parts(), clips, cache, progress, f"{data.name}, real"), people


def _itself(videos: Tensor) -> Tensor:
    return videos


def generated_features(
    extractor: Extractor, generator: Any, clips: int, seed: int, cache: Path | None, progress: bool = True
) -> Seen:
    """Features of generated clips: codes of ``seed``, the categories in turn."""
    codes = sample_codes(generator.config, clips, seed)
    known = str(getattr(generator, "weights_hash", ""))
    if clips < 2:
        raise G3ANError(f"{clips} clips cannot be measured; generate 2 or more.")

    def parts() -> Iterator[tuple[str, Callable[[], Tensor]]]:
        for start in range(0, clips, CHUNK):
            some = codes[slice(start, start + CHUNK)]
            inputs = [part.numpy().tobytes() for part in (some.z_a, some.z_m, some.c) if part is not None]
            content = f"{known} {hashlib.sha256(b''.join(inputs)).hexdigest()}"
            yield content, partial(generate, generator, some, batch=16)

    # A network without a hash could be any, so nothing is kept of it.
    return extract(extractor, parts(), clips, cache if known else None, progress, "generated")
