"""Codes read from real clips, and what keeps them apart."""

from __future__ import annotations

import itertools
import json
from copy import deepcopy
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import pytest
import torch

from g3an import training
from g3an.checkpoints import load_generator, read_state, save_generator
from g3an.config import ModelConfig, TrainConfig
from g3an.data import ClipDataset, open_dataset
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.factors import APPEARANCE
from g3an.data.faces.motion import COURSES
from g3an.data.faces.sets import videos
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.reconstruction import (
    LEAST_GAIN,
    LEAST_LOOK_GAIN,
    MOTIONS,
    NEAR,
    Encoder,
    Quiet,
    first_weight,
    flicker,
    known_looks,
    movement,
    noisy,
    turn_looks,
)
from g3an.training import _batches, train

CONFIG = ModelConfig.from_preset("small", widths=(16, 8, 8, 8, 8), attention_after=(), classes=("a", "b"))


@pytest.fixture(scope="module")
def data() -> ClipDataset:
    return open_dataset("shapes", length=16)


@pytest.fixture(scope="module")
def encoder(data: ClipDataset) -> Encoder:
    torch.manual_seed(0)
    model = ModelConfig.from_preset("small", classes=tuple(data.classes))
    return Encoder(model, data.subjects).fit(data, count=256)


@pytest.fixture(scope="module")
def clips(data: ClipDataset) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    epoch = data.epoch(0, 64)
    some = [epoch[k] for k in range(64)]
    c = torch.nn.functional.one_hot(torch.tensor([clip["category"] for clip in some]), len(data.classes)).float()
    return torch.stack([clip["video"] for clip in some]), torch.tensor([clip["index"] for clip in some]), c


def test_a_person_has_one_z_a_and_people_are_white(encoder, clips, data):
    video, index, c = clips
    z_a, _ = encoder(video, index, c)
    people = len(set(data.subjects))
    assert z_a.shape == (64, min(64, people - 1))
    assert torch.equal(z_a, encoder(video.roll(1, 0), index, c)[0]), "z_a never sees the clip"
    for subject in set(data.subjects):
        own = [k for k, i in enumerate(index) if data.subjects[i] == subject]
        assert all(torch.equal(z_a[own[0]], z_a[k]) for k in own)
    videos = torch.tensor([data.subjects.index(subject) for subject in sorted(set(data.subjects))])
    every = encoder(video[:1].expand(people, -1, -1, -1, -1), videos, torch.eye(len(data.classes))[[0] * people])[0]
    strong = every.std(0, correction=0) > 0.9  # components of rounding alone have no variance to bring to 1
    assert strong.sum() >= 2 and every.mean(0).abs().max() < 1e-3
    assert torch.allclose(every[:, strong].T @ every[:, strong] / people, torch.eye(int(strong.sum())), atol=0.02)


def test_z_m_tells_no_category_by_mean_or_covariance(encoder, data):
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in encoder.motion.parameters():  # any network, not only one that has yet to learn
            weight += 0.1 * torch.randn_like(weight)
    kinds = (encoder.shares > 0).float()
    epoch = data.epoch(2**29, 256)
    some = [epoch[k] for k in range(256)]
    video, index = torch.stack([x["video"] for x in some]), torch.tensor([x["index"] for x in some])
    z_m = encoder(video, index, kinds[:256])[1]
    assert z_m.shape == (256, 10)
    for kind in range(len(data.classes)):
        own = z_m[kinds[:256].argmax(1) == kind]
        # Of the 3,000 that it is whitened over these are most, again and again.
        assert own.mean(0).abs().max() < 0.15
        assert torch.allclose(own.T @ own / len(own), torch.eye(10), atol=0.35)


def test_z_m_changes_with_the_clip_and_is_the_same_in_half_precision(encoder, clips):
    video, index, c = clips
    z_m = encoder(video, index, c)[1]
    assert (z_m - encoder(video.flip(2), index, c)[1]).abs().mean() > 0.05
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder(video, index, c)[1], z_m)


def test_gradients_reach_people_and_the_reader_of_motion(encoder, clips):
    z_a, z_m = encoder(*clips)
    (z_a[0].square().sum() + z_m[0].square().sum()).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in encoder.parameters())


def test_a_fit_is_the_same_again_and_draws_nothing_from_the_global_generator(data):
    plain = ModelConfig.from_preset("small")
    torch.manual_seed(1)
    one, two = (Encoder(plain, data.subjects) for _ in range(2))
    state = torch.random.get_rng_state()
    one.fit(data, count=160)
    two.fit(data, count=160)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(one.people, two.people) and torch.equal(one.move_axes, two.move_axes)
    gains = one.gains
    assert gains[0] == 1 and (gains[:-1] >= gains[1:] - 1e-6).all()
    known = one.people.shape[1]
    assert gains[:known].min() >= LEAST_LOOK_GAIN and (gains[known:] == LEAST_GAIN).all()


def test_one_person_is_a_clear_sentence():
    with pytest.raises(G3ANError, match="show one person only"):
        Encoder(CONFIG, ["ann", "ann"])


def test_too_few_clips_are_a_clear_sentence(data):
    encoder = Encoder(ModelConfig.from_preset("small"), data.subjects)
    with pytest.raises(G3ANError, match="is fitted to 127 clips; its 128 components"):
        encoder.fit(data, count=127)


def test_noise_fills_z_a_up_and_blurs_what_is_known():
    z_a, z_m = noisy(torch.full((4000, 8), 3.0), torch.zeros(4000, 10), 128, torch.Generator().manual_seed(0))
    assert z_a.shape == (4000, 128) and z_m.shape == (4000, 10)
    assert z_a[:, :8].mean() == pytest.approx(3, abs=0.01) and z_a[:, :8].std() == pytest.approx(0.1, rel=0.05)
    assert z_a[:, 8:].std() == pytest.approx(1, rel=0.05) and z_m.std() == pytest.approx(0.1, rel=0.05)


def test_what_changes_counts_for_more_above_all_in_the_window(encoder):
    index = torch.tensor([0])
    portrait = encoder.portrait[encoder.who[index]]
    real = portrait[:, :, None].repeat(1, 1, 4, 1, 1)
    top, left = (int(place) for place in encoder.window)
    outside = (top + NEAR + 4) % 64 if top + NEAR + 4 < 64 else 0
    real[:, :, :, top + 8 : top + 12, left + 8 : left + 12] += 0.5
    real[:, :, :, outside : outside + 4, :4] += 0.5

    def lost(rows, columns):
        made = real.clone()
        made[:, :, :, rows : rows + 4, columns : columns + 4] += 0.1
        return encoder.lost(real, made, index)

    assert encoder.lost(real, real, index) == 0
    within, beside, still = lost(top + 8, left + 8), lost(outside, 0), lost(top + 20, left + 20)
    assert within > 3 * beside > 9 * still > 0


def test_the_window_is_where_people_change(encoder, data):
    assert encoder.window.min() >= 0 and encoder.window.max() <= 64 - NEAR
    frames = torch.randn(2, 3, 64, 64)
    near, (top, left) = encoder.near(frames), (int(place) for place in encoder.window)
    assert near.shape == frames.shape
    assert torch.allclose(near.mean((2, 3)), frames[:, :, top : top + NEAR, left : left + NEAR].mean((2, 3)), atol=0.05)
    videos = [data.clip(i, 0)["video"] - encoder.portrait[encoder.who[i]][:, None] for i in range(len(data))]
    change = torch.stack(videos).abs().mean((0, 1, 2))
    assert encoder.near(change[None, None]).mean() > change.mean()


def test_quiet_scales_the_first_weights_and_their_steps():
    torch.manual_seed(0)
    generator, gains = Generator(CONFIG), torch.linspace(1, 0, 128)
    before = [weight.detach().clone() for weight in Quiet(generator, gains, slice(0, 0)).weights]
    quiet = Quiet(generator, gains, slice(None))
    assert [weight.shape[0] for weight in quiet.weights] == [128, 140]
    for weight, old in zip(quiet.weights, before, strict=True):
        assert torch.allclose(weight[:128], old[:128] * gains[:, None, None, None, None])
        assert torch.equal(weight[128:], old[128:]), "z_m and c are left as they are"
    held = [weight.detach().clone() for weight in quiet.weights]
    with quiet, torch.no_grad():
        for weight in quiet.weights:
            weight += 1
    for weight, old in zip(quiet.weights, held, strict=True):
        assert torch.allclose((weight - old)[:128].mean((1, 2, 3, 4)), gains, atol=1e-5)
        assert torch.allclose(weight[128:], old[128:] + 1)


def test_numbers_that_no_longer_tell_of_people_are_quieted(data, tmp_path, monkeypatch):
    fit = Encoder.fit
    monkeypatch.setattr(Encoder, "fit", lambda encoder, data, seed: fit(encoder, data, seed, count=160))
    begun = []

    class Recorded(Quiet):
        def __init__(self, generator, gains, begin):
            begun.append((begin, len(gains)))
            super().__init__(generator, gains, begin)

    monkeypatch.setattr("g3an.training.Quiet", Recorded)

    small = ModelConfig.from_preset("small", widths=(16, 8, 8, 8, 8), attention_after=())

    def run(name: str, looks: int, **more: object) -> Path:
        config = TrainConfig.from_profile(
            "smoke", steps=1, batch=8, together=4, perception=1.0, reconstruction=5.0, reconstruction_alone=1,
            looks=looks, clip_steps=(1,), mirror=False, sample_every=1,
        )  # fmt: skip
        return train(tmp_path / name, "shapes", None, small, config, progress=False, device="cpu", **more)

    many = run("many", 9)
    run("few", 4, begin=many)
    run("few", 4, resume=True)
    assert begun == [(slice(0, None), 128), (slice(4, 9), 128), (slice(0, 0), 128)]
    few = json.loads((tmp_path / "few" / "generator.json").read_text())
    assert few["z_a_heard"] == 4 and few["origins"][0]["z_a_heard"] == 9


BEFORE = TrainConfig.from_profile(
    "smoke", batch=8, together=4, perception=1.0, reconstruction=5.0, clip_steps=(1,), mirror=False
).to_dict()


@pytest.mark.parametrize(
    ("card", "quieted"),
    [
        ({"training": BEFORE, "z_a_heard": 8}, slice(4, 8)),
        ({"training": BEFORE, "z_a_heard": 3}, slice(4, 3)),
        ({"training": BEFORE}, slice(4, 64)),  # before cards said it
        ({"training": BEFORE | {"reconstruction": 0.0}, "z_a_heard": 128}, slice(0, None)),
        ({"training": BEFORE | {"reconstruction": 0.0}}, slice(0, None)),
        ({"source": "weights released by the authors of G3AN"}, slice(0, None)),
    ],
)
def test_only_what_was_heard_before_is_quieted(data, tmp_path, monkeypatch, card, quieted):
    """Of an origin that told of few people the other numbers are quiet already; of one without codes, none is."""

    class Enough(Exception):
        pass

    def recorded(generator, gains, begin):
        raise Enough(begin)

    monkeypatch.setattr("g3an.training.Quiet", recorded)
    monkeypatch.setattr("g3an.training.open_dataset", lambda *_, **__: data)
    monkeypatch.setattr(Encoder, "fit", lambda encoder, data, seed: encoder)
    model = ModelConfig.from_dict({**CONFIG_SHAPES.to_dict(), "classes": data.classes})
    begin = save_generator(tmp_path / "before", Generator(model, spectral_norm=False), card)[-1]
    config = TrainConfig.from_dict(BEFORE | {"looks": 4})
    with pytest.raises(Enough) as told:
        train(tmp_path / "run", "shapes", None, model, config, progress=False, device="cpu", begin=begin)
    assert told.value.args == (quieted,)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_noise_of_each_code_is_a_setting(noise):
    zeros = torch.zeros(4000, 8), torch.zeros(4000, 10), 128
    for name, own, other in (("look_noise", 0, 1), ("motion_noise", 1, 0)):
        codes = noisy(*zeros, torch.Generator().manual_seed(0), **{name: noise})
        assert codes[own][:, :8].std() == pytest.approx(noise, rel=0.05)
        assert codes[other][:, :8].std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("looks", [3, 64])
def test_people_have_as_many_numbers_as_asked_for(data, looks):
    encoder = Encoder(ModelConfig.from_preset("small"), data.subjects, looks=looks)
    assert encoder.codes_of_people().shape[1] == min(looks, len(set(data.subjects)) - 1)
    with pytest.raises(G3ANError, match="looks is 0; it must be at least 1"):
        TrainConfig.from_profile("smoke", looks=0)


@pytest.mark.parametrize(
    ("wrong", "need"),
    [
        ({"together": 2}, r"together 4 \(it is 2\)"),
        ({"perception": 0.0}, "perception above 0"),
        ({"batch": 12}, r"a batch of a multiple of 8 \(it is 12\)"),
        ({"mirror": True}, "mirror false, unless allotted and .* at least steps, for judges compare clips of one side"),
        ({"batch": 12, "mirror": True}, r"a batch of .* \(it is 12\) and mirror false, unless .*"),
    ],
)
def test_reconstruction_says_what_it_needs(wrong, need):
    settings = {"batch": 8, "together": 4, "diversity": 0.0, "perception": 1.0, "reconstruction": 1.0, "mirror": False}
    TrainConfig.from_profile("smoke", **settings)
    sided = settings | {"mirror": True, "allotted": True, "steps": 3}
    TrainConfig.from_profile("smoke", **sided | {"reconstruction_alone": 3})
    with pytest.raises(G3ANError, match="mirror false, unless allotted and reconstruction_alone at least steps"):
        TrainConfig.from_profile("smoke", **sided | {"reconstruction_alone": 2})
    with pytest.raises(G3ANError, match=rf"^reconstruction is 1; it needs {need}\.$"):
        TrainConfig.from_profile("smoke", **(settings | wrong))
    with pytest.raises(G3ANError, match="reconstruction is -1; it must be a finite number of at least 0"):
        TrainConfig.from_profile("smoke", **(settings | {"reconstruction": -1.0}))
    with pytest.raises(G3ANError, match="reconstruction_alone is 5"):
        TrainConfig.from_profile("smoke", reconstruction_alone=5)
    with pytest.raises(G3ANError, match=r"reading is 0\.5; it needs reconstruction"):
        TrainConfig.from_profile("smoke", reading=0.5)
    with pytest.raises(G3ANError, match="extra_people is -1; it must be a finite number of at least 0"):
        TrainConfig.from_profile("smoke", extra_people=-1)
    for name in ("flicker", "movement"):
        with pytest.raises(G3ANError, match=rf"{name} is 0\.5; it needs reconstruction"):
            TrainConfig.from_profile("smoke", **{name: 0.5})
        with pytest.raises(G3ANError, match=rf"{name} is -1; it must be a finite number of at least 0"):
            TrainConfig.from_profile("smoke", **(settings | {name: -1.0}))
    with pytest.raises(G3ANError, match=r"following is 0\.5; it needs reading"):
        TrainConfig.from_profile("smoke", following=0.5)


def test_flicker_is_what_changes_between_frames_and_nothing_else(clips):
    videos = clips[0][:, :, :8]
    assert flicker(videos, videos + 0.5) < 1e-6 < float((videos + 0.5 - videos).abs().mean())
    tremble = torch.tensor([0.0, 0.02]).repeat(4)[:, None, None]
    made = (videos + tremble).bfloat16().requires_grad_()
    found = flicker(videos, made)
    assert found.item() == pytest.approx(0.02, abs=0.002), "each frame is 0.02 from its neighbours"
    found.backward()
    assert made.grad is not None and made.grad.abs().amax() > 0


def _bar(left: float) -> torch.Tensor:
    """A white bar two pixels wide that goes two pixels a frame to the right, from ``left`` on: (1, 3, 16, 64, 64)."""
    columns = torch.arange(64.0) - left - 2 * torch.arange(16.0)[:, None]
    lit = ((columns >= 0) & (columns < 2)).float()
    return (2 * lit - 1)[None, None, :, None, :].expand(1, 3, 16, 64, 64).contiguous()


def test_movement_is_how_much_moves_at_each_place():
    moving, still = _bar(8), _bar(8)[:, :, :1].expand(1, 3, 16, 64, 64)
    assert movement(moving, moving) == 0 == movement(moving, moving + 0.5)
    all_of_it = float(torch.nn.functional.avg_pool3d(moving.diff(dim=2).abs().mean(1), (3, 4, 4)).mean())
    assert movement(moving, still).item() == pytest.approx(all_of_it, rel=1e-6), "all movement is missing"


def test_movement_asks_for_an_arm_where_the_mean_over_pixels_asks_for_none():
    places, empty = [_bar(left) for left in (6, 8, 10)], torch.full((1, 3, 16, 64, 64), -1.0)
    by_pixels = [sum(float((real - made).abs().mean()) for real in places) for made in (places[1], empty)]
    by_movement = [sum(movement(real, made).item() for real in places) for made in (places[1], empty)]
    assert by_pixels[0] > by_pixels[1] and by_movement[0] < 0.75 * by_movement[1]


def test_movement_asks_nobody_to_tremble():
    still = torch.zeros(1, 3, 16, 64, 64)
    tremble = torch.tensor([0.0, 0.015]).repeat(8)[:, None, None] + still
    made = still.clone().requires_grad_()
    movement(tremble, made).backward()
    assert made.grad is not None and made.grad.abs().amax() == 0
    faint = (still + 1e-3 * _bar(8)).requires_grad_()
    found = movement(_bar(8), faint)
    found.backward()
    assert faint.grad is not None and faint.grad.abs().amax() > 0, "a clip that hardly moves is told to move"
    half = movement(_bar(8), faint.detach().bfloat16())
    assert half.dtype == torch.float32 and half.item() == pytest.approx(found.item(), rel=0.01)


@pytest.mark.parametrize("name", ["flicker", "movement"])
def test_a_run_heeds_what_changes_and_logs_it(name, tmp_path, monkeypatch):
    fit = Encoder.fit
    monkeypatch.setattr(Encoder, "fit", lambda encoder, data, seed: fit(encoder, data, seed, count=160))
    hashes = set()
    for weight in (0.0, 1.0):
        config = TrainConfig.from_profile(
            "smoke", steps=1, batch=8, together=4, perception=1.0, reconstruction=5.0, reconstruction_alone=1,
            mirror=False, sample_every=1, **{name: weight},
        )  # fmt: skip
        run = tmp_path / f"{weight}"
        card = train(run, "shapes", None, CONFIG_SHAPES, config, progress=False, device="cpu")
        hashes.add(load_generator(card).weights_hash)
        first = json.loads((run / "log.jsonl").read_text().splitlines()[0])
        assert (f"loss_{name}" in first) == bool(weight)
    assert len(hashes) == 2


def test_a_reader_is_for_data_whose_factors_are_known(tmp_path):
    config = TrainConfig.from_profile("faces", steps=1)
    with pytest.raises(G3ANError, match=r"data whose factors are known, mug-sim or uva-nemo-sim, and not shapes"):
        train(tmp_path / "run", "shapes", None, CONFIG_SHAPES, config, progress=False, device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_gives_back_then_competes_and_resumes_to_the_same_weights(tmp_path, monkeypatch):
    fit = Encoder.fit
    monkeypatch.setattr(Encoder, "fit", lambda encoder, data, seed: fit(encoder, data, seed, count=160))

    def settings(steps: int) -> TrainConfig:
        return TrainConfig.from_profile(
            "smoke", steps=steps, batch=8, together=4, perception=1.0, diversity=1.0, batch_spread=True,
            reconstruction=5.0, reconstruction_alone=2, mirror=False, checkpoint_every=1, sample_every=4,
        )  # fmt: skip

    looked_at, lost = [], training._lost
    monkeypatch.setattr(training, "_lost", lambda *all_: looked_at.append(all_[2] % all_[9].shape[2]) or lost(*all_))
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, "shapes", None, CONFIG_SHAPES, settings(4), progress=False, device="cpu")
    assert torch.cat(looked_at[:2]).max() < 8 <= torch.cat(looked_at[2:]).max(), "beside judges, of all frames"
    for steps in (1, 3, 4):
        train(parts, "shapes", None, CONFIG_SHAPES, settings(steps), resume=steps > 1, progress=False, device="cpu")
    log = (whole / "log.jsonl").read_text().splitlines()
    assert '"loss_pixels"' in log[0] and '"loss_video"' not in log[0]
    assert '"loss_pixels"' in log[3] and '"loss_video"' in log[3]
    assert (whole / "generator.safetensors").read_bytes() == (parts / "generator.safetensors").read_bytes()

    heard = json.loads((parts / "generator.json").read_text())["z_a_heard"]
    alone = replace(settings(5), reconstruction=0.0, reconstruction_alone=0)
    card = train(parts, "shapes", None, CONFIG_SHAPES, alone, resume=True, progress=False, device="cpu")
    assert json.loads(card.read_text())["z_a_heard"] == heard < 128
    assert '"loss_pixels"' not in (parts / "log.jsonl").read_text().splitlines()[-1]


CONFIG_SHAPES = ModelConfig.from_preset("small", widths=(16, 8, 8, 8, 8), attention_after=())


def test_some_frames_are_those_of_all_frames():
    torch.manual_seed(0)
    for config in (CONFIG, ModelConfig.from_preset("small", widths=(16, 8, 8, 8, 8), attention_after=(4,))):
        generator = Generator(config).eval()
        z_a, z_m = torch.randn(2, 128), torch.randn(2, 10)
        c = torch.eye(2) if config.classes else None
        frames = torch.tensor([3, 11])
        some, every = generator(z_a, z_m, c, frames=frames), generator(z_a, z_m, c)
        assert torch.allclose(some, every[:, :, frames], atol=1e-5)


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    """The clips of two simulated people."""
    made = [video for video in videos("mug-sim") if video.person in (0, 1)]
    return FaceDataset("mug-sim", made, length=16, steps=(1,)).keep()


def test_z_m_begins_as_what_the_known_courses_are(faces):
    encoder = Encoder(ModelConfig.from_preset("small", classes=tuple(faces.classes)), faces.subjects, courses=True)
    torch.manual_seed(0)
    encoder.fit(faces, count=160)
    assert encoder.moves.shape[1] == MOTIONS + 16 * len(COURSES)
    epoch = faces.epoch(2**29, 160)  # the clips that it was fitted to
    clips = [epoch[k] for k in range(160)]
    courses = torch.stack([faces.courses(clip) for clip in clips])
    begun = encoder.moves[:160] @ encoder.begun
    assert torch.allclose(begun.std(0), torch.ones(10), atol=1e-2)
    strength, blink, yaw, pitch, roll = courses.unbind(1)

    def told(number: int, course: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([begun[:, number], course]))[0, 1])

    wanted = [strength.mean(1), late(strength), yaw.mean(1), pitch.mean(1), roll.mean(1), blink[:, :8].mean(1),
              blink[:, 8:].mean(1), late(yaw), late(pitch), late(roll)]  # fmt: skip
    assert [told(number, course) for number, course in enumerate(wanted)] == pytest.approx([1] * 10, abs=1e-3)

    video = torch.stack([clip["video"] for clip in clips[:12]])
    index = torch.tensor([clip["index"] for clip in clips[:12]])
    c = torch.eye(6)[torch.tensor([clip["category"] for clip in clips[:12]])]
    z_m = encoder(video, index, c, courses[:12])[1]
    assert z_m.shape == (12, 10)
    other = courses[:12].clone()
    other[:, 1, 2:5] += 1  # a blink
    assert (encoder(video, index, c, other)[1] - z_m).abs().mean() > 0.05


def late(course: torch.Tensor) -> torch.Tensor:
    return course[:, 8:].mean(1) - course[:, :8].mean(1)


@pytest.mark.parametrize(("steps", "alone"), [(3, 100), (7, 5), (23, 0), (15, 12)])
def test_a_run_takes_the_steps_that_it_was_asked_for(data, steps, alone):
    config = TrainConfig.from_profile(
        "smoke", steps=steps, batch=8, together=4, steps_per_epoch=10, perception=1.0, reconstruction=float(alone > 0),
        reconstruction_alone=alone, mirror=False,
    )  # fmt: skip
    assert [step for step, _ in _batches(data, config, 2, slice(0, 8))] == list(range(2, steps))


def test_known_looks_are_spread_as_draws_are_and_the_first_change_most():
    made = videos("uva-nemo-sim")[::6]
    factors = torch.stack([torch.from_numpy(video.appearance()) for video in made])
    # A picture in which five factors are seen, each in a place of its own, the first of them most.
    names = [factor.name for factor in APPEARANCE]
    seen = [names.index(name) for name in ("skin_tone", "sex", "hair_tone", "iris", "beard")]
    looks = torch.zeros(len(made), 60)
    for place, number in enumerate(seen):
        looks[:, 4 * place : 4 * place + 4] = 0.5**place * torch.special.ndtri(factors[:, [number]].clamp(0.002, 0.998))
    codes, sizes, axes = known_looks(factors, looks)
    assert torch.allclose(axes.T @ axes, torch.eye(len(axes), dtype=axes.dtype)), "only turned"
    assert codes.shape == (420, len(APPEARANCE)) and torch.isfinite(codes).all()
    assert codes.mean(0).abs().max() < 0.2 and abs(float(codes.std()) - 1) < 0.02
    assert (sizes.diff() <= 0).all() and sizes[5] < 0.05 * sizes[4]
    first = torch.corrcoef(torch.stack([codes[:, 0], factors[:, seen[0]]]))[0, 1]
    assert first > 0.95
    assert torch.equal(codes, known_looks(factors, looks)[0])


def test_a_style_is_a_share_of_its_number():
    factors = torch.zeros(900, len(APPEARANCE))
    style = [factor.name for factor in APPEARANCE].index("hair_style")
    factors[:, style] = torch.arange(900) % 9
    looks = torch.arange(900)[:, None] % 9 * torch.ones(1, 3)  # nothing else is seen
    number = known_looks(factors, looks)[0][:, 0]
    if number[0] > number[8]:
        number = -number
    order = [number[factors[:, style] == k] for k in range(9)]
    assert all(a.max() <= b.min() for a, b in itertools.pairwise(order)), "styles do not overlap"
    assert number.std() == pytest.approx(1, abs=0.1)


def test_an_encoder_that_knows_people_does_not_learn_them(faces):
    encoder = Encoder(ModelConfig.from_preset("small"), faces.subjects, known=True).fit(faces, count=160)
    assert encoder.codes_of_people().shape == (2, len(APPEARANCE)) and not encoder.people.requires_grad
    assert torch.equal(encoder.codes_of_people(), encoder.people), "as they were drawn, not whitened"
    with pytest.raises(G3ANError, match="known_looks needs reconstruction above 0, and not allotted"):
        TrainConfig.from_profile("faces", known_looks=True, allotted=True)
    config = TrainConfig.from_profile("faces", reading=0.0, known_looks=True)
    with pytest.raises(G3ANError, match="known_looks is 1; it needs data whose factors are known"):
        train("never", "shapes", None, CONFIG_SHAPES, config, progress=False, device="cpu")


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_a_generator_takes_the_known_looks_of_another_set(faces, spectral_norm):
    """Who was at one code is at another of the other set's numbers, and looks the same."""
    torch.manual_seed(0)
    generator = Generator(CONFIG, spectral_norm)
    looks, rest = torch.randn(5, len(APPEARANCE)), torch.randn(5, CONFIG.z_a_dim - len(APPEARANCE))
    theirs = Encoder(ModelConfig.from_preset("small"), faces.subjects, known=True).fit(faces, count=160).axes
    mine = torch.linalg.qr(torch.randn(len(APPEARANCE), len(APPEARANCE), dtype=torch.float64))[0]

    def told(axes):
        """What z_a adds before the first norms, with the norm of these weights left out."""
        z_a = torch.cat([looks @ axes.float(), rest], 1)
        first = generator.modules_g3[0]
        return [
            torch.einsum("ni,io...->no...", z_a, first_weight(part)[: CONFIG.z_a_dim]).detach()
            for part in (first.conv_s, first.conv_v)
        ]

    before, otherwise = told(theirs), told(mine)
    turn_looks(generator, faces, 0, mine)
    for now, then, other in zip(told(mine), before, otherwise, strict=True):
        assert torch.allclose(now, then, atol=1e-4) and (other - then).abs().mean() > 0.1


def test_a_run_on_smiles_begins_from_one_on_expressions(faces, tmp_path, monkeypatch):
    smiles = [video for video in videos("uva-nemo-sim") if video.person in (0, 1)][::3]
    sets = {"mug-sim": faces, "uva-nemo-sim": FaceDataset("uva-nemo-sim", smiles, length=16, steps=(1,)).keep()}
    turned = []
    monkeypatch.setattr("g3an.training.open_dataset", lambda name, *_, **__: sets[name])
    monkeypatch.setattr("g3an.training.turn_looks", lambda _, data, seed, axes: turned.append((data, seed, axes)))
    monkeypatch.setattr(Encoder, "fit", partialmethod(Encoder.fit, count=160))
    config = TrainConfig.from_profile(
        "faces", steps=1, batch=8, reading=0.0, known_looks=True, seed=3, learning_rate_g=0.0
    )

    def run(name, folder=None, **options):
        model = ModelConfig.from_dict({**CONFIG.to_dict(), "classes": ()})
        return train(tmp_path / (folder or name), name, None, model, config, progress=False, device="cpu", **options)

    first = run("mug-sim")
    assert not turned
    state = read_state(tmp_path / "mug-sim" / "checkpoints" / "last.pt")
    assert all(torch.equal(state["generator"][name], value) for name, value in state["average"].items())
    card = json.loads(run("uva-nemo-sim", begin=first, begin_category="happy").read_text())
    ((data, seed, axes),) = turned
    assert data is faces and seed == 3 and axes.shape == (len(APPEARANCE), len(APPEARANCE))
    assert (card["origins"][0]["dataset"], card["origins"][0]["category"]) == ("mug-sim", "happy")
    config = replace(config, extra_people=4)
    run("mug-sim", "more", begin=first)
    assert len(turned) == 2 and turned[1][0] is faces, "of other people's looks the first axes are others"
    config = replace(config, extra_people=0, seed=4)
    run("mug-sim", "seed", begin=first)
    assert len(turned) == 3, "a seed chooses everybody's place within a style"
    with pytest.raises(G3ANError, match="held at 'happy', but of what"):
        run("never", begin_category="happy")
    few = ModelConfig.from_dict({**CONFIG.to_dict(), "z_a_dim": 40})
    with pytest.raises(G3ANError, match="z_a has 40 numbers; known looks take the first 46"):
        Encoder(few, faces.subjects, known=True)


def test_motion_codes_can_be_brought_to_the_distribution_of_draws(encoder):
    encoder = deepcopy(encoder)
    torch.manual_seed(0)
    # Codes at two places, as of clips in which something either happens or does not, and of nothing else.
    encoder.begun.zero_()[range(10), range(10)] = 1
    with torch.no_grad():
        encoder.motion[-1].weight.zero_()  # whatever other tests had it learn
    encoder.moves.copy_(torch.randn(encoder.moves.shape))
    plain = encoder.unlike_normal().item()
    encoder.moves[:, 0] = torch.where(encoder.moves[:, 0] > 0.5, 3.0, -1.0)
    before = encoder.unlike_normal().item()
    assert before > 2 * plain
    optimiser = torch.optim.Adam(encoder.motion.parameters(), 1e-3)
    for _ in range(40):
        optimiser.zero_grad()
        encoder.unlike_normal().backward()
        optimiser.step()
    assert encoder.unlike_normal().item() < (plain + before) / 2
