"""Everything that was measured of the shipped networks: ``reports/results.json``.

Sections are measured one by one and written at once, so a run that dies goes on; a section is measured again when the
weights, the probes or its settings change. Numbers of the paper stand in a table of their own, each with what is known
of its protocol, and never beside ours in one column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from g3an.checkpoints import load_generator, shipped
from g3an.data import ClipDataset, open_dataset
from g3an.data.faces.sets import SETS
from g3an.data.layouts import EXPRESSIONS, Split
from g3an.errors import G3ANError
from g3an.evaluation import factors, lids, looks, strength
from g3an.evaluation.actions import IN_ACTION, REAL_CLIPS, ActionReader, action_probe, where_it_moves
from g3an.evaluation.codes import FaceReader, Reader, measure_codes
from g3an.evaluation.evaluate import evaluate, trained_mirrored, trained_steps
from g3an.evaluation.extractors import Extractor, extractors_of, open_extractor
from g3an.evaluation.factors import load_factors
from g3an.evaluation.ladder import features, ladders, two_windows
from g3an.evaluation.memory import consistency, memory
from g3an.evaluation.reencoding import reencoding_effect
from g3an.files import read_json, rounded, sha256, write_json
from g3an.latents import generate, sample_codes
from g3an.sweep_results import read as read_sweep_results

PACKAGED = Path(__file__).with_name("results.json")
"""The same as ``reports/results.json``, where the package is installed without its checkout."""

VERSION = 1
"""Goes up when a section comes to mean something else; all are measured again then."""

CLIPS = {"factors": 2048, "transnetv2": 512}
"""Generated clips, and real ones, of FID, KID and IS; ``transnetv2`` takes ten times as long for each."""

LADDER_CLIPS = 126

OF_EXTRACTORS = ("ladder", "reencoding")
"""Sections that say something of the extractors on real clips, whatever the networks' weights are."""

OF_TRAINING = ("memory", "consistency")
"""Sections that compare with the clips of the training."""

CONFUSION_CLIPS = 960
SAMPLES = 512
"""Of which the nearest training clip is looked for."""

PUBLISHED = (
    {"network": "G3AN", "data": "MUG (real)", "metric": "FID", "value": 67.12},
    {"network": "G3AN", "data": "UvA-NEMO (real)", "metric": "FID", "value": 91.77},
    {"network": "G3AN", "data": "Weizmann (real)", "metric": "FID", "value": 98.27},
    {"network": "TGAN", "data": "MUG (real)", "metric": "FID", "value": 97.07},
    {"network": "TGAN", "data": "Weizmann (real)", "metric": "FID", "value": 99.85},
)
"""Values seen on a results page of the paper."""

PUBLISHED_PROTOCOL = (
    "16 frames of 64×64, features of a 3D ResNeXt-101 trained on Kinetics; preprocessing and counts only partly "
    "published: the authors' value for UvA-NEMO moved from 86 to 60 for the same weights after they had mended it"
)


def read_stored(path: str | Path = PACKAGED) -> dict[str, Any]:
    """The content of ``results.json``.

    Raises
    ------
    G3ANError
        The file is missing, is something else, or is of another version.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("networks"), dict):
        raise G3ANError(f"{path} holds no measured results; write them by g3an results.")
    if content.get("version") != VERSION:
        raise G3ANError(f"{path} is of version {content.get('version')}, not {VERSION}; write it by g3an results.")
    return content


def measure_shipped(
    path: str | Path, roots: Mapping[str, str | Path] | None = None, *, only: Sequence[str] = (),
    ablation: str | Path | None = None, force: bool = False, say: Callable[[str], None] = print, progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Measure what is not stored yet of the shipped networks.

    Parameters
    ----------
    path
        ``results.json``; what it holds of the same weights is kept.
    roots
        Where data sets lie that are not simulated. What needs others is left as it is, and said.
    only
        Names of networks; empty: all.
    ablation
        ``results.json`` of a sweep over notebook 12, whose means and spreads are taken in.
    force
        Measure again what is stored.

    Raises
    ------
    G3ANError
        An unknown network, data that cannot be used, or a network of ``only`` of which nothing is stored and whose
        data are not given.
    """
    path, roots, cards = Path(path), roots or {}, shipped()
    if unknown := sorted(set(only) - set(cards)):
        raise G3ANError(f"There is no shipped network '{unknown[0]}'; there are {', '.join(cards)}.")
    content: dict[str, Any] = {"version": VERSION, "networks": {}}
    if path.is_file():
        content = read_stored(path)
    for name in only:
        dataset = cards[name]["dataset"]
        if dataset not in SETS and dataset not in roots and not _measured(content["networks"].get(name, {})):
            raise G3ANError(
                f"Nothing is stored of {name} in {path}, and measuring it needs the real clips of {dataset}; "
                f"say where they lie, g3an results --{dataset} PATH."
            )
    content["published"] = {"protocol": PUBLISHED_PROTOCOL, "values": [dict(row) for row in PUBLISHED]}
    content["networks"] = {name: content["networks"].get(name, {}) for name in cards}
    if ablation:
        content["ablation"] = summary(read_sweep_results(ablation))
    for name in only or cards:
        card = cards[name]
        dataset = card["dataset"]
        entry = content["networks"][name]
        entry |= {"dataset": dataset, "simulated": dataset in SETS, "card": card["measured"], "curve": _curve(card)}
        if dataset not in SETS and dataset not in roots:
            kept = "what is stored of it is kept" if _measured(entry) else "nothing is stored of it"
            say(f"{name}: needs the real clips of {dataset} (--{dataset} PATH); {kept}.")
            continue
        generator = load_generator(name)
        for section, work in _sections(generator, card, roots.get(dataset), progress).items():
            key = _key(generator, section)
            if not force and entry.get(section, {}).get("key") == key:
                continue
            say(f"{name}: {section}")
            entry[section] = {"key": key, "found": work()}
            write_json(path, content)
    write_json(path, content)
    return content


def _measured(entry: Mapping[str, Any]) -> bool:
    """Whether any section of a network is stored."""
    return any(isinstance(part, Mapping) and "found" in part for part in entry.values())


def training_clips(generator: Any, dataset: str, root: str | Path | None = None) -> ClipDataset:
    """What a network was trained on, with its frame steps, and mirrored if it was: the people that its card says (train
    people of simulated sets and everyone of others, where it says nothing), and those drawn beyond the set."""
    split: Split = "all" if _met_everyone(generator, dataset) else "train"
    return open_dataset(
        dataset, root, split=split, extra_people=_extra_people(generator, dataset), length=generator.frame_count(),
        steps=trained_steps(generator), mirror=trained_mirrored(generator),
    )  # fmt: skip


def _extra_people(generator: Any, dataset: str) -> int:
    training = getattr(generator, "card", {}).get("training", {})
    return int(training.get("extra_people", 0)) if dataset in SETS else 0


def _met_everyone(generator: Any, dataset: str) -> bool:
    """Whether a network was trained on test people, too."""
    split = getattr(generator, "card", {}).get("training", {}).get("split", "auto")
    return bool(split == "all" or (split == "auto" and dataset not in SETS))


def fresh_clips(generator: Any, dataset: str, root: str | Path | None = None) -> ClipDataset | None:
    """Clips of people that it was not trained on, at the same steps and mirrored likewise; None where it was trained on
    everyone."""
    if _met_everyone(generator, dataset):
        return None
    return open_dataset(
        dataset, root, split="test", length=generator.frame_count(), steps=trained_steps(generator),
        mirror=trained_mirrored(generator),
    )  # fmt: skip


def reader_of(generator: Any, root: str | Path | None = None) -> Reader:
    """The probes that know what a network shows; of anything else they would make up numbers.

    Parameters
    ----------
    root
        Where the real clips lie that probes of people in action learn from.

    Raises
    ------
    G3ANError
        The network's card names another data set, or no folder is given for one that needs it.
    """
    dataset = getattr(generator, "card", {}).get("dataset")
    if dataset in SETS:
        return FaceReader()
    if dataset in IN_ACTION and generator.config.classes:
        return ActionReader(training_clips(generator, dataset, root), generator.config.classes)
    raise G3ANError(
        f"This network was trained on {dataset or 'unknown clips'}; factors can be read of networks of "
        f"{', '.join((*SETS, *IN_ACTION))} only."
    )


def summary(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds of each setting of a sweep, by the number of its finished runs.

    Returns
    -------
    dict
        ``how`` in words, and ``settings``: a row each with ``setting``, ``runs`` and ``numbers``, the mean and the
        deviation (n - 1; 0 of a single run) of every recorded number.
    """
    rows = [row for row in sweep["runs"] if row["status"] == "finished"]
    settings = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        same = [row for row in rows if row["setting"] == setting]
        numbers = {}
        for name in dict.fromkeys(name for row in same for name in row["results"]):
            values = [row["results"][name] for row in same if row["results"].get(name) is not None]
            if values:
                deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
                numbers[name] = [float(f"{x:.4g}") for x in (float(np.mean(values)), deviation)]
        settings.append({"setting": setting, "runs": len(same), "numbers": numbers})
    return {"how": f"{sweep['title']}; mean and standard deviation over seeds.", "settings": settings}


def _key(generator: Any, section: str) -> str:
    """Changes when weights, probes or settings do; of extractors, when these do."""
    probes = [sha256(file) for file in (factors.SHIPPED, looks.SHIPPED)]
    if section == "codes" and getattr(generator, "card", {}).get("dataset") in SETS:
        probes += [sha256(lids.SHIPPED), sha256(strength.SHIPPED)]
    weights = "" if section in OF_EXTRACTORS else generator.weights_hash
    settings = [VERSION, section, weights, *probes, CLIPS, LADDER_CLIPS, CONFUSION_CLIPS, SAMPLES]
    extra = _extra_people(generator, str(getattr(generator, "card", {}).get("dataset")))
    if extra and section in OF_TRAINING:
        settings.append(extra)
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:12]


def _curve(card: dict[str, Any]) -> list[dict[str, Any]]:
    """Step and sliced Wasserstein distance where it was measured."""
    name = "sliced_wasserstein"
    return [{"step": row["step"], name: row[name]} for row in card["curve"] if row.get(name) is not None]


def _sections(
    generator: Any, card: dict[str, Any], root: str | Path | None, progress: bool
) -> dict[str, Callable[[], Any]]:
    dataset = card["dataset"]

    def metrics() -> Any:
        return [
            number.to_dict()
            for name in extractors_of(dataset)
            for number in evaluate(generator, dataset, name, root, clips=CLIPS[name], progress=progress)
        ]

    def trained() -> ClipDataset:
        return training_clips(generator, dataset, root)

    found: dict[str, Callable[[], Any]] = {"metrics": metrics}
    if generator.config.classes:
        found["confusion"] = lambda: confusion(generator, None if dataset in SETS else trained())
    if dataset in SETS or dataset in IN_ACTION:
        found["codes"] = lambda: measure_codes(
            generator, ranked=ranked_dimensions(generator), reader=reader_of(generator, root), progress=progress
        ).to_dict()
    if dataset == SETS[0]:  # of extractors, not of networks: once is enough
        found["ladder"] = lambda: _ladder(dataset)
        found["reencoding"] = lambda: _reencoding(dataset)
    found["memory"] = lambda: measure_memory(
        generator, trained(), fresh_clips(generator, dataset, root), open_extractor(extractors_of(dataset)[0]),
        windows=1 if dataset in SETS else 12, progress=progress,
    )  # fmt: skip
    found["consistency"] = lambda: measure_consistency(generator, trained())
    return found


def ranked_dimensions(generator: Any, most: int = 10) -> dict[str, list[int]]:
    """The dimensions that change a video most, strongest first, and the first two and the sixth, which figures show."""
    from g3an import ranking

    found = ranking.known(generator) or ranking.measure(generator)
    chosen = {}
    for part, effects in found.items():
        order = sorted(range(len(effects.change)), key=lambda dimension: -effects.change[dimension])
        drawn = [dimension for dimension in (0, 1, 5) if dimension < len(order)]
        wanted = {*order[:most], *drawn}
        chosen[part] = [dimension for dimension in order if dimension in wanted]
    return chosen


def confusion(
    generator: Any, data: ClipDataset | None = None, clips: int = CONFUSION_CLIPS, seed: int = 0
) -> dict[str, Any]:
    """As what the categories of generated clips are read.

    Parameters
    ----------
    generator
        Conditional.
    data
        Real clips that an action probe learns from; None: expressions are read by the shipped factor network.
    clips
        Generated ones, the categories in turn.

    Returns
    -------
    dict
        ``asked`` and ``read``, names of the categories; ``share``, a row for each asked for, which adds up to 1; and
        ``clips`` of all.

    Raises
    ------
    G3ANError
        The network is unconditional, or its categories are not those of ``data``.
    """
    classes = list(generator.config.classes)
    if not classes:
        raise G3ANError("The network has no categories that could be confused.")
    names = list(EXPRESSIONS) if data is None else list(data.classes)
    if set(classes) != set(names):
        raise G3ANError(f"The network makes {', '.join(classes)}; what reads it knows {', '.join(names)}.")
    codes = sample_codes(generator.config, clips, seed)
    if codes.c is None:
        raise G3ANError("The network has no categories that could be confused.")
    if data is None:
        network = load_factors()

        def read(videos: Tensor) -> np.ndarray:
            return network.read(videos).expression.argmax(1).numpy()
    else:
        epoch = data.epoch(2**28 + seed, REAL_CLIPS)
        real = [epoch[k] for k in range(REAL_CLIPS)]
        known = where_it_moves(torch.stack([clip["video"] for clip in real]))
        probe = action_probe(known, np.array([clip["category"] for clip in real]))

        def read(videos: Tensor) -> np.ndarray:
            return probe.predict(where_it_moves(videos))

    seen = np.concatenate([read(generate(generator, codes[slice(k, k + 64)])) for k in range(0, clips, 64)])
    asked = codes.c.argmax(1).numpy()
    share = [
        [float((seen[asked == row] == names.index(name)).mean()) for name in classes] for row in range(len(classes))
    ]
    return {"asked": classes, "read": classes, "share": rounded(share), "clips": clips}


def measure_memory(
    generator: Any, train: ClipDataset, fresh: ClipDataset | None, extractor: Extractor, *, samples: int = SAMPLES,
    windows: int = 3, seed: int = 0, progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Distances of samples to their nearest training clips, in pixels and in features (:func:`memory`).

    Parameters
    ----------
    train, fresh
        Videos that were trained on, and of people who were not; None where everyone was.
    extractor
        Of the features.
    windows
        Of each video at each of its frame steps, spread over it; mirrored ones, too, where the clips are.

    Returns
    -------
    dict
        ``pixels`` (a quarter of the resolution, half of the frames) and ``features``, as from :meth:`Memory.to_dict`,
        the extractor's name, and the numbers of samples and windows.

    Raises
    ------
    G3ANError
        As :func:`memory`; a video that is too short.
    """
    from tqdm.auto import tqdm

    def small(videos: Tensor) -> Tensor:
        return avg_pool3d(videos, (2, 4, 4)).flatten(1) / 2  # values in [0, 1] but for a constant

    def bank(data: ClipDataset, label: str) -> tuple[Tensor, Tensor, list[str]]:
        pixels, seen, who = [], [], []
        waiting: list[Tensor] = []

        def look() -> None:
            if waiting:
                clips = torch.stack(waiting)
                pixels.append(small(clips))
                seen.append(features(extractor, clips))
                waiting.clear()

        for index in tqdm(range(len(data)), desc=label, disable=not progress):
            spread = np.linspace(0, 1, windows)
            lasts = {step: data.count(index) - (data.length - 1) * step - 1 for step in data.steps}
            # Where there are frames enough for no step, the clip raises, naming the video.
            enough = {step: last for step, last in lasts.items() if last >= 0} or {data.steps[0]: 0}
            for step, start in sorted({(step, round(x * last)) for step, last in enough.items() for x in spread}):
                for flip in (False, True)[: 1 + data.mirror]:
                    waiting.append(data.clip(index, start, step, flip)["video"])
                    who.append(data.subjects[index])
                if len(waiting) >= 64:
                    look()
        look()
        return torch.cat(pixels), torch.cat(seen), who

    codes = sample_codes(generator.config, samples, seed)
    made = [generate(generator, codes[slice(k, k + 64)]) for k in range(0, samples, 64)]
    mine = torch.cat([small(part) for part in made]), torch.cat([features(extractor, part) for part in made])
    *known, people = bank(train, "training clips")
    others = (None, None) if fresh is None else bank(fresh, "fresh clips")[:2]
    pixels, seen = (memory(mine[k], known[k], people, others[k]) for k in (0, 1))
    return {
        "pixels": pixels.to_dict(), "features": seen.to_dict(), "extractor": extractor.name, "samples": samples,
        "training_windows": len(people), "fresh_people": fresh is not None,
    }  # fmt: skip


def measure_consistency(generator: Any, data: ClipDataset, clips: int = 192, seed: int = 0) -> dict[str, Any]:
    """:func:`consistency` of generated clips and of as many real ones.

    Raises
    ------
    G3ANError
        As :func:`consistency`; a video that is too short.
    """
    epoch = data.epoch(seed, clips)
    real = torch.stack([epoch[k]["video"] for k in range(clips)])
    made = generate(generator, sample_codes(generator.config, clips, seed))
    return {"generated": consistency(made).to_dict(), "real": consistency(real).to_dict(), "clips": clips}


def _test_windows(dataset: str) -> tuple[Tensor, Tensor]:
    data = open_dataset(dataset, split="test", length=18)
    chosen = np.linspace(0, len(data) - 1, LADDER_CLIPS).round().astype(int)
    return two_windows(torch.stack([data.clip(int(index))["video"] for index in chosen]))


def _ladder(dataset: str) -> list[dict[str, Any]]:
    return [
        rounded({"extractor": one.extractor, "floor": one.floor, "steps": {k: list(v) for k, v in one.steps.items()},
                 "backwards": one.backwards, "blind_to_time_reversal": one.blind, "failed": one.failed}, 6)
        for one in ladders(*_test_windows(dataset))
    ]  # fmt: skip


def _reencoding(dataset: str) -> list[dict[str, Any]]:
    windows = _test_windows(dataset)
    return [
        {"extractor": name} | rounded(asdict(reencoding_effect(open_extractor(name), *windows)), 6)
        for name in extractors_of(dataset)
    ]
