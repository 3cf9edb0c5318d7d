"""From a tiny smoke run to weights that could ship: files, card, and nearest training clips."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from few_shapes import few

from g3an import cards
from g3an.cards import ship
from g3an.checkpoints import WEIGHTS_FOLDER, load_generator
from g3an.config import ModelConfig, TrainConfig
from g3an.errors import G3ANError
from g3an.evaluation.extractors import Extractor
from g3an.files import atomic_write
from g3an.generator import Generator
from g3an.training import train

NOTES = {"machine": "a test", "licence": "none, drawn in code", "limits": ["It is not trained.", "It never will be."]}


OPENED: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def quick_extractor() -> Iterator[None]:
    """Some pixels instead of a network that takes its time for each clip; notes which network was asked for."""

    def opened(name: str) -> Extractor:
        OPENED.append(name)
        return Extractor(name, "0" * 64, 1536, "none", lambda x: (x[:, :, ::8, 1::4, 1::4].flatten(1), None))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cards, "open_extractor", opened)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training") / "run"
    model = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,))
    settings = {"steps": 6, "batch": 4, "steps_per_epoch": 4, "checkpoint_every": 2, "sample_every": 3}
    profile = TrainConfig.from_profile("smoke", **settings, video_width=4, image_width=4)
    train(folder, "shapes", None, model, profile, progress=False, device="cpu")
    return folder


@pytest.fixture(scope="module")
def shipped(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ship(run, "tiny", few(), NOTES, tmp_path_factory.mktemp("a folder") / "weights")


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


# --- Files ------------------------------------------------------------------------------------------------------------


def test_the_weights_are_those_of_the_run(run, shipped):
    names = ["tiny.json", "tiny.md", "tiny.safetensors", "tiny_nearest.png"]
    assert shipped.name == "tiny.json" and sorted(path.name for path in shipped.parent.iterdir()) == names
    assert (shipped.parent / "tiny.safetensors").read_bytes() == (run / "generator.safetensors").read_bytes()
    original, copy = load_generator(run / "generator.json"), load_generator(shipped)
    assert copy.weights_hash == original.weights_hash
    state = original.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in copy.state_dict().items())


def test_the_card_says_where_the_weights_come_from(run, shipped):
    card, trained = read(shipped), read(run / "generator.json")
    assert {**card, **{name: trained[name] for name in trained if name not in ("name", "files")}} == card
    assert {name: card[name] for name in NOTES} == NOTES
    assert card["name"] == "tiny" and card["files"] == ["tiny.safetensors"]
    assert card["smoke"] is True, "weights of a smoke run have to say so"
    assert (card["steps"], card["clips_seen"], card["dataset"]) == (6, 24, "shapes")
    assert card["data"] == {"name": "shapes", "videos": 48, "people": 12, "split": "all"}
    assert card["parameters"] == sum(value.numel() for value in Generator(
        ModelConfig.from_dict(card["config"]), spectral_norm=False).parameters())  # fmt: skip
    assert card["software"]["torch"] == torch.__version__ and card["software"]["python"].startswith("3.")
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [record for record in card["curve"] if "loss_video" in record]
    assert [record["step"] for record in losses] == [1, 2, 3, 4, 5, 6]
    for record, line in zip(losses, (line for line in logged if "loss_video" in line), strict=True):
        assert all(record[name] == pytest.approx(line[name], abs=1e-4) for name in record)
    distances = [record for record in card["curve"] if "sliced_wasserstein" in record]
    assert distances == [line for line in logged if "sliced_wasserstein" in line] and len(distances) == 2


def test_the_card_for_people_says_what_that_for_programs_says(shipped):
    card, text = read(shipped), shipped.with_suffix(".md").read_text(encoding="utf-8")
    quartiles, near = card["nearest_training_clip"], card["nearest_in_features"]
    assert near["extractor"] == OPENED[0] == "transnetv2", "the one that knows clips of any kind"
    assert near["windows"] == len(few().windows(2, 2)) * 2 and near["samples"] == quartiles["samples"] == 64
    last = [record for record in card["curve"] if "loss_video" in record][-1]
    for words in (
        "# Weights `tiny`",
        "preset `small`",
        f"{card['parameters'] / 1e6:.2f} M parameters",
        "F-SA after G3_1",
        "categories slide, bounce, orbit, pulse" if card["config"]["classes"] else "categories none",
        "shapes, 48 videos of 12 people",
        "none, drawn in code",
        "6 steps of 4 clips (24 clips)",
        "a test; loss bce",
        f"D_V {last['loss_video']:.2f}",
        f"to 16 training clips: {card['sliced_wasserstein']}",
        f"median sample is {quartiles['sample_to_nearest_training_clip']['median']} away",
        f"is {quartiles['person_to_nearest_other_person']['median']} away",
        f"in features** of transnetv2: the median sample is {near['generated'][1]} away",
        f"{near['windows']} training windows ({near['videos']} videos of {near['people']} people), the median window "
        f"{near['fresh'][1]} from",
        f"{near['nearer']:.1%} of 64 samples are nearer",
        "- **Limit**: It is not trained.\n- **Limit**: It never will be.\n",
        "](tiny_nearest.png)",
    ):
        assert words in text, words


def test_the_best_step_can_be_shipped_instead(run, tmp_path):
    best = read(run / "best.json")
    card = read(ship(run, "finest", few(2), NOTES, tmp_path, which="best"))
    assert (tmp_path / "finest.safetensors").read_bytes() == (run / "best.safetensors").read_bytes()
    assert card["steps"] == best["steps"] and max(record["step"] for record in card["curve"]) == best["steps"]
    assert card["sliced_wasserstein"] == best["sliced_wasserstein"]


def test_several_files_are_renamed_and_old_ones_removed(run, shipped, tmp_path):
    """Larger generators come in numbered parts; parts of a former, larger one must not stay."""
    from safetensors.torch import load_file, save_file

    parts = tmp_path / "run"
    shutil.copytree(run, parts)
    tensors = list(load_file(parts / "generator.safetensors").items())
    names = [f"generator-{k:05d}-of-00002.safetensors" for k in (1, 2)]
    for name, part in zip(names, (tensors[:20], tensors[20:]), strict=True):
        save_file(dict(part), parts / name)
    (parts / "generator.json").write_text(json.dumps({**read(run / "generator.json"), "files": names}))
    folder = tmp_path / "weights"
    folder.mkdir()
    old = [f"tiny-0000{k}-of-00003.safetensors" for k in (1, 2, 3)]
    for name in (*old, "tiny-second.safetensors", "other.safetensors"):
        (folder / name).touch()
    (folder / "tiny.json").write_text(json.dumps({"files": old}))
    card = ship(parts, "tiny", few(2), NOTES, folder)
    wanted = [name.replace("generator", "tiny") for name in names]
    assert read(card)["files"] == wanted
    left = sorted(path.name for path in folder.glob("*.safetensors"))
    assert left == ["other.safetensors", *wanted, "tiny-second.safetensors"], "another network's stay"
    state = load_generator(shipped).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in load_generator(card).state_dict().items())


def test_a_run_on_other_data_or_none_at_all_is_refused_and_nothing_written(run, tmp_path):
    data = few(2)
    data.name = "weizmann"
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "tiny.safetensors").write_bytes(b"old")
    with pytest.raises(G3ANError, match="trained on shapes, not on weizmann"):
        ship(run, "tiny", data, NOTES, folder)
    with pytest.raises(G3ANError, match="does not exist"):
        ship(tmp_path / "nothing", "tiny", few(2), NOTES, folder)
    with pytest.raises(G3ANError, match="does not exist"):
        ship(run, "tiny", few(2), NOTES, folder, which="worst")
    for lacking in ("machine", "licence", "limits"):
        with pytest.raises(G3ANError, match=f"notes for a card .* '{lacking}'"):
            ship(run, "tiny", few(2), {name: NOTES[name] for name in NOTES if name != lacking}, folder)
    with pytest.raises(G3ANError, match="'history' as a list of sentences, not 'long'"):
        ship(run, "tiny", few(2), {**NOTES, "history": "long"}, folder)
    part = tmp_path / "part"
    shutil.copytree(run, part)
    (part / "generator.safetensors").unlink()
    with pytest.raises(G3ANError, match=r"generator\.safetensors does not exist, but generator\.json there names"):
        ship(part, "tiny", few(2), NOTES, folder)
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("tiny.safetensors", b"old")]


def test_all_weights_are_copied_before_one_replaces_another(run, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    names = [f"{{}}-0000{k}-of-00002.safetensors" for k in (1, 2)]
    for name in names:
        (folder / name.format("tiny")).write_bytes(b"old")
    parts = tmp_path / "run"
    shutil.copytree(run, parts)
    for name in names:
        (parts / name.format("generator")).write_bytes(b"new")
    trained = read(run / "generator.json")
    trained["files"] = [name.format("generator") for name in names]
    (parts / "generator.json").write_text(json.dumps(trained))
    copy = shutil.copyfile

    def fails(source, target):
        if "00002-of" in Path(source).name:
            raise OSError(5, "Input/output error", str(source))
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", fails)
    with pytest.raises(G3ANError, match=r"for .*run/generator-00002-of-00002\.safetensors failed: Input/output error"):
        ship(parts, "tiny", few(2), NOTES, folder)
    assert {path.read_bytes() for path in folder.iterdir()} == {b"old"} and len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), r"Cannot write .*card\.md: No space left on device\. Free space"),
        (FileNotFoundError(2, "No such file", "source.md"), r"Cannot write .*card\.md, for source\.md failed: No such"),
    ],
)
def test_what_failed_while_a_file_was_written_is_named(tmp_path, error, said):
    (tmp_path / "card.md").write_text("old")
    with pytest.raises(G3ANError, match=said), atomic_write(tmp_path / "card.md"):
        raise error
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


# --- Curves -----------------------------------------------------------------------------------------------------------


def test_long_curves_are_thinned_by_averaging():
    names = ("loss_video", "loss_image", "loss_generator")
    records = [{"step": step, **dict.fromkeys(names, float(step))} for step in range(1, 1001)]
    records.insert(500, {"step": 500, "sliced_wasserstein": 0.5})
    curve = cards._thinned(records)
    losses = [record for record in curve if "loss_video" in record]
    assert len(losses) == 200 and losses[0] == {"step": 5, **dict.fromkeys(names, 3.0)}
    assert losses[-1]["step"] == 1000 and {"step": 500, "sliced_wasserstein": 0.5} in curve
    assert [record["step"] for record in curve] == sorted(record["step"] for record in curve)


def test_a_card_says_what_of_z_a_was_known():
    training = TrainConfig.from_profile("faces", known_looks=True, normality=10.0, cooling=50).to_dict()
    (line,) = cards._gave_back(100, training)
    assert "the first 46 numbers of z_a are what a simulated person was drawn from" in line and "not learned" in line
    assert "these codes are kept near N(0, 1) (weight 10). Clips are compared by pixels" in line
    assert "has a code that is learned" not in line
    assert "rates falling over the last 50 steps" in cards._how(100, training)
    assert "by how pixels change" not in line and "noise was added" not in line
    stirred = training | {"look_noise": 0.05, "motion_noise": 0.2}
    (noise,) = cards._gave_back(1, stirred)
    assert "heeding; in training noise was added, 0.05 to looks and 0.2 to z_m, so the first" in noise
    for allotted in (False, True):
        steady = {"flicker": 1.0, "reading": 0.0, "allotted": allotted}
        (line,) = cards._gave_back(100, TrainConfig.from_profile("faces", **steady).to_dict())
        assert "by pixels, by perceptual maps and by how pixels change from frame to frame (weight 1)." in line
    assert "begins; nothing heeds the rest" in line
    paced = TrainConfig.from_profile("faces", reading=0.0, allotted=True, clip_steps=(1, 2, 3)).to_dict()
    (line,) = cards._gave_back(100, paced)
    assert "the clip begins, the third how fast it goes, from step 1 to 3; nothing heeds the rest" in line
    (line,) = cards._gave_back(100, paced | {"mirror": True})
    assert "from step 1 to 3, the fourth whether it is mirrored; nothing heeds the rest" in line
    (line,) = cards._gave_back(100, paced | {"mirror": True, "clip_steps": [1]})
    assert "the clip begins, the third whether it is mirrored; nothing heeds the rest" in line
    (learned,) = cards._gave_back(100, TrainConfig.from_profile("faces").to_dict())
    followed = {"following": 0.3, "reading": 0.5, "flicker": 1.0, "movement": 2.0}
    (line,) = cards._gave_back(100, TrainConfig.from_profile("faces", **followed).to_dict())
    assert line.endswith(
        "Each clip has a motion code z_m that is read from it and from its known courses. Clips are compared by "
        "pixels, by perceptual maps, by how pixels change from frame to frame (weight 1), by how much moves at each "
        "place (weight 2) and by a reader of expressions (weight 0.5). Further readers compare the course of "
        "expression, head and lids (weight 0.3; `g3an/following.py`)."
    )
    assert "each person has a code that is learned, whose first 64 numbers" in learned and "N(0, 1)" not in learned


def test_a_card_says_what_became_of_the_weights_before_it():
    training = TrainConfig.from_profile("faces").to_dict()
    origin = {"weights_hash": "a" * 64, "steps": 7, "clips_seen": 56, "training_seconds": 60.0, "training": training}
    held = origin | {"dataset": "mug-sim", "category": "happy"}
    others = [{"weights_hash": "b" * 64}, origin | {"widths": [4, 2]}, origin | {"widths": [4, 2], "sides": True}]
    plain, line, bare, wide, both = cards._origins([origin, held, *others])
    assert "(streams 4, 2 wide: each channel got a second one, which made its mirror image, `g3an/wid" in both
    assert bare == "- **Stage 3 before it**: weights bbbbbbbbbbbb, whose card says nothing of a training."
    assert plain.startswith("- **Stage 1 before it**") and line.startswith("- **Stage 2 before it**")
    assert "weights aaaaaaaaaaaa (of mug-sim, c held at happy: the norms took over what it added), trained" in line
    assert "weights aaaaaaaaaaaa, trained for 7 steps" in plain
    assert "weights aaaaaaaaaaaa (streams 4, 2 wide: each channel became two, which made the same videos, " in wide


def test_what_is_no_card_that_ships_is_one_sentence(shipped, tmp_path):
    for file in shipped.parent.iterdir():
        shutil.copy(file, tmp_path)
    card = read(shipped)
    del card["training"], card["curve"]
    (tmp_path / shipped.name).write_text(json.dumps(card))
    with pytest.raises(G3ANError, match=r"tiny\.json is no card that ships: it lacks training, curve\."):
        cards.describe(tmp_path / shipped.name, few())


def test_a_card_speaks_of_categories_only_where_there_are_some():
    found = read(WEIGHTS_FOLDER / "uva-nemo-sim.json")["measured"]
    assert not any(" c" + end in line for line in cards._measured(found, False) for end in (":", " fixed"))
    assert any("z_a and c fixed" in line for line in cards._measured(found, True))
    probed = cards._measured(found | {"diversity_probe": 0.5}, True)
    assert any(line.endswith("(as the probe of people sees them: 0.50);") for line in probed)
    agreeing = cards._measured(found | {"motion_agreement": {"peak": 0.91, "yaw_drift": 0.9}}, False)
    assert agreeing[-1].endswith("agree with what the clips were drawn with at r = peak 0.91, yaw drift 0.90.")
    assert len(cards._measured(found | {"motion_agreement": {}}, False)) == len(agreeing) - 1


def test_a_card_says_by_itself_what_falls_short():
    good = {"category_accuracy": 0.9, "same_person": 1.0, "diversity": 1.2, "motion_energy": 0.75}
    good |= {"motion_variance": {"onset": 0.5}, "diversity_probe": None}
    assert cards.short_of_aims(good) == []
    assert cards.short_of_aims(None) == [] == cards.short_of_aims(good | {"category_accuracy": None})
    bad = {"same_person": 0.949, "diversity": 1.21, "motion_energy": 0.749}
    bad["motion_variance"] = {"onset": 0.49, "yaw": 2}
    assert cards.short_of_aims(good | bad) == [
        "pairs of two z_m with one z_a that are taken for one person, 0.949 (aim: at least 0.95)",
        "distance between people, generated over data, 1.21 (aim: at most 1.2)",
        "motion energy, generated over data, 0.749 (aim: at least 0.75)",
        "variance over z_m, over the data's within a class: onset 0.49 (aim: 0.5)",
    ]


@pytest.mark.parametrize("path", sorted(WEIGHTS_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_card_is_of_its_weights(path):
    assert read(path)["weights_hash"] == load_generator(path).weights_hash, "measure anew: g3an.cards.describe"


@pytest.mark.parametrize("path", sorted(WEIGHTS_FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_card_for_people_is_that_for_programs(path):
    assert path.with_suffix(".md").read_text(encoding="utf-8") == cards._markdown(read(path))
