"""The losses, the moving average, and a run that is killed, resumed, or goes wrong."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from g3an import training
from g3an.checkpoints import load_generator, read_state, save_generator
from g3an.config import ModelConfig, TrainConfig
from g3an.errors import G3ANError
from g3an.evaluation.sliced import sliced_wasserstein
from g3an.files import read_json
from g3an.generator import Generator
from g3an.training import (
    COLDEST,
    MovingAverage,
    Stopped,
    _heat,
    _require_finite,
    _require_sane,
    discriminator_loss,
    draw_codes,
    generator_loss,
    gradient_penalty,
    normalising_alone,
    recompute_statistics,
    train,
)

TINY = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,))
QUICK = {"steps": 6, "batch": 4, "steps_per_epoch": 4, "checkpoint_every": 2, "sample_every": 3}
QUICK |= {"video_width": 4, "image_width": 4}

RUN = """
import sys, torch
from g3an.config import ModelConfig, TrainConfig
from g3an.training import train
torch.set_num_threads(1)
train(sys.argv[1], "shapes", None, ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,)),
      TrainConfig.from_profile("smoke", steps=10, batch=4, steps_per_epoch=5, checkpoint_every=1, sample_every=4,
                               video_width=4, image_width=4, workers=1),
      resume=sys.argv[2] == "resume", progress=False, device="cpu")
"""


def smoke(**changes: object) -> TrainConfig:
    return TrainConfig.from_profile("smoke", **{**QUICK, **changes})


def test_losses_against_their_formulas() -> None:
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    expected = -(real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean())
    assert torch.allclose(discriminator_loss(real, fake), expected)
    assert discriminator_loss(real, fake, "hinge").item() == pytest.approx(1.0 + 0.75)
    assert torch.allclose(generator_loss(fake), -fake.sigmoid().log().mean())
    assert generator_loss(fake, "hinge").item() == pytest.approx(1.25)


def test_gradient_penalty_of_a_linear_judge_is_its_slope() -> None:
    slope = torch.randn(3 * 4 * 4, generator=torch.Generator().manual_seed(0))
    judge = nn.Sequential(nn.Flatten(), nn.Linear(48, 1, bias=False))
    judge[1].weight = nn.Parameter(slope[None].clone())
    penalty = gradient_penalty(judge, torch.randn(5, 3, 4, 4))
    assert penalty.item() == pytest.approx(slope.square().sum().item(), rel=1e-5)
    penalty.backward()
    assert torch.allclose(judge[1].weight.grad[0], 2 * slope)


def test_codes_depend_on_seed_and_step_only() -> None:
    config = ModelConfig.from_preset("small", classes=("a", "b"))
    torch.manual_seed(1)
    first = draw_codes(config, 4, seed=3, step=7)
    torch.manual_seed(2)
    assert all(torch.equal(one, other) for one, other in zip(first, draw_codes(config, 4, 3, 7), strict=True))
    assert not torch.equal(first[0], draw_codes(config, 4, 3, 8)[0])
    assert not torch.equal(first[0], draw_codes(config, 4, 4, 7)[0])


def test_codes_that_belong_together() -> None:
    config = ModelConfig.from_preset("small", classes=("a", "b", "c"))
    z_a, z_m, c = draw_codes(config, 24, seed=3, step=7, together=4)
    assert torch.equal(z_a[0::2], z_a[1::2]) and z_a.unique(dim=0).shape[0] == 12
    moves = z_m.unflatten(0, (6, 2, 2))
    assert torch.equal(moves[:, 0], moves[:, 1]) and z_m.unique(dim=0).shape[0] == 12, "two people, two motions"
    assert draw_codes(config, 24, 3, 7, together=2)[1].unique(dim=0).shape[0] == 24
    fours = c.argmax(1).unflatten(0, (6, 4))
    assert (fours == fours[:, :1]).all()
    assert sorted(fours[:3, 0].tolist()) == sorted(fours[3:, 0].tolist()) == [0, 1, 2], "categories come in turn"


def test_average_leaves_buffers_alone() -> None:
    generator = Generator(TINY)
    before = {name: value.clone() for name, value in generator.named_parameters()}
    average = MovingAverage(generator, decay=0.9)
    with torch.no_grad():
        for value in generator.parameters():
            value.add_(1.0)
    average.update(generator)
    for name, value in generator.named_parameters():
        assert torch.allclose(average.weights[name], 0.9 * before[name] + 0.1 * value, atol=1e-6)
    assert average.weights.keys() == dict(generator.named_parameters()).keys()
    sampler = average.network(generator, seed=0, passes=2, batch=4)
    assert not sampler.training and generator.training


def test_recomputed_statistics_are_the_means_over_passes() -> None:
    generator = Generator(TINY)
    norm = generator.modules_g3[0].conv_t[1]
    norm.running_mean.fill_(50.0)
    seen: list[torch.Tensor] = []
    norm.register_forward_hook(lambda _m, inputs, _out: seen.append(inputs[0].mean((0, 2, 3, 4))))
    recompute_statistics(generator, seed=0, passes=3, batch=4)
    assert torch.allclose(norm.running_mean, torch.stack(seen[-3:]).mean(0), atol=1e-5)
    assert norm.momentum == 0.1


def test_frozen_norms_keep_their_statistics_and_spectral_norms_do_not() -> None:
    torch.manual_seed(0)
    generator = Generator(TINY)
    recompute_statistics(generator, seed=0, passes=2, batch=4)
    generator.train()
    before = {name: value.clone() for name, value in generator.named_buffers()}
    with torch.no_grad():
        for value in generator.parameters():
            value.add_(0.3 * torch.randn_like(value))
    average = MovingAverage(generator, 0.0)
    sampler = average.network(generator, seed=0, passes=2, batch=4, frozen=True)
    assert not any(module.training for module in sampler.modules())
    assert all(norm.momentum == 0.1 for norm in sampler.modules() if isinstance(norm, torch.nn.BatchNorm3d))
    kept = {name: torch.equal(value, before[name]) for name, value in sampler.named_buffers()}
    assert all(same for name, same in kept.items() if "running" in name)
    assert not any(same for name, same in kept.items() if name.endswith("._u"))
    again = average.network(generator, seed=0, passes=2, batch=4)
    assert not any(torch.equal(value, before[name]) for name, value in again.named_buffers() if "running" in name)


def test_a_run_with_frozen_norms_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "FROZEN_PASSES", 1)

    def statistics(run: Path) -> dict[str, torch.Tensor]:
        state = read_state(run / "checkpoints" / "last.pt")["generator"]
        return {name: value for name, value in state.items() if "running" in name}

    def go(run: str, steps: int, resume: bool = False, **changes: object) -> None:
        config = smoke(steps=steps, checkpoint_every=1, **changes)
        train(tmp_path / run, "shapes", None, TINY, config, resume=resume, progress=False, device="cpu")

    go("whole", 4, frozen_norms=True)
    go("parts", 2, frozen_norms=True)
    held = statistics(tmp_path / "parts")
    go("parts", 4, True, frozen_norms=True)
    for name, value in statistics(tmp_path / "parts").items():
        assert torch.equal(value, held[name]), f"{name} was frozen"
    whole, parts = (weights_of(tmp_path / run) for run in ("whole", "parts"))
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())

    go("later", 2)
    moving = statistics(tmp_path / "later")
    go("later", 3, True, frozen_norms=True)
    assert not any(torch.equal(value, moving[name]) for name, value in statistics(tmp_path / "later").items())
    changed = read_json(tmp_path / "later" / "generator.json")["training_changes"]
    assert changed == [{"after_step": 2, "settings": {"frozen_norms": {"from": False, "to": True}}}]


def test_sliced_wasserstein() -> None:
    generator = torch.Generator().manual_seed(0)
    clips = torch.rand(8, 3, 16, 16, 16, generator=generator) * 2 - 1
    assert sliced_wasserstein(clips, clips) == 0
    near, far = (sliced_wasserstein(clips, (clips + offset).clamp(-1, 1)) for offset in (0.1, 0.5))
    frozen = clips[:, :, :1].expand_as(clips)
    assert 0 < near < far
    assert sliced_wasserstein(clips, frozen) > 0
    with pytest.raises(G3ANError, match="one shape"):
        sliced_wasserstein(clips, clips[:4])


def test_a_run_leaves_everything(tmp_path: Path) -> None:
    card = train(tmp_path / "run", "shapes", None, TINY, smoke(), progress=False, device="cpu")
    run = tmp_path / "run"
    generator = load_generator(card)
    assert generator.card["smoke"] and generator.card["clips_seen"] == 24
    assert generator.config.classes
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "loss_video" in record] == [1, 2, 3, 4, 5, 6]
    assert any("sliced_wasserstein" in record for record in records)
    assert sorted(path.name for path in (run / "samples").iterdir()) == ["step000003.png", "step000006.png"]
    assert (run / "checkpoints" / "best.pt").exists() and load_generator(run / "best.json")
    assert list((run / "tensorboard").iterdir())
    with pytest.raises(G3ANError, match="already holds a run"):
        train(run, "shapes", None, TINY, smoke(), progress=False, device="cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "hinge"},
        {"precision": "bf16"},
        {"augment": ("colour", "translation", "cutout"), "discriminator_init": "orthogonal", "batch_spread": True},
        {"image_frames": 3},
        {"r1": 1.0, "r1_every": 2, "precision": "bf16"},
        {"perception": 0.5, "perception_frames": 16, "together": 2},
        {"perception": 1.0, "together": 4, "diversity": 2.0, "batch_spread": True, "precision": "bf16"},
    ],
)
def test_options_train(tmp_path: Path, changes: dict) -> None:
    train(tmp_path / "run", "shapes", None, TINY, smoke(steps=2, **changes), progress=False, device="cpu")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    state = read_state(run / "checkpoints" / "last.pt")
    networks = ("generator", "video", "image", "deep")
    parts = {f"{part}.{name}": value for part in networks for name, value in state[part].items()}
    return parts | {f"average.{name}": value for name, value in state["average"].items()}


def start(run: Path, how: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(run), how], stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_killed_and_resumed_is_bit_identical(tmp_path: Path) -> None:
    """kill -9 at several moments, among them mid-epoch and, with a checkpoint each step, during a write."""
    whole = start(tmp_path / "whole", "anew")
    assert whole.wait(timeout=300) == 0
    killed = tmp_path / "killed"
    chance = random.Random(0)
    process = start(killed, "anew")
    for _ in range(2):
        before = _steps(killed)
        deadline = time.monotonic() + 120
        while _steps(killed) < min(before + 2, 9) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(chance.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start(killed, "resume")
    assert process.wait(timeout=300) == 0, process.stderr.read()
    expected, found = weights_of(tmp_path / "whole"), weights_of(killed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    weights = [run / "generator.safetensors" for run in (tmp_path / "whole", killed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    steps = [json.loads(line)["step"] for line in (killed / "log.jsonl").read_text().splitlines() if "loss_v" in line]
    assert steps == list(range(1, 11)), "a step was logged twice or lost"


def _steps(run: Path) -> int:
    log = run / "log.jsonl"
    return log.read_text().count("loss_video") if log.exists() else 0


def test_a_kill_during_a_checkpoint_write_keeps_the_old_one(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run, "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    before = read_state(run / "checkpoints" / "last.pt")["step"]
    script = RUN.replace("train(sys", "import os; real = os.replace\n"
        "def dying(a, b):\n    if str(b).endswith('last.pt'): os.kill(os.getpid(), 9)\n    real(a, b)\n"
        "os.replace = dying\ntrain(sys")  # fmt: skip
    script = script.replace("steps=10, batch=4, steps_per_epoch=5", "steps=4, batch=4, steps_per_epoch=4")
    process = subprocess.run([sys.executable, "-c", script, str(run), "resume"], capture_output=True, timeout=300)
    assert process.returncode == -9, process.stderr.decode()
    assert read_state(run / "checkpoints" / "last.pt")["step"] == before
    train(run, "shapes", None, TINY, smoke(steps=4), resume=True, progress=False, device="cpu")
    train(tmp_path / "whole", "shapes", None, TINY, smoke(steps=4), progress=False, device="cpu")
    expected, found = weights_of(tmp_path / "whole"), weights_of(run)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_with_the_perceptual_judge_goes_on_bit_identically(tmp_path: Path) -> None:
    def settings(steps: int) -> TrainConfig:
        return smoke(steps=steps, perception=1.0, together=4, diversity=2.0, batch_spread=True)

    train(tmp_path / "run", "shapes", None, TINY, settings(2), progress=False, device="cpu")
    train(tmp_path / "run", "shapes", None, TINY, settings(4), resume=True, progress=False, device="cpu")
    train(tmp_path / "whole", "shapes", None, TINY, settings(4), progress=False, device="cpu")
    expected, found = weights_of(tmp_path / "whole"), weights_of(tmp_path / "run")
    assert any(name.startswith("deep") for name in expected)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_of_an_older_version_goes_on(tmp_path: Path) -> None:
    train(tmp_path / "run", "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    state = read_state(last)
    del state["deep"], state["changes"], state["config"]["together"], state["config"]["perception"]
    torch.save(state, last)
    train(tmp_path / "run", "shapes", None, TINY, smoke(steps=3), resume=True, progress=False, device="cpu")
    assert read_state(last)["step"] == 3


def test_ctrl_c_saves_and_exits(tmp_path: Path) -> None:
    process = start(tmp_path / "run", "anew")
    while _steps(tmp_path / "run") < 2 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "the state is saved" in errors.decode() and "--resume" in errors.decode()
    assert f"{Stopped.__module__}.{Stopped.__name__}: " in errors.decode(), "which a caller tells from a mistake"
    assert 2 <= read_state(tmp_path / "run" / "checkpoints" / "last.pt")["step"] < 10


def test_nan_stops_and_keeps_the_last_good_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def failing(fake: torch.Tensor, kind: str = "bce") -> torch.Tensor:
        calls.append(1)
        return fake.mean() * (float("nan") if len(calls) > 8 else 1.0)

    monkeypatch.setattr(training, "generator_loss", failing)
    with pytest.raises(G3ANError, match=r"loss of the generator is nan at step 4.*last\.pt"):
        train(tmp_path / "run", "shapes", None, TINY, smoke(), progress=False, device="cpu")
    state = read_state(tmp_path / "run" / "checkpoints" / "last.pt")
    assert state["step"] == 4
    assert all(torch.isfinite(value).all() for value in state["generator"].values())


def test_nan_weights_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MovingAverage.update

    def poisoning(self: MovingAverage, generator: nn.Module) -> None:
        real(self, generator)
        with torch.no_grad():
            generator.to_rgb.bias.fill_(float("inf"))

    monkeypatch.setattr(MovingAverage, "update", poisoning)
    with pytest.raises(G3ANError, match=r"NaN or infinity|failed"):
        train(tmp_path / "run", "shapes", None, TINY, smoke(checkpoint_every=1), progress=False, device="cpu")
    assert not (tmp_path / "run" / "checkpoints" / "last.pt").exists()


def test_full_disk_is_one_sentence_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    """A limit on the size of a file stands in for a full disk: the system refuses the write in the same way."""
    run = tmp_path / "run"
    train(run, "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    size = (run / "checkpoints" / "last.pt").stat().st_size
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size // 2}, {size // 2}))\n"
    script = limit + RUN.replace("steps=10, batch=4, steps_per_epoch=5", "steps=4, batch=4, steps_per_epoch=4")
    script = script.replace(", workers=1", "")  # shared memory counts as files too, and is not what is tested
    process = subprocess.run([sys.executable, "-c", script, str(run), "resume"], capture_output=True, timeout=300)
    last_line = process.stderr.decode().strip().splitlines()[-1]
    assert "G3ANError: Cannot write" in last_line and str(run) in last_line
    assert read_state(run / "checkpoints" / "last.pt")["step"] == 2
    assert not list((run / "checkpoints").glob(".*")), "half a file was left behind"


def test_wrong_places_and_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(G3ANError, match="Cannot write"):
        train(tmp_path / "file" / "run", "shapes", None, TINY, smoke(), progress=False, device="cpu")
    with pytest.raises(G3ANError, match="nothing to resume"):
        train(tmp_path / "none", "shapes", None, TINY, smoke(), resume=True, progress=False, device="cpu")
    with pytest.raises(G3ANError):
        train(tmp_path / "run", "weizmann", tmp_path / "missing", TINY, smoke(), progress=False, device="cpu")
    with pytest.raises(G3ANError, match="batch is 1"):
        smoke(batch=1)
    with pytest.raises(G3ANError, match="together is 4 and batch 6"):
        smoke(batch=6, together=4)
    with pytest.raises(G3ANError, match="diversity is 2; it needs together 4"):
        smoke(diversity=2.0)
    with pytest.raises(G3ANError, match="perception_frames is 4"):
        smoke(perception=1.0, perception_frames=4)
    train(tmp_path / "run", "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    with pytest.raises(G3ANError, match="another seed"):
        train(tmp_path / "run", "shapes", None, TINY, smoke(steps=4, seed=1), resume=True, progress=False, device="cpu")


def test_courses_may_count_otherwise_but_not_begin_or_cease_to(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").touch()

    def resumed(before: float, now: float) -> list:
        was, wanted = (TrainConfig.from_profile("faces", following=value, reading=0.5) for value in (before, now))
        state = {"dataset": "mug-sim", "config": was.to_dict(), "step": 1}
        monkeypatch.setattr(training, "read_state", lambda path: state)
        return training._state_to_resume(tmp_path, True, wanted, "mug-sim")["changes"]

    assert resumed(0.3, 0.6) == [{"after_step": 1, "settings": {"following": {"from": 0.3, "to": 0.6}}}]
    for before, now in ((0, 0.3), (0.3, 0)):
        with pytest.raises(G3ANError, match="another following"):
            resumed(before, now)


def write_people(root: Path, names: str, frames: int = 31) -> Path:
    """Grey strips, one a person, of two categories."""
    for action in ("bend", "wave"):
        for number, name in enumerate(names):
            (root / action).mkdir(parents=True, exist_ok=True)
            strip = np.full((64, 64 * frames, 3), 40 + 20 * number, np.uint8)
            Image.fromarray(strip).save(root / action / f"{name}.png")
    return root


def test_videos_that_are_too_short_are_told_before_anything_else(tmp_path: Path) -> None:
    root = write_people(tmp_path / "clips", "ab", 20)
    with pytest.raises(G3ANError, match=r"^4 of 4 videos, .* need 31: train with -p clip_steps \[1\], or "):
        train(tmp_path / "run", "folder", root, TINY, smoke(), progress=False, device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_own_data_and_no_fewer_steps(tmp_path: Path) -> None:
    root, run, last = write_people(tmp_path / "clips", "ab"), tmp_path / "run", tmp_path / "run/checkpoints/last.pt"

    def go(root: Path, steps: int, resume: bool = True, begin: object = None, **changes: object) -> dict:
        config = smoke(steps=steps, batch=2, **changes)
        options = {"resume": resume, "begin": begin, "progress": False, "device": "cpu"}
        return read_json(train(run, "folder", root, TINY, config, **options))

    def edit(**changes: object) -> None:
        torch.save({name: value for name, value in (read_state(last) | changes).items() if value is not None}, last)

    go(root, 2, resume=False)
    card = (run / "generator.json").read_bytes()
    with pytest.raises(G3ANError, match="has trained 2 steps, more than 1; resume with at least as many"):
        go(root, 1)
    model = ModelConfig.from_dict({**TINY.to_dict(), "classes": ("bend", "wave")})
    other = save_generator(tmp_path / "other", Generator(model), {"dataset": "folder", "steps": 1})[-1]
    with pytest.raises(G3ANError, match=r"did not begin from .*other\.json, and goes on from its own state"):
        go(root, 3, begin=other)
    write_people(tmp_path / "others", "ac")
    with pytest.raises(G3ANError, match="trained with other videos, people or categories than"):
        go(tmp_path / "others", 3)
    assert (run / "generator.json").read_bytes() == card

    edit(best=0.0)
    root.rename(tmp_path / "moved")
    go(tmp_path / "moved", 3)
    assert load_generator(run / "best.json").card["steps"] <= 2, "no distance is below 0"
    edit(fingerprint=None)  # as before there was one
    changed = go(tmp_path / "others", 4, compared_clips=32, statistics_passes=1)
    assert load_generator(run / "best.json").card["steps"] == 4, "distances to other clips do not compare"
    assert changed["training_changes"] == [
        {"after_step": 3, "settings": {"statistics_passes": {"from": 2, "to": 1}}}
    ], "norms that are estimated otherwise make another network"  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({}, {"device": "gpu"}, "device is 'gpu'; it must be 'auto' or 'cpu'"),
        ({"clip_length": 32}, {}, "clip_length is 32; it must be 16, the frames of a clip"),
        ({}, {"begin": "wiezmann"}, "no shipped weights 'wiezmann'"),
        ({}, {"begin_category": "bend"}, "held at 'bend', but of what"),
        ({}, {"resume": True}, "nothing to resume"),
        ({"precision": "fp16"}, {}, "precision is 'fp16', which needs a GPU"),
        ({}, {"run_dir": "held"}, "already holds a run"),
        ({}, {"run_dir": "file"}, "Cannot write to .*file, which is a file"),
    ],
)
def test_what_needs_no_data_is_told_before_they_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, options: dict, message: str
) -> None:
    monkeypatch.setattr(training, "open_dataset", lambda *_, **__: pytest.fail("opened, for which faces are drawn"))
    (tmp_path / "file").touch()
    (tmp_path / "held" / "checkpoints").mkdir(parents=True)
    (tmp_path / "held" / "checkpoints" / "last.pt").touch()
    options = {"device": "cpu", "run_dir": "run"} | options
    run = tmp_path / options.pop("run_dir")
    with pytest.raises(G3ANError, match=message):
        train(run, "mug-sim", None, TINY, smoke(**changes), progress=False, **options)


def test_a_network_of_more_frames_is_trained_but_its_courses_cannot_be_followed(tmp_path: Path) -> None:
    longer = ModelConfig.from_dict({**TINY.to_dict(), "first_temporal_kernel": 3})
    settings = {"clip_length": 24, "clip_steps": (1,)}
    card = train(tmp_path / "run", "shapes", None, longer, smoke(**settings), progress=False, device="cpu")
    assert load_generator(card).frame_count() == 24
    faces = TrainConfig.from_profile("faces", steps=1, following=0.3, **settings)
    with pytest.raises(G3ANError, match="followed through clips of 16 frames; the network makes 24"):
        train(tmp_path / "faces", "mug-sim", None, longer, faces, progress=False, device="cpu")


def test_heavy_losses_are_no_failure_and_failures_name_no_missing_state(tmp_path: Path) -> None:
    heavy = smoke(batch=8, together=4, perception=1.0, reconstruction=500.0, mirror=False)
    _require_sane(torch.tensor(400.0), "generator", 0, tmp_path, heavy)
    _require_sane(torch.tensor(99.0), "generator", 0, tmp_path, smoke())
    for loss, config, whose in ((101.0, smoke(), "generator"), (1e5, heavy, "generator"), (101.0, heavy, "judges")):
        with pytest.raises(G3ANError, match="No state was saved before; begin anew with a smaller learning rate"):
            _require_sane(torch.tensor(loss), whose, 0, tmp_path, config)
    network = nn.Linear(1, 1)
    nn.init.constant_(network.bias, math.nan)
    with pytest.raises(G3ANError, match=r"^bias holds NaN .* was not saved\. No state was saved before"):
        _require_finite(network, 1, tmp_path)
    (tmp_path / "last.pt").touch()
    with pytest.raises(G3ANError, match=r"The last good state is in .*last\.pt; go on from it with --resume"):
        _require_finite(network, 1, tmp_path)


def test_a_longer_run_goes_on_from_a_shorter_one(tmp_path: Path) -> None:
    train(tmp_path / "run", "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    train(tmp_path / "run", "shapes", None, TINY, smoke(steps=3), resume=True, progress=False, device="cpu")
    train(tmp_path / "whole", "shapes", None, TINY, smoke(steps=3), progress=False, device="cpu")
    expected, found = weights_of(tmp_path / "whole"), weights_of(tmp_path / "run")
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_begins_from_a_network_and_its_card_says_so(tmp_path: Path) -> None:
    first = train(tmp_path / "first", "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    hashed = load_generator(first).weights_hash
    for name in ("whole", "parts"):
        begun = {"progress": False, "device": "cpu", "begin": first}
        if name == "parts":
            train(tmp_path / name, "shapes", None, TINY, smoke(steps=2), **begun)
        card = train(tmp_path / name, "shapes", None, TINY, smoke(steps=4), resume=name == "parts", **begun)
        (origin,) = json.loads(card.read_text())["origins"]
        assert (origin["weights_hash"], origin["steps"]) == (hashed, 2)
    whole, parts = (tmp_path / name / "generator.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()
    fresh = train(tmp_path / "fresh", "shapes", None, TINY, smoke(steps=4), progress=False, device="cpu")
    assert load_generator(fresh).weights_hash != load_generator(whole).weights_hash
    assert json.loads(fresh.read_text())["origins"] == []
    (tmp_path / "parts" / "checkpoints" / "last.pt").unlink()  # as after a kill before the first checkpoint
    with pytest.raises(G3ANError, match="what to begin from again"):
        train(tmp_path / "parts", "shapes", None, TINY, smoke(steps=4), resume=True, progress=False, device="cpu")


def test_a_run_goes_on_with_other_learning_rates(tmp_path: Path) -> None:
    """The advice that failed runs give."""
    train(tmp_path / "run", "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    slower = smoke(steps=3, learning_rate_g=1e-5, learning_rate_d=3e-5)
    train(tmp_path / "run", "shapes", None, TINY, slower, resume=True, progress=False, device="cpu")
    state = read_state(tmp_path / "run" / "checkpoints" / "last.pt")
    assert [state[f"optimiser_{part}"]["param_groups"][0]["lr"] for part in "gd"] == [1e-5, 3e-5]
    changes = [{"after_step": 2, "settings": {"learning_rate_g": {"from": 2e-4, "to": 1e-5},
                                              "learning_rate_d": {"from": 2e-4, "to": 3e-5}}}]  # fmt: skip
    assert state["changes"] == changes
    assert load_generator(tmp_path / "run" / "generator.json").card["training_changes"] == changes
    train(tmp_path / "still", "shapes", None, TINY, smoke(steps=2), progress=False, device="cpu")
    before = weights_of(tmp_path / "still")
    still = smoke(steps=3, learning_rate_g=0.0, learning_rate_d=0.0)
    train(tmp_path / "still", "shapes", None, TINY, still, resume=True, progress=False, device="cpu")
    after = weights_of(tmp_path / "still")
    learned = [name for name in before if name.startswith("generator") and name.endswith("weight.original")]
    assert learned and all(torch.equal(before[name], after[name]) for name in learned)


def test_a_generator_that_normalises_over_processes_becomes_one_that_samples_alone():
    """On GPUs its batch norms are SyncBatchNorm, which on one process would wait for the others."""
    generator = Generator(TINY)
    over_all = torch.nn.SyncBatchNorm.convert_sync_batchnorm(deepcopy(generator))
    kinds = [type(module) for module in over_all.modules()]
    assert torch.nn.SyncBatchNorm in kinds and torch.nn.BatchNorm3d not in kinds
    alone = normalising_alone(over_all)
    assert [type(module) for module in alone.modules()] == [type(module) for module in generator.modules()]
    codes = draw_codes(generator.config, 2, 0, 0)
    assert torch.equal(alone(*codes), generator(*codes))
    average = MovingAverage(generator, 0.9).network(
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(deepcopy(generator)), 0, passes=1, batch=2
    )
    assert torch.nn.SyncBatchNorm not in [type(module) for module in average.modules()]


def test_rates_fall_at_the_end_and_a_longer_run_says_so(tmp_path: Path) -> None:
    config = smoke(steps=100, cooling=40)
    heat = [_heat(config, step) for step in range(100)]
    assert heat[:61] == [1.0] * 61 and heat[80] == pytest.approx((1 + COLDEST) / 2)
    assert all(a > b for a, b in itertools.pairwise(heat[60:])) and COLDEST < heat[99] < 2 * COLDEST
    assert {_heat(smoke(steps=9), step) for step in range(9)} == {1.0}

    whole = train(tmp_path / "whole", "shapes", None, TINY, smoke(steps=6, cooling=4), progress=False, device="cpu")
    rates = [
        group["lr"]
        for part in "gd"
        for group in read_state(whole.parent / "checkpoints" / "last.pt")[f"optimiser_{part}"]["param_groups"]
    ]
    assert rates == pytest.approx([2e-4 * _heat(smoke(steps=6, cooling=4), 5)] * 2)
    train(tmp_path / "more", "shapes", None, TINY, smoke(steps=3), progress=False, device="cpu")
    changed = smoke(steps=6, cooling=2)
    card = train(tmp_path / "more", "shapes", None, TINY, changed, resume=True, progress=False, device="cpu")
    (change,) = load_generator(card).card["training_changes"]
    assert change["settings"] == {"cooling": {"from": 0, "to": 2}, "steps": {"from": 3, "to": 6}}
