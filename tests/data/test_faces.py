"""Simulated faces: the asset, the factors, the motion, and that a name and a number fix every pixel."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("embreex", reason="embreex has no wheel for this platform")

from g3an.data.faces import motion, people, render, sets
from g3an.data.faces.factors import APPEARANCE, EXPRESSIONS, FRAMES, MOTION, RATE, draw_factors
from g3an.data.faces.head import BODY, LEFT_EYE, RIGHT_EYE, head

ORDINARY = {factor.name: (factor.low + factor.high) / 2 for factor in APPEARANCE}


def person(**factors: float):
    return people.person(np.array([{**ORDINARY, **factors}[factor.name] for factor in APPEARANCE], np.float32))


def still(**units: float) -> render.Pose:
    weights = np.zeros(len(head().units), np.float32)
    for name, weight in units.items():
        for side in ("", "Left", "Right"):
            if name + side in head().units:
                weights[head().units.index(name + side)] = weight
    return render.Pose(weights)


def test_the_asset_is_a_symmetric_head() -> None:
    asset = head()
    assert len(asset.units) == 52 and asset.triangles.max() < len(asset.template)
    body = asset.template[asset.vertex_part == BODY]
    left, right = body[body[:, 0] > 0.01], body[body[:, 0] < -0.01]
    assert len(left) == len(right)
    assert np.allclose(left.mean(0) * [-1, 1, 1], right.mean(0), atol=1e-3)
    assert asset.masks.min() == 0 and asset.masks.max() <= 1


def test_factors_are_within_their_ranges_and_independent() -> None:
    for factors in (APPEARANCE, *MOTION.values()):
        drawn = np.stack([draw_factors(factors, np.random.default_rng([9, k])) for k in range(2000)])
        low, high = np.array([f.low for f in factors]), np.array([f.high for f in factors])
        assert (drawn >= low - 1e-6).all() and (drawn <= high + 1e-6).all()
        assert (drawn.std(0) > 0.2 * (high - low) / np.sqrt(12)).all(), "a factor hardly varies"
        correlation = np.corrcoef(drawn.T) - np.eye(len(factors))
        assert np.abs(correlation).max() < 0.12
        assert all(f.meaning for f in factors)


def test_eyes_close_and_lids_never_cut_into_the_eyeball() -> None:
    who = person()
    sclera = []
    for closed in (0.0, 0.5, 1.0):
        v, _, centres = render.geometry(who, still(eyeBlink=closed))
        for side in (LEFT_EYE, RIGHT_EYE):
            eye = who.neutral[render.rig().eye_vertices[side]]
            radius = np.linalg.norm(eye - (eye.max(0) + eye.min(0)) / 2, axis=1).max()
            away = np.linalg.norm(v[render.rig().lids[side]] - centres[side], axis=1)
            assert away.min() >= 1.03 * radius
        frame = render.draw(who, still(eyeBlink=closed), 128).astype(int)
        sclera.append(int((np.ptp(frame[55:75], axis=-1) < 25).sum()))  # what is white between brow and cheek
    assert sclera[0] > sclera[2] + 20


def test_expressions_move_what_they_should() -> None:
    who = person()
    neutral = render.draw(who, still()).astype(int)
    change = {}
    for name in EXPRESSIONS:
        frame = render.draw(who, render.Pose(motion.expression_units(name))).astype(int)
        moved = np.abs(frame - neutral).mean(-1)
        change[name] = (moved[22:36].mean(), moved[40:58].mean())  # brows and eyes, mouth
        assert min(change[name]) > 0.5, name
    assert max(change, key=lambda name: change[name][1]) in ("surprise", "fear", "happy")


def test_the_head_turns_to_its_left() -> None:
    frame = render.draw(person(hair_style=0), render.Pose(still().units, yaw=0.3), 128).astype(int)
    straight = render.draw(person(hair_style=0), still(), 128).astype(int)
    assert np.abs(frame - straight).mean() > 2
    v, _, _ = render.geometry(person(), render.Pose(still().units, yaw=0.3))
    nose = np.argmax(head().template[:, 2] * (head().vertex_part == BODY))
    assert v[nose, 0] > person().neutral[nose, 0] + 0.1


def test_timing_is_onset_apex_and_offset() -> None:
    times = np.arange(0, 3, 0.01)
    strength = motion.envelope(times, 0.5, 0.4, 0.6, 0.8)
    assert strength.min() >= 0 and strength.max() == pytest.approx(1)
    assert (strength[times <= 0.5] == 0).all() and np.allclose(strength[(times > 0.91) & (times < 1.49)], 1)
    assert np.allclose(strength[times > 2.31], 0, atol=1e-9)
    assert np.abs(np.diff(strength)).max() < 0.06, "a jump"


def test_posed_smiles_are_faster_and_less_even() -> None:
    names = [factor.name for factor in MOTION["uva-nemo-sim"]]
    rise, uneven = {0: [], 1: []}, {0: [], 1: []}
    smile = [head().units.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    for index in range(120):
        values = sets.FaceVideo("uva-nemo-sim", index).motion()
        units = np.stack([pose.units for pose in motion.poses("uva-nemo-sim", values, 40)])
        both = units[:, smile]
        top = both.max(1)
        posed = int(values[names.index("posed")])
        assert posed == index % 2
        rise[posed].append((top.argmax() - np.flatnonzero(top > 0.01)[0]) / RATE)
        uneven[posed].append(np.ptp(both[top.argmax()]))
    assert np.median(rise[1]) < 0.7 * np.median(rise[0])
    assert np.mean(uneven[1]) > 2 * np.mean(uneven[0])


def test_name_and_number_fix_every_pixel() -> None:
    """In this process in another order, and in a fresh one."""
    first = {index: sets.FaceVideo("mug-sim", index).read([0, 12]) for index in (7, 3)}
    again = {index: sets.FaceVideo("mug-sim", index).read([0, 12]) for index in (3, 7)}
    code = (
        "import sys, numpy as np; from g3an.data.faces.sets import FaceVideo;"
        "sys.stdout.buffer.write(FaceVideo('mug-sim', 7).read([0, 12]).tobytes())"
    )
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert fresh == first[7].tobytes()
    assert all(np.array_equal(first[index], again[index]) for index in first)
    assert first[7].shape == (2, 64, 64, 3) and not np.array_equal(first[7], first[3])


def test_a_person_is_the_same_in_all_their_clips() -> None:
    one, other = sets.FaceVideo("mug-sim", 12), sets.FaceVideo("mug-sim", 17)
    assert one.subject == other.subject and one.category != other.category
    assert np.array_equal(one.appearance(), other.appearance())
    assert not np.array_equal(one.motion(), other.motion())
    switched = sets.draw_video("mug-sim", one.appearance(), other.motion(), [9])
    assert np.array_equal(switched, other.read([9])), "the same person, so the switch is the other clip"


def test_the_cache_holds_what_would_be_drawn(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sets, "SHARD", 2)
    monkeypatch.setattr(sets, "PEOPLE", 1)
    monkeypatch.setattr(sets, "FRAMES", 2)
    path = sets.shard_path(tmp_path, "mug-sim", 1)
    assert sets._draw_shard(path, "mug-sim", 1) == 2
    cached = sets.FaceVideo("mug-sim", 3, cache=tmp_path)
    assert np.array_equal(cached.read([0, 1]), sets.FaceVideo("mug-sim", 3).read([0, 1]))
    assert FRAMES == 24 and len(np.load(path)) == 2
