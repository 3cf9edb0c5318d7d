"""Simulated faces: the asset, the factors, the motion, and that a name and a number fix every pixel."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

pytest.importorskip("embreex", reason="embreex has no wheel for this platform")

from g3an.data import open_dataset
from g3an.data.faces import motion, people, rays, render, sets
from g3an.data.faces.amplitude import amplitude
from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.factors import APPEARANCE, MOTION, RATE, draw_factors
from g3an.data.faces.head import BODY, LEFT_EYE, RIGHT_EYE, head
from g3an.data.layouts import EXPRESSIONS
from g3an.errors import G3ANError

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


def test_rays_meet_fewer_triangles_and_the_picture_stays_the_same(monkeypatch) -> None:
    asset = head()
    assert len(asset.coarse[BODY]) < 0.6 * (asset.part == BODY).sum()
    for part, some in asset.coarse.items():
        assert np.all(asset.vertex_part[some] == part), "a triangle's corners belong to its part"
    whole = copy.copy(asset)
    whole.coarse = {part: asset.triangles[asset.part == part] for part in asset.coarse}
    fine = render._Rig(whole)
    everyone = [(sets.videos("mug-sim")[i], t) for i, t in ((0, 0), (20, 11), (33, 11), (52, 11), (71, 16))]
    shown = [video.read([t])[0].astype(int) for video, t in everyone]
    monkeypatch.setattr(render, "rig", lambda: fine)
    for (video, t), coarse in zip(everyone, shown, strict=True):
        difference = np.abs(video.read([t])[0].astype(int) - coarse)
        assert difference.mean() < 2 and (difference.max(2) > 24).mean() < 0.03


REFERENCE = (("mug-sim", 7, 11), ("mug-sim", 100, 8), ("uva-nemo-sim", 20, 14), ("uva-nemo-sim", 333, 0))
"""Data set, video and frame of the pictures side by side in faces_reference.png."""


def test_another_machine_draws_the_same_faces_but_for_the_last_bits() -> None:
    """The committed picture was drawn elsewhere; a ray at an edge may fall to the other side."""
    drawn = np.concatenate([sets.FaceVideo(name, index).read([frame])[0] for name, index, frame in REFERENCE], 1)
    with Image.open(Path(__file__).with_name("faces_reference.png")) as image:
        difference = np.abs(drawn.astype(int) - np.asarray(image.convert("RGB")))
    assert difference.mean() < 0.25 and (difference.max(2) > 2).mean() < 0.01


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


def test_the_amplitude_counts_what_is_seen_of_an_expression() -> None:
    names = [factor.name for factor in MOTION["mug-sim"]]

    def seen(**values: float) -> np.ndarray:
        motion = np.zeros(len(names), np.float32)
        happy = {"expression": EXPRESSIONS.index("happy"), "brow_gain": 1, "mouth_gain": 1, "blink": 3}
        for name, value in (happy | {"intensity": 0.9} | values).items():
            motion[names.index(name)] = value
        return amplitude("mug-sim", motion)

    plain = seen()
    assert plain.min() == 0 and plain.max() == pytest.approx(0.9, abs=1e-5), "at the apex it is the intensity"
    assert np.allclose(seen(intensity=1, brow_gain=0.8, mouth_gain=0.8), 0.8 / 0.9 * plain, atol=1e-5)
    assert np.allclose(seen(blink=0.8, yaw=9, gaze_x=5), plain), "neither blinks nor turns are part of it"
    assert 0.8 < seen(asymmetry=-1).max() / plain.max() < 0.95, "one half of the face is a quarter weaker"
    smile, brows = seen(mouth_gain=0.8).max(), seen(brow_gain=0.8).max()
    assert smile < brows < plain.max(), "a smile is in the mouth more than in brows and lids"


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


CLIP = "import sys; from pathlib import Path; from g3an.data.faces import sets; sets.FRAMES = 2\n"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos of two frames; processes that draw are forked from this one and see it too."""
    monkeypatch.setattr(sets, "FRAMES", 2)


def test_the_cache_holds_what_would_be_drawn(tmp_path, short) -> None:
    assert sets.render("mug-sim", tmp_path, people=[1, 3], workers=2, progress=False) == tmp_path
    files = sorted(path.name for path in tmp_path.glob("*/*"))
    assert files == ["person001.npy", "person003.npy"]
    for index in (6, 11, 20):
        cached, drawn = (sets.FaceVideo("mug-sim", index, cache=cache) for cache in (tmp_path, None))
        assert np.array_equal(cached.read([0, 1]), drawn.read([0, 1]))
    # What is in the cache is really read, and not drawn again.
    path = sets.cached_file(tmp_path, "mug-sim", 1)
    np.save(path, np.zeros_like(np.load(path)))
    assert not sets.FaceVideo("mug-sim", 6, cache=tmp_path).read([0]).any()


def test_a_killed_rendering_goes_on_where_it_was(tmp_path, short) -> None:
    """kill -9 of the whole group in the middle; what is there is whole, and stays."""
    run = CLIP + "sets.render('mug-sim', Path(sys.argv[1]), range(8), 2, False)"
    process = subprocess.Popen([sys.executable, "-c", run, str(tmp_path)], start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/person*.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.read_bytes() for path in tmp_path.glob("*/person*.npy")}
    assert 0 < len(before) < 8
    times = {path: path.stat().st_mtime_ns for path in before}
    sets.render("mug-sim", tmp_path, range(8), 2, progress=False)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert all(path.stat().st_mtime_ns == time_ for path, time_ in times.items()), "drawn again"
    other = sets.render("mug-sim", tmp_path / "other", range(8), 1, progress=False)
    for person in range(8):
        one, two = (sets.cached_file(cache, "mug-sim", person).read_bytes() for cache in (tmp_path, other))
        assert one == two, "the number of workers changes nothing"


def test_a_killed_worker_is_one_sentence(tmp_path, short, monkeypatch) -> None:
    monkeypatch.setattr(sets, "_draw_person", _dying)
    with pytest.raises(G3ANError, match="was killed, perhaps for want of memory"):
        sets.render("mug-sim", tmp_path, range(3), 2, progress=False)


def _dying(path, dataset, person) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_wrong_requests_are_one_sentence(tmp_path, monkeypatch) -> None:
    with pytest.raises(G3ANError, match="no simulated data set 'mug'"):
        sets.render("mug", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(G3ANError, match="Cannot write"):
        sets.render("mug-sim", tmp_path / "file", [0], 1, progress=False)
    with pytest.raises(G3ANError, match=r"has 46 appearance factors; these are of shape \(3,\)"):
        sets.draw_video("mug-sim", np.zeros(3), np.zeros(18))
    monkeypatch.setattr(rays, "BACKENDS", ("no_such_ray_caster",))
    rays.installed.cache_clear()
    try:
        with pytest.raises(G3ANError, match="pip install embreex"):
            rays.installed()
    finally:
        rays.installed.cache_clear()


def test_both_ray_casters_draw_the_same() -> None:
    pytest.importorskip("warp", reason="warp-lang is installed only where embreex has no wheel")
    video = sets.FaceVideo("mug-sim", 9)
    who, steps = people.person(video.appearance()), motion.poses("mug-sim", video.motion())
    for step in steps[::8]:
        one, other = (render.draw(who, step, backend=name).astype(int) for name in rays.BACKENDS)
        assert np.abs(one - other).mean() < 0.01


@pytest.fixture(scope="module")
def faces() -> FaceDataset:
    return open_dataset("mug-sim", cached=False, steps=(1,), mirror=True, seed=4)


def test_clips_carry_their_factors(faces: FaceDataset) -> None:
    assert faces.classes == EXPRESSIONS and len(faces) == sets.PEOPLE * sets.CLIPS_PER_PERSON
    clip = faces.clip(8, start=3)
    assert clip["video"].shape == (3, 16, 64, 64) and -1 <= clip["video"].min() < clip["video"].max() <= 1
    assert (clip["start"], clip["step"], clip["category"]) == (3, 1, 2)
    assert clip["appearance"].shape == (len(faces.appearance_factors),)
    assert clip["motion"].shape == (len(faces.motion_factors),) and clip["motion"][0] == 2
    assert clip["motion"].dtype == clip["appearance"].dtype == torch.float32
    mirrored = faces.clip(8, start=3, flip=True)
    assert torch.equal(mirrored["video"], clip["video"].flip(-1))
    for name, factors in (("appearance", faces.appearance_factors), ("motion", faces.motion_factors)):
        odd = torch.tensor([factor.odd for factor in factors])
        assert odd.any() and torch.equal(mirrored[name], torch.where(odd, -clip[name], clip[name]))
    whole = amplitude("mug-sim", clip["motion"].numpy())
    assert torch.allclose(faces.amplitude(clip), torch.tensor(whole[3:19]).float())
    batch = next(iter(DataLoader(faces.epoch(0, 4), batch_size=2)))
    assert batch["video"].shape[0] == batch["appearance"].shape[0] == len(batch["start"]) == 2


def test_factors_of_a_mirrored_clip_draw_the_mirrored_clip(faces: FaceDataset) -> None:
    """Up to what has no left and right in the factors: strands of hair, and samples on edges."""
    clip = faces.clip(8, start=3, flip=True)
    drawn = sets.draw_video("mug-sim", clip["appearance"].numpy(), clip["motion"].numpy(), [10])[0]
    seen = ((clip["video"][:, 7] + 1) * 127.5).permute(1, 2, 0).numpy()
    unmirrored = np.abs(drawn - seen[:, ::-1]).mean()
    assert np.abs(drawn - seen).mean() < 0.3 * unmirrored


def test_counterfactuals(faces: FaceDataset) -> None:
    own = faces.counterfactual(8, 8, start=2)
    for name, value in faces.clip(8, start=2).items():
        assert torch.equal(torch.as_tensor(own[name]), torch.as_tensor(value)), name
    switched = faces.counterfactual(8, 15)
    assert (switched["category"], switched["index"]) == (15 % 6, 8)
    assert torch.equal(switched["appearance"], own["appearance"])
    assert torch.equal(switched["motion"], faces.clip(15)["motion"])
    with pytest.raises(G3ANError, match="no clip 9999"):
        faces.counterfactual(0, 9999)
    with pytest.raises(G3ANError, match="do not fit"):
        faces.counterfactual(0, 1, start=12)


def test_one_factor_is_varied_and_nothing_else(faces: FaceDataset) -> None:
    value = faces.readers[8].motion()[faces.motion_factors.index(factor := _factor(faces, "yaw"))]
    place = (value - factor.low) / (factor.high - factor.low)
    frames = faces.vary(8, "yaw", [place, 0, 1])
    assert np.abs(frames[0].astype(int) - faces.readers[8].read([11])[0]).max() <= 1
    assert not np.array_equal(frames[1], frames[2])
    assert faces.vary(8, "hair_style", [0, 0.49, 1]).shape == (3, 64, 64, 3)
    with pytest.raises(G3ANError, match="no factor 'beauty'"):
        faces.vary(8, "beauty", [0])


def _factor(faces: FaceDataset, name: str):
    return next(factor for factor in faces.motion_factors if factor.name == name)


def test_train_and_test_people_are_disjoint(tmp_path, short, monkeypatch) -> None:
    for name in sets.SETS:
        sides = [open_dataset(name, cached=False, split=split) for split in ("train", "test")]
        people_ = [set(side.subjects) for side in sides]
        assert not people_[0] & people_[1] and len(people_[0] | people_[1]) == sets.PEOPLE
        assert len(sides[0]) >= 2000
    monkeypatch.setattr(sets, "PEOPLE", 10)
    test = open_dataset("uva-nemo-sim", tmp_path, split="test", length=2)
    drawn = {f"uva-nemo-sim/{path.stem}" for path in tmp_path.glob("*/*.npy")}
    assert drawn == set(test.subjects) and len(drawn) == 2, "only who is wanted is drawn"
    assert test.clip(0)["video"].shape == (3, 2, 64, 64)
    assert open_dataset("uva-nemo-sim", tmp_path, split="test", length=2, size=32).clip(0)["video"].shape[-1] == 32


def test_more_people_than_a_set_has_come_to_its_train_people(tmp_path, short, monkeypatch) -> None:
    plain, test = (open_dataset("mug-sim", cached=False, split=split, length=2) for split in ("train", "test"))
    more = open_dataset("mug-sim", cached=False, split="train", length=2, extra_people=3)
    new = ["mug-sim/person420", "mug-sim/person421", "mug-sim/person422"]
    assert more.subjects == plain.subjects + new and more.split == "train"
    assert more.sources[: len(plain)] == plain.sources and len(set(more.sources)) == len(more)
    assert not set(more.subjects) & set(test.subjects) and more.fingerprint() != plain.fingerprint()
    assert more.categories[-3:] == [0, 1, 2], "one clip each, of the expressions in turn"
    clips = [more.clip(i, 0) for i in (0, len(plain), len(plain) + 1)]
    for kind in ("appearance", "motion"):
        assert torch.pdist(torch.stack([clip[kind] for clip in clips])).min() > 0.1  # type: ignore[literal-required]
    monkeypatch.setattr(sets, "PEOPLE", 5)
    few = open_dataset("mug-sim", tmp_path, split="train", length=2, extra_people=1)
    assert {path.stem for path in tmp_path.glob("*/*.npy")} == {name[-9:] for name in few.subjects}
    assert few.subjects[-1] == "mug-sim/person005" and len(np.load(next(tmp_path.glob("*/person005.npy")))) == 1
    again = open_dataset("mug-sim", split="train", length=2, extra_people=1, cached=False)
    assert all(torch.equal(few.clip(i)["video"], again.clip(i)["video"]) for i in (0, len(few) - 1))
    for wrong in ({"split": "test", "extra_people": 1}, {"extra_people": -1}):
        with pytest.raises(G3ANError, match=r"^extra_people is -?1; it must be 0 or more, and 0 for another split"):
            open_dataset("mug-sim", cached=False, **wrong)
    with pytest.raises(G3ANError, match="extra_people is 1; only simulated sets can have more people, and not shapes"):
        open_dataset("shapes", extra_people=1)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc, which only Linux has")
def test_drawing_starts_no_thread_that_a_forked_worker_would_miss() -> None:
    script = (
        "import os\nfrom g3an.data import open_dataset\n"
        "clips = open_dataset('mug-sim', cached=False, length=1).epoch(0, 1)\n"
        "cores, before = os.sched_getaffinity(0), len(os.listdir('/proc/self/task'))\n"
        "clips[0]\n"
        "assert os.sched_getaffinity(0) == cores\n"
        "print(len(os.listdir('/proc/self/task')) - before)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    assert int(run.stdout) == 0


def test_workers_and_order_change_nothing() -> None:
    data = open_dataset("uva-nemo-sim", cached=False, length=2, seed=1)
    # Fresh processes: other tests may have left threads behind that a forked worker would wait for.
    clips = data.epoch(3, 6)
    loaders = [DataLoader(clips, 6), DataLoader(clips, 6, num_workers=2, multiprocessing_context="spawn")]
    one, other = (next(iter(loader)) for loader in loaders)
    assert all(torch.equal(one[name], other[name]) for name in one)
