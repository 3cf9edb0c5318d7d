"""From a training run to weights that ship, with a card that says what they are and how well they do."""

from __future__ import annotations

import json
import platform
import shutil
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import Any

import torch

from g3an.catalogue import display_name
from g3an.checkpoints import WEIGHTS_FOLDER, load_generator
from g3an.config import TrainConfig, side_of
from g3an.data import ClipDataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.factors import APPEARANCE
from g3an.errors import G3ANError
from g3an.evaluation.actions import IN_ACTION, measure_actions
from g3an.evaluation.evaluate import trained_mirrored
from g3an.evaluation.extractors import open_extractor
from g3an.evaluation.faces import Report, measure
from g3an.evaluation.stored import extractors_of
from g3an.files import atomic_write, read_json, write_json
from g3an.neighbours import nearest_clips


def ship(
    run_dir: str | Path,
    name: str,
    data: ClipDataset,
    notes: dict[str, Any],
    folder: str | Path = WEIGHTS_FOLDER,
    which: str = "generator",
) -> Path:
    """Copy a run's averaged generator into the package and write its card.

    The card is ``NAME.json`` for programs (with the curves of the run) and ``NAME.md`` for people, beside
    ``NAME_nearest.png``: samples, each above its nearest training clips (:mod:`g3an.neighbours`).

    Parameters
    ----------
    run_dir
        A finished run of :func:`g3an.training.train`.
    data
        What it was trained on, with every person in it.
    notes
        Facts that no program knows: ``machine``, ``licence`` of the data, ``limits`` (a list of sentences) and, where
        the run went on from something else, ``history`` (another).
    which
        ``generator`` (the last step) or ``best``.

    Returns
    -------
    Path
        The card for programs.

    Raises
    ------
    G3ANError
        Notes that lack something, a run that is missing, lacks a file or is of other data, or a folder that cannot be
        written; weights that lie there are then as they were. Otherwise as :func:`describe`.
    """
    run, folder = Path(run_dir), Path(folder)
    _check_notes(notes)
    described = read_json(run / "config.json")
    trained = read_json(run / f"{which}.json")
    if trained["dataset"] != data.name:
        raise G3ANError(f"{run} was trained on {trained['dataset']}, not on {data.name}.")
    records = [record for record in _logged(run / "log.jsonl") if record["step"] <= trained["steps"]]
    for file in trained["files"]:
        if not (run / file).is_file():
            raise G3ANError(f"{run / file} does not exist, but {which}.json there names it; copy the run again.")
    path = folder / f"{name}.json"
    old = read_json(path).get("files", []) if path.is_file() else []
    files = [file.replace(which, name, 1) for file in trained["files"]]
    with ExitStack() as copied:  # all are copied before the first replaces anything
        for source, file in zip(trained["files"], files, strict=True):
            shutil.copyfile(run / source, copied.enter_context(atomic_write(folder / file)))
    card = {**trained, **notes, "name": name, "files": files, "data": described["data"], "curve": _thinned(records)}
    card["software"] = {"python": platform.python_version(), "torch": torch.__version__}
    write_json(path, card)
    for file in set(old) - set(files):
        (folder / Path(file).name).unlink(missing_ok=True)
    return describe(path, data)


def _check_notes(notes: dict[str, Any]) -> None:
    """What a card cannot do without, told before anything is measured."""
    for name in ("machine", "licence"):
        if not isinstance(notes.get(name), str) or not notes[name]:
            raise G3ANError(f"The notes for a card lack {name!r}, a sentence or a word; give it.")
    for name, needed in (("limits", True), ("history", False)):
        told = notes.get(name, None if needed else [])
        if not isinstance(told, list) or not all(isinstance(sentence, str) for sentence in told):
            raise G3ANError(f"The notes for a card need {name!r} as a list of sentences, not {told!r}.")


def _logged(path: Path) -> list[dict[str, float]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        raise G3ANError(f"{path} does not exist; a run's log is part of its card.") from None
    except (ValueError, OSError) as error:
        raise G3ANError(f"{path} cannot be read as lines of JSON ({error}).") from error


def describe(path: str | Path, data: ClipDataset) -> Path:
    """Measure weights anew and write their card, ``NAME.md`` and ``NAME_nearest.png``; gives back the card's path.

    Parameters
    ----------
    path
        Of the card for programs: all that it holds is kept but for what is measured.
    data
        As for :func:`ship`.

    Raises
    ------
    G3ANError
        The card, its weights or the extractor's are missing or damaged, the data are others than it can be measured
        on, or the folder cannot be written.
    """
    path, card = Path(path), read_json(path)
    if lacking := [part for part in ("training", "data", "curve", "machine", "licence", "limits") if part not in card]:
        raise G3ANError(f"{path} is no card that ships: it lacks {', '.join(lacking)}. g3an.cards.ship writes one.")
    folder, name, steps = path.parent, path.stem, card["training"]["clip_steps"]
    generator = load_generator(path)
    nearest = nearest_clips(generator, data, steps, open_extractor(extractors_of(data.name)[0]))
    card["nearest_training_clip"], card["nearest_in_features"] = nearest.pixels, nearest.features
    if found := measured(generator, data, steps):
        card["measured"] = found.to_dict()
    card["weights_hash"] = str(generator.weights_hash)
    card["parameters"] = sum(value.numel() for value in generator.parameters())
    write_json(folder / f"{name}.json", card)
    with atomic_write(folder / f"{name}_nearest.png") as temporary:
        temporary.write_bytes(nearest.picture)
    with atomic_write(folder / f"{name}.md") as temporary:
        temporary.write_text(_markdown(card), encoding="utf-8")
    return path


def measured(generator: Any, data: ClipDataset, steps: list[int]) -> Report | None:
    """What probes read from a network's clips; None where there are no probes for the data.

    Faces are read by the network that learned from simulated ones, people in action (Weizmann) by probes of the real
    clips, at the frame ``steps`` of the training, and mirrored if its clips were.

    Raises
    ------
    G3ANError
        As :func:`g3an.evaluation.faces.measure` and :func:`g3an.evaluation.actions.measure_actions`.
    """
    if isinstance(data, FaceDataset):
        return measure(generator, data.name, data.readers[0].cache)
    if data.name in IN_ACTION and generator.config.conditional:
        paced = copy(data)
        paced.steps, paced.mirror = tuple(sorted(set(steps))), trained_mirrored(generator)
        return measure_actions(generator, paced)
    return None


_CURVES = {
    "loss_video": "D_V", "loss_image": "D_I", "loss_generator": "G", "loss_pixels": "pixels",
    "loss_maps": "perceptual maps", "loss_flicker": "changes from frame to frame",
    "loss_movement": "how much moves",
    "loss_reading": "what a reader sees", "loss_courses": "courses", "loss_normality": "distance of z_m from N(0, 1)",
}  # fmt: skip


def _thinned(records: list[dict[str, float]], points: int = 200) -> list[dict[str, float]]:
    """Losses averaged to at most ``points`` of them, distances as they are."""
    losses = [record for record in records if "loss_generator" in record]
    size = -(-len(losses) // points) or 1
    curve: list[dict[str, float]] = []
    for first in range(0, len(losses), size):
        part = losses[first : first + size]
        names = [name for name in _CURVES if all(name in record for record in part)]
        means = {name: round(sum(record[name] for record in part) / len(part), 4) for name in names}
        curve.append({"step": part[-1]["step"], **means})
    curve += [record for record in records if "sliced_wasserstein" in record]
    return sorted(curve, key=lambda record: record["step"])


def _markdown(card: dict[str, Any]) -> str:
    config, nearest, near = card["config"], card["nearest_training_clip"], card["nearest_in_features"]
    training = TrainConfig.from_dict(card["training"]).to_dict()  # a run begun by an older version lacks later settings
    places = ", ".join(f"G3_{place}" for place in config["attention_after"]) or "nowhere"
    changes, origins = card.get("training_changes", []), card.get("origins", [])
    whose = "every person" if card["data"].get("split", "all") == "all" else "train people only"
    more = f" and {training['extra_people']} drawn beyond the set" if training["extra_people"] else ""
    between, own = nearest["person_to_nearest_other_person"], nearest["sample_to_nearest_training_clip"]
    compared = f"{near['windows']:,} training windows ({near['videos']:,} videos of {near['people']:,} people)"
    lines = [
        f"# Weights `{card['name']}`",
        "",
        f"- **Network** {card['weights_hash'][:12]}: preset `{config['preset']}`, "
        f"{card['parameters'] / 1e6:.2f} M parameters, F-SA after {places}, "
        f"categories {', '.join(config['classes']) or 'none'}; "
        "half precision, spectral norm folded in.",
        f"- **Data**: {card['data']['name']}, {card['data']['videos']} videos of {card['data']['people']} people, "
        f"{whose}{more}; clips of {training['clip_length']} frames, step {training['clip_steps']}"
        f"{', mirrored at random' if training['mirror'] else ''}.",
        f"- **Licence of the data**: {card['licence']}",
        f"- **Training**{f' (stage {len(origins) + 1})' if origins else ''}: {card['steps']:,} steps of "
        f"{training['batch']} clips ({card['clips_seen']:,} clips), "
        f"{card['training_seconds'] / 60:.0f} minutes, {card['machine']}; {_how(card['steps'], training)}.",
        *_gave_back(card["steps"], training),
        *_perceived(card["steps"], training),
        *(f"- **Before**: {sentence}" for sentence in card.get("history", [])),
        *_origins(origins),
        *(f"- **Changed after step {change['after_step']:,}**: {_settings(change)}." for change in changes),
        f"- **Last losses**: {_last_losses(card['curve'])}.",
        f"- **Sliced Wasserstein distance** to {training['compared_clips']} training clips: "
        f"{card['sliced_wasserstein']} (a guide, no published metric).",
        f"- **Nearest training clip**: the median sample is {own['median']} away from it ({nearest['measure']}); "
        f"the median training clip is {between['median']} away from the nearest of another person in the same action.",
        f"- **Nearest in features** of {near['extractor']}: the median sample is {near['generated'][1]} away from its "
        f"nearest of {compared}, the median window {near['fresh'][1]} from the nearest of another person; "
        f"{near['nearer']:.1%} of {near['samples']} samples are nearer than 95 % of those.",
        *([f"- **Axes of z_a**: {card['axes']} (`g3an/axes.py`)."] if "axes" in card else []),
        *_measured(card.get("measured"), bool(config["classes"])),
        *(f"- **Short of its aim**: {what}." for what in short_of_aims(card.get("measured"))),
        *(f"- **Limit**: {limit}" for limit in card["limits"]),
        "",
        f"![Four samples of a network trained on {display_name(card['data']['name'])}, each above the training clips "
        f"nearest to it, in pixels and in features.]({card['name']}_nearest.png)",
        "",
    ]
    return "\n".join(lines)


def _measured(found: dict[str, Any] | None, conditional: bool) -> list[str]:
    if found is None:
        return []
    faces = "where_it_moves" not in found["motion_variance"]
    alone = found.get("motion_variance_person", {})

    shares = ", ".join(
        f"{name.replace('_', ' ')} {share:.2f}" + (f" ({alone[name]:.2f})" if name in alone else "")
        for name, share in found["motion_variance"].items()
    )
    bracketed = " (in brackets that over real clips of one person)" if alone else ""
    by = (
        "networks that learned from clips of train people, and set against the clips of test people "
        "(see `g3an.evaluation.faces.Report`)"
        if faces
        else "probes of the real clips, and set against these (see `g3an.evaluation.actions.measure_actions`)"
    )
    person = "test person" if faces else "person"
    noise = ""
    if found.get("noise_energy"):
        noise = (
            f" ({found['noise_energy']:.2f} of the data's is noise, which pixels have where nothing moves; without it "
            f"and what still pixels change by in generated clips: {found['movement_energy']:.2f})"
        )
    probed = ""
    if found.get("diversity_probe"):
        probed = f" (as the probe of people sees them: {found['diversity_probe']:.2f})"
    with_c, one_c, fixed = (" and c", " with one c", "z_a and c") if conditional else ("", "", "z_a")
    lines = [
        f"- **Measured** on {found['clips']:,} generated clips, by {by}:",
        f"  - two z_m with one z_a{with_c}: taken for one person in {found['same_person']:.1%} of pairs (clips of one "
        f"{person}: {found['same_person_data']:.1%}), at a threshold that 1 % of pairs of different ones pass;",
        f"  - two z_a{one_c}: taken for two people in {found['told_apart']:.1%} of pairs, at the same threshold;",
        f"  - distance between people, generated over data: {found['diversity']:.2f}{probed};",
        f"  - motion energy, generated over data: {found['motion_energy']:.2f}{noise};",
        f"  - variance over z_m with {fixed} fixed, over that of the data within a class{bracketed}: "
        f"{shares}.",
    ]
    if found.get("motion_agreement"):
        read = ", ".join(f"{name.replace('_', ' ')} {r:.2f}" for name, r in found["motion_agreement"].items())
        lines.append(f"  - these as read from test clips agree with what the clips were drawn with at r = {read}.")
    if found["category_accuracy"] is not None:
        what, whose = ("expressions", "test clips, as labelled")
        if not faces:
            what, whose = ("actions", "real clips of people whom the probe did not know")
        shown = f"{found['category_accuracy']:.1%} ({whose}: {found['category_accuracy_data']:.1%})"
        lines.insert(1, f"  - {what} read as asked for: {shown};")
    return lines


AIMS = {
    "category_accuracy": ("categories read as asked for", 0.9, 1.0),
    "same_person": ("pairs of two z_m with one z_a that are taken for one person", 0.95, 1.0),
    "diversity": ("distance between people, generated over data", 0.8, 1.2),
    "diversity_probe": ("the same distance as the probe of people sees it", 0.8, 1.2),
    "motion_energy": ("motion energy, generated over data", 0.75, 1.25),
}
"""What a network that ships should reach, from and to; a card says where it does not."""
LEAST_VARIANCE = 0.5
"""Of the data's variance within a class, what each factor of motion should have over z_m."""


def short_of_aims(found: dict[str, Any] | None) -> list[str]:
    """In which measurements (:meth:`g3an.evaluation.faces.Report.to_dict`) a network falls short of :data:`AIMS`."""
    if found is None:
        return []
    short = []
    for name, (what, least, most) in AIMS.items():
        value = found.get(name)
        if value is not None and not least <= value <= most:
            aim = f"at least {least:g}" if value < least else f"at most {most:g}"
            short.append(f"{what}, {value:.3g} (aim: {aim})")
    few = [f"{name.replace('_', ' ')} {share:.3g}" for name, share in found["motion_variance"].items()
           if share < LEAST_VARIANCE]  # fmt: skip
    if few:
        short.append(f"variance over z_m, over the data's within a class: {', '.join(few)} (aim: {LEAST_VARIANCE:g})")
    return short


def _how(steps: int, training: dict[str, Any]) -> str:
    """How it was trained, in words; of judges only where there were any."""
    judged = steps > training["reconstruction_alone"]
    cooled = f", rates falling over the last {training['cooling']:,} steps" if training["cooling"] else ""
    common = f"moving average {training['ema_decay']}, precision {training['precision']}, seed {training['seed']}"
    if not judged:
        return f"no judges, Adam {training['learning_rate_g']:g}, {common}{cooled}"
    return (
        f"loss {training['loss']}, Adam {training['learning_rate_g']:g} (G) and {training['learning_rate_d']:g} (D), "
        f"{common}{cooled}; discriminators begin {training['discriminator_init']}, D_I sees "
        f"{training['image_frames']} of a clip's frames, augmentation {' and '.join(training['augment']) or 'none'}, "
        f"R1 {training['r1']:g}, spread of the batch {'seen' if training['batch_spread'] else 'not seen'}"
    )


def _gave_back(steps: int, training: dict[str, Any]) -> list[str]:
    if not training["reconstruction"]:
        return []
    alone = min(steps, training["reconstruction_alone"])
    others = {
        "flicker": "by how pixels change from frame to frame",
        "movement": "by how much moves at each place",
        "reading": "by a reader of expressions",
    }
    weighed = [f"{what} (weight {training[name]:g})" for name, what in others.items() if training[name]]
    *first, last = ["by pixels", "by perceptual maps", *weighed]
    compared = f"Clips are compared {', '.join(first)} and {last}."
    if training["allotted"]:
        steps_of = training["clip_steps"]
        fast = f", the third how fast it goes, from step {min(steps_of)} to {max(steps_of)}"
        pace = fast if len(steps_of) > 1 else ""
        if (side := side_of(training)) is not None:
            pace += f", the {'third' if side == 2 else 'fourth'} whether it is mirrored"
        return [
            f"- **Giving clips back** ({alone:,} steps of it alone): codes are drawn from N(0, 1), and each draw gives "
            "back the clip that it falls to, a window of a person's video of the action (`g3an/allotment.py`): the "
            "first numbers of z_a are principal components of what the people look like and say who, the first two of "
            f"z_m say at which point of the movement the clip begins{pace}; nothing heeds the rest. So people and "
            "movements are those of the training clips, and codes between two people's give a mixture. Videos came up "
            f"in proportion to how much moves in all that is given back of them. {compared}"
        ]
    read_from = "it"
    if training["following"]:
        compared += (
            " Further readers compare the course of expression, head and lids "
            f"(weight {training['following']:g}; `g3an/following.py`)."
        )
        read_from = "it and from its known courses"
    near = f"; these codes are kept near N(0, 1) (weight {training['normality']:g})" if training["normality"] else ""
    usual = TrainConfig.from_profile("faces")
    stirred = [
        f"{training[f'{name}_noise']:g} to {code}"
        for name, code in (("look", "looks"), ("motion", "z_m"))
        if training[f"{name}_noise"] != getattr(usual, f"{name}_noise")
    ]
    blurred = f"; in training noise was added, {' and '.join(stirred)}" if stirred else ""
    if training["known_looks"]:
        people = (
            f"the first {len(APPEARANCE)} numbers of z_a are what a simulated person was drawn from, turned so that "
            "the first change most: z_a is not learned, and a draw is somebody of the same kind by construction, which "
            "no data of real people allow. The rest was noise"
        )
    else:
        people = (
            f"each person has a code that is learned, whose first {training['looks']} numbers began as principal "
            "components of what people look like, the rest as noise"
        )
    return [
        f"- **Giving clips back** ({alone:,} steps of it alone, `g3an/reconstruction.py`): {people} that the network "
        f"was kept from heeding{blurred}, so the first dimensions say much by construction. Each clip has a motion "
        f"code z_m that is read from {read_from}{near}. {compared}"
    ]


def _origins(origins: list[dict[str, Any]]) -> list[str]:
    """The networks whose weights it began with, each with those of the one before it, the oldest first."""
    lines = []
    for stage, origin in enumerate(origins, 1):
        if not origin.get("training"):  # converted from elsewhere, say
            weights = f"{origin['weights_hash'][:12]}{_taken_over(origin)}"
            lines.append(f"- **Stage {stage} before it**: weights {weights}, whose card says nothing of a training.")
            continue
        training = TrainConfig.from_dict(origin["training"]).to_dict()
        changes = "; ".join(
            f"after step {change['after_step']:,}: {_settings(change)}" for change in origin.get("training_changes", [])
        )
        lines.append(
            f"- **Stage {stage} before it**: weights {origin['weights_hash'][:12]}{_taken_over(origin)}, trained for "
            f"{origin['steps']:,} steps of {training['batch']} clips ({origin['clips_seen']:,} clips), "
            f"{origin['training_seconds'] / 60:.0f} minutes; {_how(origin['steps'], training)}"
            f"{f' ({changes})' if changes else ''}."
        )
    return lines


def _taken_over(origin: dict[str, Any]) -> str:
    """What became of a network's weights before they were trained on."""
    what = ""
    if "category" in origin:
        dataset = origin.get("dataset", "unknown data")
        what = f" (of {dataset}, c held at {origin['category']}: the norms took over what it added)"
    if "widths" in origin:
        widths = ", ".join(map(str, origin["widths"]))
        became = "each channel became two, which made the same videos"
        if origin.get("sides"):
            became = "each channel got a second one, which made its mirror image"
        what += f" (streams {widths} wide: {became}, `g3an/widening.py`)"
    return what


def _perceived(steps: int, training: dict[str, Any]) -> list[str]:
    if not training["perception"] or steps <= training["reconstruction_alone"]:
        return []
    together = {1: "drawn one by one", 2: "in pairs of one person", 4: "in fours of one category and two people"}
    return [
        f"- **Perceptual judge**: weight {training['perception']:g}, {training['perception_frames']} frames of a clip, "
        f"clips {together[training['together']]}; weight of the diversity loss {training['diversity']:g}."
    ]


def _settings(change: dict[str, Any]) -> str:
    def shown(value: Any) -> str:
        return " and ".join(value) or "none" if isinstance(value, list) else str(value)

    pairs = change["settings"].items()
    return ", ".join(f"{name} {shown(value['from'])} → {shown(value['to'])}" for name, value in pairs)


def _last_losses(curve: list[dict[str, float]]) -> str:
    last = next(record for record in reversed(curve) if "loss_generator" in record)
    return ", ".join(f"{label} {last[name]:.2f}" for name, label in _CURVES.items() if name in last)
