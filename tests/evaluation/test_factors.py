"""The factor network: the truth it learns from, that it learns, and what the shipped one can do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from g3an.data.faces.dataset import FaceDataset
from g3an.data.faces.motion import COURSES, courses
from g3an.data.faces.sets import CLIPS_PER_PERSON, videos
from g3an.data.layouts import EXPRESSIONS, chosen_subjects
from g3an.errors import G3ANError
from g3an.evaluation import factors
from g3an.evaluation.faces import verification
from g3an.evaluation.factors import (
    SHIPPED,
    FactorClips,
    FactorNetwork,
    Reading,
    described,
    fit,
    fit_moves,
    load_factors,
    save_factors,
)


def some_faces(people: list[int], name: str = "mug-sim", **how: object) -> FaceDataset:
    """A data set of few people, drawn when it is read."""
    made = [video for video in videos(name) if video.person in people]
    return FaceDataset(name, made, length=16, steps=(1,), **how)


def test_courses_are_those_that_the_poses_were_drawn_from():
    motion = videos("mug-sim")[4].motion()
    course = courses("mug-sim", motion)
    assert course.keys() == COURSES.keys()
    assert course["strength"][0] == 0 and 0.6 < course["strength"].max() <= 1
    assert 0 <= course["blink"].min() and course["blink"].max() <= 1
    assert np.ptp(course["yaw"]) == pytest.approx(abs(motion[factors_at("yaw_drift")]), rel=1e-3)


def factors_at(name: str) -> int:
    from g3an.data.faces.factors import MOTION

    return [factor.name for factor in MOTION["mug-sim"]].index(name)


def test_the_truth_about_a_clip_follows_its_window_and_its_mirror():
    data = some_faces([0])
    whole = courses("mug-sim", data.readers[2].motion())
    late = described(data, data.clip(2, 8), {data.subjects[0]: 5})
    assert late["expression"] == 2 and late["person"] == 5
    for k, name in enumerate(COURSES):
        assert late["course"][k].numpy() == pytest.approx(whole[name][8:24], abs=1e-6)
    turned = described(data, data.clip(2, 8, flip=True), {})
    assert turned["person"] == -1
    yaw, pitch = list(COURSES).index("yaw"), list(COURSES).index("pitch")
    assert torch.allclose(turned["course"][yaw], -late["course"][yaw], atol=1e-5)
    assert torch.allclose(turned["course"][pitch], late["course"][pitch])
    smile = described(some_faces([0], "uva-nemo-sim"), some_faces([0], "uva-nemo-sim").clip(1), {})
    assert smile["expression"] == EXPRESSIONS.index("happy")


def test_sets_take_turns_and_each_person_has_a_number():
    sets = [some_faces([0, 1]), some_faces([3], "uva-nemo-sim")]
    clips = FactorClips(sets, 6, 0)
    assert sorted(clips.person.values()) == [0, 1, 2]
    smiles = clips.person["uva-nemo-sim/person003"]
    assert [clips[k]["person"] == smiles for k in range(4)] == [False, True, False, True]


def test_it_learns_and_the_same_seed_gives_the_same_network(monkeypatch):
    monkeypatch.setattr(factors, "_faces", lambda name, root, split, **how: some_faces([0, 1], name, **how).keep())
    losses: list[dict[str, float]] = []
    how = {"names": ("mug-sim",), "epochs": 4, "clips": 16, "batch": 8, "progress": False}
    one = fit(**how, each=lambda epoch, means: losses.append(means))
    assert losses[-1]["person"] < 0.7 * losses[0]["person"] and losses[-1]["course"] < losses[0]["course"]
    assert not one.training
    two = fit(**how)
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_reader_of_motion_learns_alone_and_leaves_the_random_numbers(monkeypatch):
    monkeypatch.setattr(factors, "_faces", lambda name, root, split, **how: some_faces([0, 1], name, **how).keep())
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    how = {"names": ("mug-sim",), "epochs": 6, "clips": 16, "batch": 8, "seed": 3, "progress": False}
    one, two = fit_moves(**how), fit_moves(**how)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
    torch.manual_seed(3)
    begun = FactorNetwork().state_dict()
    moved = {name.split(".")[0] for name, value in one.named_parameters() if not torch.equal(value, begun[name])}
    assert moved == {"moved", "time", "course", "expression"} and not one.training


def test_unlike_sees_what_a_face_does_and_not_its_colour():
    network, data = load_factors(), some_faces([0])
    sad, surprised = (data.clip(k)["video"][None] for k in (0, 2))
    plain = network.seen(sad)
    assert plain.unlike(plain) == 0 and torch.allclose(plain.course, network(sad).course, atol=1e-4)
    tinted = (sad * 0.8 + torch.tensor([0.1, 0.0, -0.1])[:, None, None, None]).requires_grad_()
    near, far = plain.unlike(network.seen(tinted)), plain.unlike(network.seen(surprised))
    assert 0 < 3 * near < far
    near.backward()
    assert tinted.grad is not None and tinted.grad.abs().sum() > 0
    frames = torch.tensor([7, 2, 11])
    some, others = (network.seen(video[:, :, frames]) for video in (sad, surprised))
    assert some.unlike(others) > 0 and [len(seen) for seen in some.maps] == [3] * 4


def test_saved_and_loaded_it_reads_the_same(tmp_path):
    torch.manual_seed(0)
    network = FactorNetwork().eval()
    save_factors(network, tmp_path / "factors.safetensors")
    again = load_factors(tmp_path / "factors.safetensors")
    clips = torch.rand(3, 3, 16, 64, 64) * 2 - 1
    one, two = network.read(clips, batch=2), again.read(clips)
    for name in Reading.__dataclass_fields__:
        assert torch.allclose(getattr(one, name), getattr(two, name), atol=0.05, rtol=0.01), name
    assert one.course.shape == (3, 5, 16) and one.identity.norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    assert network.read(clips[:, :, :8]).course.shape == (3, 5, 8)
    assert torch.allclose(network.read(clips.flip(4)).expression, one.expression, atol=1e-4), "it has no side"
    assert one.expression.exp().sum(1).tolist() == pytest.approx([1, 1, 1])


def test_what_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(G3ANError, match="There is no factor network"):
        load_factors(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(SHIPPED.read_bytes()[:5000])
    with pytest.raises(G3ANError, match="is damaged"):
        load_factors(tmp_path / "cut.safetensors")
    with pytest.raises(G3ANError, match="training mode"):
        FactorNetwork().read(torch.zeros(1, 3, 16, 64, 64))
    with pytest.raises(G3ANError, match="shapes has no known factors"):
        factors._faces("shapes", None, "all")


def test_the_shipped_network_is_small_and_reads_test_people():
    """All test people are read by ``make validate``; here are some, drawn on the spot."""
    assert SHIPPED.stat().st_size < 5_000_000
    everyone = sorted({video.subject for video in videos("mug-sim")})
    held = sorted(int(name[-3:]) for name in chosen_subjects(everyone, "test"))[:8]
    data = some_faces(held)
    network = load_factors()
    seen = network.read(torch.stack([data.clip(i)["video"] for i in range(len(data))]))
    wanted = torch.tensor(data.categories)
    assert len(data) == 8 * CLIPS_PER_PERSON
    assert (seen.expression.argmax(1) == wanted).float().mean() > 0.85
    assert verification(seen, np.array(data.subjects)) > 0.95
