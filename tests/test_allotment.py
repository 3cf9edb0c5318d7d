"""Every draw belongs to a clip: whose it is, how it is distributed, and that a run learns from it."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from g3an.allotment import MOST_PULLED, PULLED_STEPS, Allotment, leads, middle, pace, turn, window
from g3an.checkpoints import load_generator, save_generator
from g3an.config import ModelConfig, TrainConfig
from g3an.data import ClipDataset, open_dataset
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.reconstruction import Encoder
from g3an.training import train

MODEL = ModelConfig.from_preset("small", widths=(16, 8, 8, 8, 8), attention_after=())


@pytest.fixture(scope="module")
def data() -> ClipDataset:
    return open_dataset("shapes", length=16)


@pytest.fixture(scope="module")
def allotment(data: ClipDataset) -> Allotment:
    torch.manual_seed(0)
    model = ModelConfig.from_preset("small", classes=tuple(data.classes))
    return Allotment(Encoder(model, data.subjects).fit(data, count=200), data)


def test_each_person_owns_an_equal_share_of_the_draws(allotment, data):
    people = len(set(data.subjects))
    cosines = allotment.people @ allotment.people.T
    assert torch.allclose(cosines, (1 + 1 / (people - 1)) * torch.eye(people) - 1 / (people - 1), atol=0.02)
    draws = torch.randn(20_000, people - 1, generator=torch.Generator().manual_seed(0))
    shares = torch.bincount((draws @ allotment.people.T).argmax(1), minlength=people) / len(draws)
    assert shares == pytest.approx(torch.full((people,), 1 / people), abs=0.01)


def test_draws_fall_to_the_person_asked_for_and_stay_normal(allotment, data):
    index = torch.arange(len(data)).repeat(40)
    z_a, z_m, clips, mirrored = allotment.draw(index, torch.Generator().manual_seed(1))
    assert not mirrored.any() and mirrored.shape == (len(index),)
    assert z_a.shape == (len(index), 128) and z_m.shape == (len(index), 10)
    assert clips.shape == (len(index), 3, 16, 64, 64) and clips.min() >= -1 and clips.max() <= 1
    looks = z_a[:, : allotment.people.shape[1]]
    assert torch.equal((looks @ allotment.people.T).argmax(1), allotment.who[index])
    # Over all people together they are what is drawn later: N(0, 1), dimensions apart from each other.
    covariance = looks.T @ looks / len(looks)
    assert looks.mean(0).abs().max() < 0.1
    assert torch.allclose(covariance, torch.eye(len(covariance)), atol=0.12)
    assert z_m.mean() == pytest.approx(0, abs=0.03) and z_m.std() == pytest.approx(1, abs=0.03)


def test_the_clip_is_the_window_that_the_code_falls_to(allotment, data):
    index = torch.tensor([5, 5, 9])
    _, z_m, clips, _ = allotment.draw(index, torch.Generator().manual_seed(2))
    for i, z, clip in zip(index.tolist(), z_m, clips, strict=True):
        assert torch.equal(clip, data.clip(i, allotment.window(i, z))["video"])


def test_an_angle_says_when_in_the_turn_in_the_middle():
    for degrees, expected in ((0.1, 15), (-1, 34), (89, 19), (91, 20), (179, 24), (181, 25), (269, 29), (271, 30)):
        for size, others in ((0.2, -3.0), (3.0, 3.0)):
            angle = math.radians(degrees)
            z_m = torch.tensor([size * math.cos(angle), size * math.sin(angle)] + [others] * 8)
            assert window(z_m, 50, 20.0, 15.0, True) == expected
    # Less than a turn: what is not seen falls to the end that is nearer.
    angles = [done / 20 * math.tau for done in (2, 19, 6, 17.5)]
    codes = torch.tensor([[math.cos(angle), math.sin(angle), 0] for angle in angles])
    assert [window(z_m, 12, 20.0, 15.0, True) for z_m in codes] == [0, 11, 1, 11]


@pytest.mark.parametrize(
    ("count", "length", "start"), [(50, 20.0, 15.0), (73, 25.6, 3.2), (60, 25.3, 24.0), (21, 27.3, 9.0)]
)
def test_the_middle_of_a_window_s_angles_falls_to_it(count, length, start):
    degrees = torch.arange(0, 360, 0.25).deg2rad()
    fallen = torch.tensor([window(torch.tensor([a.cos(), a.sin()]), count, length, start, True) for a in degrees])
    for place in sorted(set(fallen.tolist()) - {0, count - 1}):
        own = torch.polar(torch.ones(()), degrees[fallen == place]).mean().angle()
        angle = middle(place, count, length, start)
        assert abs((angle - float(own) + math.pi) % math.tau - math.pi) < math.radians(0.5)
        assert window(torch.tensor([math.cos(angle), math.sin(angle)]), count, length, start, True) == place


def test_the_first_number_says_when_in_a_movement_that_does_not_come_again():
    for z, expected in ((-9.0, 0), (-0.6745, 10), (0.0, 20), (0.6745, 30), (9.0, 39)):
        assert window(torch.tensor([z, 2.0, 2.0]), 40, 40.0, 0.0, False) == pytest.approx(expected, abs=1)


def test_draws_are_pulled_towards_their_codes_at_first(allotment, data):
    index = torch.arange(len(data))
    (a_0, m_0, early, _), (a_1, m_1, late, _) = (
        allotment.draw(index, torch.Generator().manual_seed(5), step=step) for step in (0, 10**6)
    )
    assert torch.equal(early, late), "the same windows"
    angle_0, angle_1 = (torch.atan2(m[:, 1], m[:, 0]) for m in (m_0, m_1))
    assert torch.allclose(angle_0, angle_1, atol=1e-4)
    sizes = m_0[:, :2].norm(dim=1)[torch.tensor(allotment.again)]
    assert len(sizes) and (sizes - 2**0.5).abs().max() < (1 - MOST_PULLED) * 3, "near the circle"
    assert torch.allclose(m_0[:, 2:], (1 - MOST_PULLED) * m_1[:, 2:], atol=1e-6)
    width = allotment.people.shape[1]
    assert torch.equal(a_0[:, width:], a_1[:, width:])
    near, far = ((a[:, :width] @ allotment.people.T).argmax(1) for a in (a_0, a_1))
    assert torch.equal(near, far) and torch.equal(near, allotment.who)


def test_all_windows_of_a_turn_are_drawn(allotment, data):
    draws = torch.randn(2000, 10, generator=torch.Generator().manual_seed(3))
    for i in range(0, len(data), 5):
        drawn = sorted({allotment.window(i, z) for z in draws})
        seen = min(allotment.windows[i], math.ceil(allotment.turns[i]))
        assert drawn == list(range(drawn[0], drawn[0] + seen))
        assert drawn[0] == pytest.approx((allotment.windows[i] - seen) / 2, abs=1)


def swings(windows: int, length: float, lead: float) -> torch.Tensor:
    """A movement that comes again after ``length`` windows, seen from ``lead`` turns before its start on."""
    angles = 2 * torch.pi * (torch.arange(windows) / length - lead)
    return torch.stack([angles.cos(), angles.sin(), 0.4 * (2 * angles).cos(), 0.4 * (2 * angles).sin()], 1)


def test_a_movement_that_comes_again_is_found_and_one_that_does_not_is_not():
    assert turn(swings(90, 26.5, 0)) == pytest.approx(26.5, abs=0.5)
    assert turn(swings(40, 26.5, 0.3)) == pytest.approx(26.5, abs=0.5)
    assert turn(swings(20, 26.5, 0)) is None, "not seen for a whole turn"
    assert turn(torch.linspace(0, 1, 60)[:, None]) is None


def test_people_are_turned_to_do_the_same_at_the_same_time():
    lengths, sooner = [26.0, 31.5, 24.0, 28.0], [0.0, 0.25, 0.6, 0.9]
    moves = [k * swings(w, n, s) for k, w, n, s in zip((1, 3, 1, 1), (80, 60, 30, 22), lengths, sooner, strict=True)]
    found = leads(moves, lengths)
    assert found[0] == 0
    for lead, expected in zip(found, sooner, strict=True):
        assert abs((lead - expected + 0.5) % 1 - 0.5) <= 1 / 32


def coded(angle: float = 0.0, first: float | None = None, third: float = 0.0) -> torch.Tensor:
    return torch.tensor([math.cos(angle) if first is None else first, math.sin(angle), third] + [0.0] * 7)


def test_the_third_number_says_how_fast():
    draws = torch.randn(6000, 10, generator=torch.Generator().manual_seed(0))
    found = np.array([pace(z, (1, 2, 3)) for z in draws])
    assert [(found == step).mean() for step in (1, 2, 3)] == pytest.approx([1 / 4, 1 / 6, 1 / 4], abs=0.02)
    assert found.mean() == pytest.approx(2, abs=0.03) and found.min() == 1 and found.max() == 3
    assert {pace(z, (2,)) for z in draws[:50]} == {2.0}
    rising = [pace(coded(third=z), (1, 2, 3)) for z in np.linspace(-4, 4, 801)]
    assert all(0 <= after - before < 0.1 for before, after in pairwise(rising)), "no leaps"


@pytest.fixture(scope="module")
def paced() -> Allotment:
    """Of videos of 32 frames some movements come again; a clip at step 3 would need 46."""
    torch.manual_seed(0)
    data = open_dataset("shapes", length=16, steps=(1, 3))
    model = ModelConfig.from_preset("small", classes=tuple(data.classes))
    return Allotment(Encoder(model, data.subjects).fit(data, count=200), data)


@pytest.mark.parametrize(
    ("length", "steps", "told"),
    [(8, (1, 3), 2), (8, (1, 2), 1), (8, (2, 3), 2), (16, (1, 3), 1), (16, (2,), 2)],
)
def test_turns_are_told_at_the_step_halfway_where_videos_show_one_at_it(length, steps, told):
    data = open_dataset("shapes", length=length, steps=steps)  # 32 frames
    encoder = Encoder(ModelConfig.from_preset("small", classes=tuple(data.classes)), data.subjects)
    made = Allotment(encoder.fit(data, count=160), data)
    assert made.step == told
    assert made.windows == [32 - (length - 1) * told] * len(data)


def test_a_turn_that_is_longer_than_the_video_leads_to_no_frame_before_it(paced, monkeypatch):
    i = paced.again.index(True)
    monkeypatch.setattr(paced, "turns", [200.0] * len(paced.turns))
    for angle in np.linspace(0, 6, 7):
        numbers = paced.frames(i, coded(angle, third=9.0))
        assert min(numbers) >= 0 and max(numbers) < paced.data.count(i)


def test_a_movement_that_comes_again_goes_on_a_turn_earlier_where_the_video_ends(paced):
    i = paced.again.index(True)
    last, length = paced.data.count(i) - 1, paced.turns[i]
    for angle in np.linspace(0, 6, 7):
        start = paced.window(i, coded(angle))
        for third, step in ((-9.0, 1), (0.0, 2), (9.0, 3)):
            numbers = paced.frames(i, coded(angle, third=third))
            ran = start + step * np.arange(16)
            turns = (ran - np.array(numbers)) / length
            assert numbers[0] == start and max(numbers) <= last and min(numbers) >= 0
            assert abs(turns - turns.round()).max() <= 0.5 / length + 1e-9, "whole turns, but for half a frame"
            assert (turns.round()[ran <= last] == 0).all() and (turns[ran > last + 1] > 0.5).all()
    assert max(start + 3 * 15 for start in range(paced.windows[i])) > last, "else nothing ever ends"


def test_a_movement_that_does_not_come_again_is_seen_from_wherever_there_are_frames_enough(paced):
    i = paced.again.index(False)
    last = paced.data.count(i) - 1
    for third, step in ((-9.0, 1), (0.0, 2), (9.0, last / 15)):  # as fast as the video allows
        ends = [paced.frames(i, coded(first=first, third=third)) for first in (-9.0, 9.0)]
        assert ends[0][0] == 0 and last - 1 <= ends[1][-1] <= last
        assert all(len(numbers) == 16 for numbers in ends)
        assert np.diff(ends[0]) == pytest.approx(step, abs=1) and ends[0][-1] == math.floor(15 * step + 0.5)


def test_clips_that_are_given_back_have_the_pace_of_their_codes(paced):
    index = torch.arange(len(paced.data))
    (_, early, soon, _), (_, late, clips, _) = (
        paced.draw(index, torch.Generator().manual_seed(7), step=step) for step in (0, PULLED_STEPS)
    )
    assert torch.equal(early[:, 2], late[:, 2]) and torch.equal(soon, clips), "what says the pace is not pulled"
    for i, z, clip in zip(index.tolist(), late, clips, strict=True):
        assert torch.equal(clip, paced.data.clip_of(i, paced.frames(i, z))["video"])


@pytest.mark.parametrize(("steps", "side"), [((1,), 2), ((1, 2), 3)])
def test_a_number_of_z_m_says_which_clips_are_mirrored(steps, side):
    data = open_dataset("shapes", length=16, steps=steps, mirror=True)
    torch.manual_seed(0)
    filmed = open_dataset("shapes", length=16, steps=steps)
    encoder = Encoder(ModelConfig.from_preset("small", classes=tuple(data.classes)), data.subjects)
    both = Allotment(encoder.fit(filmed, count=160), data)
    index = torch.arange(len(data)).repeat(4)
    for step in (0, PULLED_STEPS):
        _, z_m, clips, mirrored = both.draw(index, torch.Generator().manual_seed(3), step=step)
        assert torch.equal(mirrored, z_m[:, side] > 0) and 0.4 < mirrored.float().mean() < 0.6
        assert z_m[:, side].std() == pytest.approx(1, abs=0.15), "what says the side is not pulled"
        assert (z_m[:, side + 1 :].std() < 0.5) == (step == 0)
        for i, z, clip, turned in zip(index.tolist(), z_m, clips, mirrored.tolist(), strict=True):
            seen = clip.flip(3) if turned else clip
            assert torch.equal(seen, data.clip_of(i, both.frames(i, z))["video"])
    at = Allotment(encoder, open_dataset("shapes", length=16, steps=steps))
    assert at.turns == both.turns and at.often == both.often, "turns and movement are those of what was filmed"


def test_mirrored_clips_are_compared_as_they_were_filmed(tmp_path, monkeypatch):
    fit, seen, fitted = Encoder.fit, [], []

    def few(encoder, data, seed):
        fitted.append(data.mirror)
        return fit(encoder, data, seed, count=160)

    monkeypatch.setattr(Encoder, "fit", few)
    draw, lost = Allotment.draw, Encoder.lost
    monkeypatch.setattr(Allotment, "draw", lambda *given: seen.append(draw(*given)) or seen[-1])
    compared, made = [], []
    monkeypatch.setattr(
        Encoder, "lost",
        lambda encoder, real, given, index: compared.append((real, given)) or lost(encoder, real, given, index),
    )  # fmt: skip
    forward = Generator.forward
    monkeypatch.setattr(Generator, "forward", lambda *given, **how: made.append(forward(*given, **how)) or made[-1])
    config = TrainConfig.from_profile(
        "smoke", steps=2, batch=8, together=4, perception=1.0, reconstruction=5.0, reconstruction_alone=2,
        allotted=True, clip_steps=(1,), mirror=True, sample_every=2,
    )  # fmt: skip
    train(tmp_path, "shapes", None, MODEL, config, progress=False, device="cpu")
    assert fitted == [False] and len(seen) == len(compared) == 2
    for (*_, clips, mirrored), (real, given), out in zip(seen, compared, made, strict=False):
        assert mirrored.any() and not mirrored.all()
        turned = mirrored[:, None, None, None, None]
        filmed = torch.where(turned, clips.flip(4), clips)
        assert torch.equal(given, torch.where(turned, out.flip(4), out)), "of what is made the same are turned back"
        where = [min((filmed[:, :, t] - real[:, :, k]).abs().max() for t in range(16)) for k in range(real.shape[2])]
        assert max(where) == 0


@pytest.mark.parametrize("mirror", [True, False])
def test_a_run_of_twice_the_width_begins_from_both_sides(tmp_path, monkeypatch, mirror):
    fit = Encoder.fit
    monkeypatch.setattr(Encoder, "fit", lambda encoder, data, seed: fit(encoder, data, seed, count=160))
    classes = tuple(open_dataset("shapes").classes)
    half = ModelConfig.from_dict({**MODEL.to_dict(), "widths": (8, 4, 4, 4, 4), "classes": classes})
    begin = save_generator(tmp_path / "narrow", Generator(half, spectral_norm=False).eval(), {"steps": 7})[-1]
    config = TrainConfig.from_profile(
        "smoke", steps=1, batch=8, together=4, perception=1.0, reconstruction=5.0, reconstruction_alone=1,
        allotted=True, clip_steps=(1,), mirror=mirror, sample_every=1,
    )  # fmt: skip
    card = load_generator(train(tmp_path / "run", "shapes", None, MODEL, config, progress=False, device="cpu",
                                begin=begin)).card  # fmt: skip
    (origin,) = card["origins"]
    assert origin["widths"] == [8, 4, 4, 4, 4] and origin.get("sides", False) is mirror


def test_processes_take_their_parts_of_one_draw(allotment):
    index = torch.tensor([0, 1])
    first, second = (allotment.draw(index, torch.Generator().manual_seed(4), (k, 2))[1] for k in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(first, allotment.draw(index, torch.Generator().manual_seed(4), (0, 2))[1])


def test_fast_videos_and_those_with_many_windows_come_up_often(allotment, data):
    videos = [data.frames(i).astype(float) for i in range(len(data))]
    given = [{allotment.window(i, z) for z in torch.randn(4000, 10)} for i in range(len(data))]
    assert len({len(windows) for windows in given}) > 1, "else this test says nothing of windows"
    change = torch.tensor([abs(v[1:] - v[:-1]).mean() / 127.5 * len(w) for v, w in zip(videos, given, strict=True)])
    assert torch.tensor(allotment.often) == pytest.approx(change.float(), rel=0.1), "a turn is no whole number"
    data = open_dataset("shapes", length=16)
    data.often = allotment.often
    epoch = data.epoch(3, 4000)
    came = torch.bincount(torch.tensor([epoch[k]["index"] for k in range(4000)]), minlength=len(data))
    wanted = change / change.sum() * 4000
    assert ((came - wanted).abs() < 4 * wanted.sqrt() + 1).all() and came.max() > 2 * came.min()


def test_noise_of_the_camera_does_not_count_as_movement(allotment, monkeypatch):
    random = np.random.default_rng(0)
    still = random.integers(-9, 10, (24, 64, 64, 3)) + 120
    moving = still.copy()
    moving[::2, 20:40, 20:40] += 60
    videos = [still.astype(np.uint8), moving.astype(np.uint8)]
    monkeypatch.setattr(allotment.data, "frames", lambda i: videos[i])
    noise, movement = allotment._change(0), allotment._change(1)
    assert movement == pytest.approx(60 / 127.5 * 400 / 4096, rel=0.15) and noise < movement / 10


def test_who_begins_from_allotted_codes_is_not_pulled_again(tmp_path, monkeypatch):
    fit, draw, steps = Encoder.fit, Allotment.draw, []
    monkeypatch.setattr(Encoder, "fit", lambda encoder, data, seed: fit(encoder, data, seed, count=160))

    def recorded(allotment, index, random, share, step):
        steps.append(step)
        return draw(allotment, index, random, share, step)

    monkeypatch.setattr(Allotment, "draw", recorded)
    config = TrainConfig.from_profile(
        "smoke", steps=2, batch=8, together=4, perception=1.0, reconstruction=5.0, reconstruction_alone=2,
        allotted=True, clip_steps=(1,), mirror=False, sample_every=2,
    )  # fmt: skip
    first = train(tmp_path / "first", "shapes", None, MODEL, config, progress=False, device="cpu")
    train(tmp_path / "second", "shapes", None, MODEL, config, progress=False, device="cpu", begin=first)
    assert steps == [0, 1, PULLED_STEPS, PULLED_STEPS + 1]


def test_what_cannot_be_allotted_is_a_clear_sentence(data):
    config = ModelConfig.from_preset("small", z_a_dim=4)
    with pytest.raises(G3ANError, match="among 5 people at the most; shapes has 12"):
        Allotment(Encoder(config, data.subjects), data)
    fast = open_dataset("shapes", length=16, steps=(3,))
    with pytest.raises(G3ANError, match="with 32 frames, are too short for 16 frames at step 3, which need 46"):
        Allotment(Encoder(ModelConfig.from_preset("small"), fast.subjects), fast)
    both = open_dataset("shapes", length=16, steps=(1, 2), mirror=True)
    with pytest.raises(G3ANError, match=r"allotted needs 4 numbers of z_m .*; the network has 3"):
        Allotment(Encoder(ModelConfig.from_preset("small", z_m_dim=3), both.subjects), both)
    with pytest.raises(G3ANError, match="unless allotted and reconstruction_alone at least steps"):
        TrainConfig.from_profile("faces", steps=20, reconstruction_alone=10, allotted=True, reading=0.0, mirror=True)
    with pytest.raises(G3ANError, match="allotted needs reconstruction above 0"):
        TrainConfig.from_profile("smoke", allotted=True)
    with pytest.raises(G3ANError, match="no following"):
        TrainConfig.from_profile("faces", allotted=True, following=0.1)


def test_a_run_with_allotted_codes_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    fit = Encoder.fit
    monkeypatch.setattr(Encoder, "fit", lambda encoder, data, seed: fit(encoder, data, seed, count=160))

    def settings(steps: int) -> TrainConfig:
        return TrainConfig.from_profile(
            "smoke", steps=steps, batch=8, together=4, perception=1.0, reconstruction=5.0, reconstruction_alone=3,
            allotted=True, clip_steps=(1,), mirror=False, checkpoint_every=1, sample_every=4,
        )  # fmt: skip

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(whole, "shapes", None, MODEL, settings(4), progress=False, device="cpu")
    for steps in (2, 4):
        train(parts, "shapes", None, MODEL, settings(steps), resume=steps > 2, progress=False, device="cpu")
    assert (whole / "generator.safetensors").read_bytes() == (parts / "generator.safetensors").read_bytes()
