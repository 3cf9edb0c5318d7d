"""The measures of generated faces, on stand-ins whose answers are known: videos that carry their own reading."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from g3an.data.layouts import EXPRESSIONS
from g3an.errors import G3ANError
from g3an.evaluation import faces
from g3an.evaluation.faces import MOVES, FaceProbes, measure, moves, verification
from g3an.evaluation.factors import Reading

PEOPLE, CLIPS, MOTIONS = 8, 6, 6


def reading(expression: Tensor, strength: Tensor, yaw: Tensor, person: Tensor) -> Reading:
    """Of clips that show these; ``person`` is an angle on a circle of identities."""
    count, frames = strength.shape
    course = torch.zeros(count, 5, frames)
    course[:, 0], course[:, 2] = strength, yaw[:, None]
    return Reading(
        expression=torch.nn.functional.one_hot(expression, 6).float(),
        course=course,
        identity=torch.stack([person.cos(), person.sin()], 1),
        features=torch.zeros(count, 384),
    )


class Reader:
    """Reads what :func:`written` wrote into the first pixels of a clip."""

    def read(self, videos: Tensor) -> Reading:
        cell = videos[:, 0, :, 0]
        return reading(cell[:, 0, 0].round().long(), cell[:, :, 1], cell[:, 0, 2], cell[:, 0, 3])


class Awake:
    """Sees all lids open."""

    def read(self, videos: Tensor) -> Tensor:
        return torch.zeros(len(videos), videos.shape[2])


class Strong:
    """Reads the strength that :func:`written` wrote."""

    def read(self, videos: Tensor) -> Tensor:
        return videos[:, 0, :, 0, 1]


def probes(factors: object | None = None, strength: object | None = None) -> FaceProbes:
    """Stand-ins for the networks."""
    return FaceProbes(factors or Reader(), Awake(), strength or Strong())  # type: ignore[arg-type]


def written(expression: float, peak: float, onset: int, yaw: float, person: float) -> Tensor:
    """A clip (3, 16, 64, 64) that carries its own truth and flickers by a fixed amount."""
    video = torch.zeros(3, 16, 64, 64)
    strength = peak * torch.clamp((torch.arange(16) - onset + 1) / 2, 0, 1)
    video[0, :, 0, 0], video[0, :, 0, 1], video[0, :, 0, 2], video[0, :, 0, 3] = expression, strength, yaw, person
    video[1, ::2] = 0.1
    return video


class Held:
    """Stands for the test people of mug-sim: each does each expression once."""

    classes, length = EXPRESSIONS, 16

    def __init__(self, people: int = PEOPLE) -> None:
        random = np.random.default_rng(0)
        self.subjects, self.categories, self.videos = [], [], []
        for person in range(people):
            for kind in range(CLIPS):
                self.subjects.append(f"person{person}")
                self.categories.append(kind)
                yaw, onset = random.normal(0, 4), int(random.integers(2, 10))
                # People stand 0.5 apart on the circle, and each wavers a little.
                angle = 0.5 * person + random.normal(0, 0.01)
                self.videos.append(written(kind, random.uniform(0.7, 1), onset, yaw, angle))

    def __len__(self) -> int:
        return len(self.videos)

    def count(self, i: int) -> int:
        return 24

    def clip(self, i: int, start: int) -> dict:
        assert 0 <= start <= 8
        return {"video": self.videos[i], "category": self.categories[i], "index": i}

    def courses(self, clip: dict) -> Tensor:
        """What the clip carries: strength, and yaw in every frame."""
        course = torch.zeros(5, 16)
        course[0], course[2] = clip["video"][0, :, 0, 1], clip["video"][0, 0, 0, 2]
        return course

    def amplitude(self, clip: dict) -> Tensor:
        """Half of the strength is seen."""
        return self.courses(clip)[0] / 2


@pytest.fixture
def run(monkeypatch):
    """Measure a generator that makes clips by a function of (person, class, motion), all random but fixed by them."""

    def start(make, classes=EXPRESSIONS, **options):
        monkeypatch.setattr(faces, "open_dataset", lambda *_, **__: Held())

        def generate(generator, codes):
            people = torch.unique(codes.z_a, dim=0, return_inverse=True)[1]
            motions = torch.unique(codes.z_m, dim=0, return_inverse=True)[1]
            kinds = codes.c.argmax(1) if codes.c is not None else torch.zeros(len(codes), dtype=torch.long)
            return torch.stack([make(int(p), int(k), int(m)) for p, k, m in zip(people, kinds, motions, strict=True)])

        monkeypatch.setattr(faces, "generate", generate)
        generator = SimpleNamespace(config=SimpleNamespace(classes=tuple(classes), z_a_dim=128, z_m_dim=10))
        how = {"motions": MOTIONS, "probes": probes()} | options
        return measure(generator, "mug-sim", people=PEOPLE, **how)  # type: ignore[arg-type]

    return start


def like_the_data(person: int, kind: int, motion: int) -> Tensor:
    random = np.random.default_rng([person, kind, motion])
    return written(kind, random.uniform(0.7, 1), int(random.integers(2, 10)), random.normal(0, 4), 0.5 * person)


@pytest.mark.parametrize("classes", [EXPRESSIONS, ()])
def test_a_network_of_one_category_is_measured_on_as_many_clips_as_others(run, classes):
    assert run(like_the_data, classes, motions=None).clips == 24 * PEOPLE


@pytest.mark.parametrize("motions", [0, 1, -3])
def test_what_has_no_pairs_is_refused(run, motions):
    with pytest.raises(G3ANError, match=f"two or more, not 8 and {motions}"):
        run(like_the_data, motions=motions)


def test_a_perfect_generator_is_found_perfect(run):
    report = run(like_the_data)
    assert report.category_accuracy == report.category_accuracy_data == 1.0
    assert report.same_person == report.same_person_data == 1.0 and report.told_apart > 0.9
    assert report.diversity == pytest.approx(1, abs=0.05) and report.motion_energy == pytest.approx(1, abs=0.05)
    for name in ("peak", "onset", "yaw"):
        assert report.motion_variance[name] == pytest.approx(1, abs=0.45), name
        assert report.motion_agreement[name] == pytest.approx(1), name
    assert report.clips == PEOPLE * 6 * MOTIONS
    assert report.to_dict()["motion_variance"].keys() == set(MOVES)


def test_each_failure_shows_in_its_own_number(run):
    def wrong_half(person, kind, motion):
        return like_the_data(person, kind if person % 2 else (kind + 1) % 6, motion)

    assert run(wrong_half).category_accuracy == pytest.approx(0.5)

    def one_motion(person, kind, motion):
        return like_the_data(person, kind, 0)

    still = run(one_motion)
    assert max(value for value in still.motion_variance.values() if value == value) < 1e-6
    assert still.category_accuracy == still.same_person == 1.0

    def one_person(person, kind, motion):
        return like_the_data(0, kind, motion)

    alone = run(one_person)
    assert alone.diversity < 0.05 and alone.told_apart == 0

    def person_changes_with_motion(person, kind, motion):
        return written(kind, 0.9, 4, 0.0, 0.5 * person + 0.7 * motion)

    assert run(person_changes_with_motion).same_person < 0.3

    def frozen(person, kind, motion):
        return like_the_data(person, kind, motion)[:, :1].expand(3, 16, 64, 64)

    assert run(frozen).motion_energy == 0


def test_categories_may_come_in_another_order_or_not_at_all(run):
    turned = EXPRESSIONS[::-1]
    report = run(lambda person, kind, motion: like_the_data(person, 5 - kind, motion), classes=turned)
    assert report.category_accuracy == 1.0
    plain = run(like_the_data, classes=())
    assert plain.category_accuracy is None and plain.clips == PEOPLE * MOTIONS


def test_the_threshold_lets_one_percent_of_strangers_pass(run):
    report = run(like_the_data)
    angle = 0.5 * np.abs(np.arange(PEOPLE)[:, None] - np.arange(PEOPLE)[None])
    strangers = np.cos(angle)[np.triu_indices(PEOPLE, 1)]
    assert np.quantile(strangers, 0.9) < report.identity_threshold <= 1


def test_blinks_and_strength_are_read_by_what_knows_them_and_the_rest_by_what_knows_faces():
    clips = torch.stack([written(1, 0.9, 4, 3.0, 0.5), written(2, 0.8, 5, -1.0, 1.0)])
    lids, strength = (
        SimpleNamespace(read=lambda videos, end=end: torch.linspace(0, end, 16).expand(len(videos), 16))
        for end in (1.0, 0.5)
    )
    seen, plain = FaceProbes(Reader(), lids, strength).read(clips), Reader().read(clips)  # type: ignore[arg-type]
    assert torch.equal(seen.course[:, 1], torch.linspace(0, 1, 16).expand(2, 16))
    assert torch.equal(seen.course[:, 0], torch.linspace(0, 0.5, 16).expand(2, 16))
    assert torch.equal(seen.course[:, 2:], plain.course[:, 2:])
    assert torch.equal(seen.expression, plain.expression) and torch.equal(seen.identity, plain.identity)


def test_moves_are_read_off_the_course():
    strength = torch.tensor([[0, 0, 0, 0.4, 0.8, 0.8, 0.8, 0], [0.8] * 8])
    seen = reading(torch.tensor([0, 1]), strength, torch.tensor([3.0, -2.0]), torch.zeros(2))
    seen.course[0, 2] = torch.linspace(-1, 6, 8)
    seen.course[1, 1, 5] = 0.9
    found = {name: moves(seen)[:, k].tolist() for k, name in enumerate(MOVES)}
    assert found["peak"] == pytest.approx([0.8, 0.8])
    assert found["onset"] == pytest.approx([3, 0]), "half of the peak is passed in frame 3; the other has begun before"
    assert found["yaw"] == pytest.approx([2.5, -2.0]) and found["blink"] == pytest.approx([0, 0.9])
    assert found["yaw_drift"] == pytest.approx([6, 0])


def test_agreement_is_that_of_reading_and_truth_within_classes(monkeypatch):
    monkeypatch.setattr(faces, "open_dataset", lambda *_, **__: Held())
    found = faces.agreement("mug-sim", probes=probes())
    assert found.keys() == set(MOVES)
    assert [found[name] for name in ("peak", "onset", "yaw")] == pytest.approx([1, 1, 1])

    class Biased(Reader):
        """Turns yaw round."""

        def read(self, videos: Tensor) -> Reading:
            seen = super().read(videos)
            seen.course[:, 2] *= -1
            return seen

    class Partial(Strong):
        """Sees some expressions stronger than others."""

        def read(self, videos: Tensor) -> Tensor:
            return super().read(videos) + 9 * videos[:, 0, :1, 0, 0]

    found = faces.agreement("mug-sim", probes=probes(Biased(), Partial()))
    assert [found["yaw"], found["peak"]] == pytest.approx([-1, 1]), "what differs between classes does not count"


def test_verification_counts_both_kinds_of_mistakes():
    people = torch.tensor([0.0, 0.01, 1.0, 1.01, 2.0, 2.01])
    who = np.array(["a", "a", "b", "b", "c", "c"])
    some = torch.zeros(6, 16)

    def seen(angles: Tensor) -> Reading:
        return reading(torch.zeros(6, dtype=torch.long), some, torch.zeros(6), angles)

    assert verification(seen(people), who) == 1.0
    assert verification(seen(people[torch.tensor([0, 2, 4, 1, 3, 5])]), who) < 0.8
