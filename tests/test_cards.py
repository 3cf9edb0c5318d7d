"""From a tiny smoke run to weights that could ship: files, card, and nearest training clips."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from g3an import cards
from g3an.cards import nearest_clips, ship
from g3an.checkpoints import load_generator
from g3an.config import ModelConfig, TrainConfig
from g3an.data import ClipDataset, open_dataset
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.training import train

NOTES = {"machine": "a test", "licence": "none, drawn in code", "limits": ["It is not trained.", "It never will be."]}


def few(people: int = 3) -> ClipDataset:
    """The first people of ``shapes``: few enough to compare by hand."""
    data = open_dataset("shapes")
    kept = [i for i, who in enumerate(data.subjects) if who in sorted(set(data.subjects))[:people]]
    return ClipDataset(
        "shapes", [data.readers[i] for i in kept], [data.sources[i] for i in kept], data.classes,
        [data.categories[i] for i in kept], [data.subjects[i] for i in kept],
    ).keep()  # fmt: skip


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
    quartiles = card["nearest_training_clip"]
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
    for old in ("tiny.safetensors", "tiny-00003-of-00003.safetensors", "other.safetensors"):
        (folder / old).touch()
    card = ship(parts, "tiny", few(2), NOTES, folder)
    wanted = [name.replace("generator", "tiny") for name in names]
    assert read(card)["files"] == wanted
    assert sorted(path.name for path in folder.glob("*.safetensors")) == ["other.safetensors", *wanted]
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
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("tiny.safetensors", b"old")]


# --- Nearest clips ----------------------------------------------------------------------------------------------------


class Repeating(nn.Module):
    """A network that does nothing but repeat clips, a little brighter."""

    def __init__(self, clips: list[Tensor], brighter: float = 0.0) -> None:
        super().__init__()
        self.config = ModelConfig.from_preset("small")
        self.clips, self.brighter, self.made = clips, brighter, 0
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, z_a, z_m, c):
        chosen = [self.clips[(self.made + k) % len(self.clips)] for k in range(len(z_a))]
        self.made += len(z_a)
        return torch.stack(chosen) + self.brighter


def test_a_network_that_repeats_its_training_clips_is_found_out():
    data = few(2)
    clips = [data.clip(i, start, 1, flip)["video"] for i, start, flip in ((0, 0, False), (3, 4, True), (6, 16, False))]
    summary = nearest_clips(Repeating(clips).eval(), data, [1])["summary"]
    assert summary["samples"] == 64
    assert summary["sample_to_nearest_training_clip"] == pytest.approx(
        {"lower quartile": 0, "median": 0, "upper quartile": 0}, abs=1e-3
    )
    assert summary["person_to_nearest_other_person"]["median"] > 0.05


def test_distances_are_root_mean_squares_of_pixels_from_0_to_1():
    """0.1 brighter in [-1, 1] is 0.05 in [0, 1], whatever the resolution."""
    data = few(2)
    clip = data.clip(1, 2, 1)["video"] * 0.5  # so that no other clip is nearer and nothing leaves the range
    data._kept = {i: (frames * 0.5 + 63.75).round().astype(np.uint8) for i, frames in data._kept.items()}
    summary = nearest_clips(Repeating([clip], 0.1).eval(), data, [1])["summary"]
    assert summary["sample_to_nearest_training_clip"]["median"] == pytest.approx(0.05, abs=2e-3)


def test_the_summary_agrees_with_a_plain_search():
    """All windows at a distance of 2 frames, mirrored or not, compared one by one."""
    data = few(3)
    rows = []
    for i, start in data.windows(2, 2):
        for flip in (False, True):
            video = (data.clip(i, start, 2, flip)["video"].double().numpy() + 1) / 2
            small = video.reshape(3, 8, 2, 16, 4, 16, 4).mean(axis=(2, 4, 6)).ravel()
            rows.append((data.subjects[i], data.categories[i], small))
    others: list[float] = []
    for person in sorted(set(data.subjects)):
        for kind in sorted(set(data.categories)):
            mine = [small for who, what, small in rows if who == person and what == kind]
            theirs = np.stack([small for who, what, small in rows if who != person and what == kind])
            others += [float(np.sqrt(((theirs - small) ** 2).mean(1)).min()) for small in mine[::8]]
    grey = torch.zeros(3, 16, 64, 64)
    summary = nearest_clips(Repeating([grey]).eval(), data, [1, 2])["summary"]
    nearest = min(float(np.sqrt(((small - 0.5) ** 2).mean())) for _, _, small in rows)
    assert summary["sample_to_nearest_training_clip"]["median"] == pytest.approx(nearest, abs=1e-3)
    low, middle, high = np.quantile(others, [0.25, 0.5, 0.75])
    assert summary["person_to_nearest_other_person"] == pytest.approx(
        {"lower quartile": low, "median": middle, "upper quartile": high}, abs=1e-3
    )


def test_the_picture_shows_samples_above_the_clips_they_resemble(monkeypatch):
    drawn = []
    real = cards.draw_panels
    monkeypatch.setattr(
        cards, "draw_panels", lambda panels, *rest, **more: drawn.extend(panels) or real(panels, *rest, **more)
    )
    data = few(2)
    clips = [data.clip(i, 4, 1, True)["video"] for i in range(8)]
    found = nearest_clips(Repeating(clips).eval(), data, [1])
    [panel] = drawn
    assert panel.rows == ("sample", "training") * 4
    assert (panel.videos[::2] == panel.videos[1::2]).all()
    # Samples 0, 21, 42 and 63 of 64, which repeat eight clips in turn.
    wanted = [((clips[k % 8] + 1) * 127.5).round().permute(1, 2, 3, 0).numpy() for k in (0, 21, 42, 63)]
    assert (panel.videos[::2] == np.stack(wanted)).all()
    with Image.open(io.BytesIO(found["picture"])) as image:
        assert image.format == "PNG" and image.width > 16 * 128 and image.height > 8 * 128


def test_long_curves_are_thinned_by_averaging():
    names = ("loss_video", "loss_image", "loss_generator")
    records = [{"step": step, **dict.fromkeys(names, float(step))} for step in range(1, 1001)]
    records.insert(500, {"step": 500, "sliced_wasserstein": 0.5})
    curve = cards._thinned(records)
    losses = [record for record in curve if "loss_video" in record]
    assert len(losses) == 200 and losses[0] == {"step": 5, **dict.fromkeys(names, 3.0)}
    assert losses[-1]["step"] == 1000 and {"step": 500, "sliced_wasserstein": 0.5} in curve
    assert [record["step"] for record in curve] == sorted(record["step"] for record in curve)
