"""The measures of people in action, on drawings whose answers are known: shirts stand still, hands wave somewhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from g3an import cards
from g3an.errors import G3ANError
from g3an.evaluation import actions
from g3an.evaluation.actions import (
    LOOKS,
    MOVES,
    ActionReader,
    action_probe,
    leave_one_person_out,
    measure_actions,
    what_stays,
    when_it_moves,
    where_it_moves,
)
from g3an.evaluation.faces import energy, noise_energy

CLASSES = ("up", "down", "left", "right")
HANDS = ((4, 28), (52, 28), (28, 4), (28, 52))
"""Where the hand of each action waves, in pixels."""

REAL_PEOPLE, PEOPLE, MOTIONS = 12, 10, 4


def drawn(person: int, kind: int, reach: float, phase: float = 0.0) -> Tensor:
    """A clip (3, 16, 64, 64): a shirt of the person's own colour, and a hand that comes and goes."""
    video = torch.full((3, 16, 64, 64), -0.5)
    colours = np.random.default_rng([person]).uniform(-0.9, 0.9, 3)
    video[:, :, 20:44, 20:44] = torch.tensor(colours, dtype=torch.float32)[:, None, None, None]
    y, x = HANDS[kind]
    for half in (0, 4):  # the right half comes later
        wave = reach * (0.5 + 0.5 * torch.sin(torch.arange(16) * 0.9 + phase - half / 4))
        video[:, :, y : y + 8, x + half : x + half + 4] += wave[None, :, None, None]
    return video.clamp(-1, 1)


class Filmed:
    """Stands for Weizmann: every person does every action, over and over."""

    name, classes, steps, mirror = "weizmann", CLASSES, (2,), True
    subjects = tuple(f"person{i // 4}" for i in range(REAL_PEOPLE * 4))

    def epoch(self, number: int, count: int) -> list[dict]:
        clips = []
        for k in range(count):
            i = k % len(self.subjects)
            random = np.random.default_rng([k])
            video = drawn(100 + i // 4, i % 4, random.uniform(0.5, 1.0), random.uniform(0, 6))
            clips.append({"video": video, "category": i % 4, "index": i})
        return clips


@pytest.fixture
def run(monkeypatch):
    """Measure a generator that makes clips by a function of (person, class, motion), all numbers from 0 up."""
    monkeypatch.setattr(actions, "REAL_CLIPS", 144)

    def start(make, classes=CLASSES, data=None):
        def generate(generator, codes):
            people = torch.unique(codes.z_a, dim=0, return_inverse=True)[1]
            motions = torch.unique(codes.z_m, dim=0, return_inverse=True)[1]
            # The fake knows classes by name, as a network does that lists them in an order of its own.
            kinds = [CLASSES.index(classes[k]) for k in codes.c.argmax(1)]
            return torch.stack([make(int(p), k, int(m)) for p, k, m in zip(people, kinds, motions, strict=True)])

        monkeypatch.setattr(actions, "generate", generate)
        config = SimpleNamespace(classes=tuple(classes), z_a_dim=128, z_m_dim=10)
        return measure_actions(SimpleNamespace(config=config), data or Filmed(), people=PEOPLE, motions=MOTIONS)  # type: ignore[arg-type]

    return start


def like_the_data(person: int, kind: int, motion: int) -> Tensor:
    random = np.random.default_rng([person, kind, motion])
    return drawn(person, kind, random.uniform(0.5, 1.0), random.uniform(0, 6))


def test_a_perfect_generator_is_found_perfect(run):
    report = run(like_the_data)
    assert report.category_accuracy == report.category_accuracy_data == 1.0
    assert report.same_person > 0.95 and report.same_person_data == 1.0, "a few waves reach into the shirt's cells"
    assert report.told_apart > 0.9
    assert report.diversity == pytest.approx(1, abs=0.25) == report.diversity_probe
    assert report.motion_energy == pytest.approx(1, abs=0.1)
    for shares in (report.motion_variance, report.motion_variance_person):
        assert shares.keys() == {"where_it_moves", "when_it_moves", *MOVES}
        found = [shares[name] for name in ("where_it_moves", "when_it_moves", "energy")]
        assert found == pytest.approx([1] * 3, abs=0.3)
    assert report.movement_energy == pytest.approx(report.motion_energy, abs=0.05), "drawn clips have no noise"
    assert report.clips == PEOPLE * 4 * MOTIONS and report.identity_threshold < 0


def test_each_failure_shows_in_its_own_number(run):
    half = run(lambda person, kind, motion: like_the_data(person, kind if motion % 2 else (kind + 1) % 4, motion))
    assert half.category_accuracy == pytest.approx(0.5)
    one_motion = run(lambda person, kind, motion: like_the_data(person, kind, 0))
    assert max(one_motion.motion_variance.values()) < 1e-9 and one_motion.category_accuracy == 1.0
    alike = run(lambda person, kind, motion: like_the_data(0, kind, motion))
    assert alike.diversity < 0.2 > alike.diversity_probe and alike.told_apart < 0.05
    assert run(lambda person, kind, motion: like_the_data(motion, kind, motion)).same_person < 0.2
    assert run(lambda *codes: like_the_data(*codes)[:, :1].expand(3, 16, 64, 64)).motion_energy == 0


def test_noise_that_a_network_makes_is_no_movement(run):
    random = torch.Generator().manual_seed(0)

    def noisy(*codes):
        clip = like_the_data(*codes)
        return (clip + 0.02 * torch.rand(clip.shape, generator=random) - 0.01).clamp(-1, 1)

    plain, report = run(like_the_data), run(noisy)
    assert report.motion_energy > 2 * plain.motion_energy
    assert report.movement_energy == pytest.approx(plain.movement_energy, rel=0.3)


def test_noise_is_told_from_movement():
    random = torch.Generator().manual_seed(0)
    moving = torch.zeros(4, 3, 16, 64, 64)
    moving[:, :, ::2, 20:40, 20:40] = 1
    noise = 0.2 * torch.rand(moving.shape, generator=random)
    assert noise_energy(moving) == 0 and noise_energy(noise) > 0.9
    both = energy(moving + noise)
    assert noise_energy(moving + noise) * both == pytest.approx(energy(noise), rel=0.1)


def test_the_order_of_the_network_s_categories_does_not_matter(run):
    assert run(like_the_data, CLASSES[::-1]).category_accuracy == 1.0


def test_what_cannot_be_measured_is_refused(run):
    with pytest.raises(G3ANError, match="The network makes up, down; weizmann has up, down, left, right"):
        run(like_the_data, CLASSES[:2])
    with pytest.raises(G3ANError, match="not finite"):
        run(lambda *codes: torch.full((3, 16, 64, 64), float("nan")))

    class Still(Filmed):
        def epoch(self, number, count):
            frozen = [clip["video"][:, :1].expand(3, 16, 64, 64) for clip in super().epoch(number, count)]
            return [{**clip, "video": video} for clip, video in zip(super().epoch(number, count), frozen, strict=True)]

    with pytest.raises(G3ANError, match="stand still"):
        run(like_the_data, data=Still())
    for people, motions in ((1, 4), (4, 0)):
        with pytest.raises(G3ANError, match=f"two or more, not {people} and {motions}"):
            measure_actions(SimpleNamespace(), Filmed(), people=people, motions=motions)  # type: ignore[arg-type]
    for function in (where_it_moves, when_it_moves, what_stays):
        with pytest.raises(G3ANError, match=r"\(n, 3, T, H, W\)"):
            function(torch.zeros(3, 16, 64, 64))


def test_the_two_pictures_see_one_thing_each():
    clip = drawn(0, 1, 0.9)[None]
    moves = where_it_moves(clip).reshape(2, 16, 16)
    assert moves[:, 13:15, 7:9].min() > 0.1 and moves[:, :12].max() == 0, "the hand, and nothing else"
    assert where_it_moves(drawn(5, 1, 0.9)[None]) == pytest.approx(moves.ravel()[None], abs=1e-3), "whoever it is"
    assert np.allclose(what_stays(clip), what_stays(torch.cat([clip[:, :, 8:], clip[:, :, :8]], 2)))
    assert np.abs(what_stays(clip) - what_stays(drawn(5, 1, 0.9)[None])).max() > 0.2
    assert what_stays(clip).shape == (1, 384)
    lopsided = clip.clone()
    lopsided[..., :20] = 0.3
    assert np.abs(what_stays(lopsided) - what_stays(clip)).max() > 0.1
    assert np.allclose(what_stays(lopsided.flip(4)), what_stays(lopsided)), "a mirrored person is the same one"


def moving(colour: float, height: int, wall: float = 0.5, backwards: bool = False) -> Tensor:
    """A clip (1, 3, 16, 64, 64): a hand climbs beside somebody of one colour before a wall."""
    video = torch.full((1, 3, 16, 64, 64), wall)
    video[:, :, :, 64 - height :, 28:36] = colour
    for t in range(16):
        y = 50 - 2 * (15 - t if backwards else t)
        video[:, :, t, y : y + 6, 44:50] = colour
    return video


def test_when_it_moves_is_the_same_whoever_it_is_and_another_backwards():
    up, down = when_it_moves(moving(-0.8, 40)), when_it_moves(moving(-0.8, 40, backwards=True))
    assert up.shape == (1, 30)
    assert when_it_moves(moving(-0.2, 30, wall=0.7)) == pytest.approx(up, abs=1e-3), "whoever it is"
    assert up[0, :15] == pytest.approx(-down[0, :15], abs=0.02) and up[0, 0] < -0.1 < 0.1 < up[0, 14]
    assert np.abs(up[0, 15:]).max() < 0.02, "it goes up, not aside"


def test_colours_sizes_and_moves_of_people_are_read():
    class Moving(Filmed):
        def epoch(self, number, count):
            return [clip | {"video": clip["video"].clamp(-1, 1)} for clip in super().epoch(number, count)]

    reader = ActionReader(Moving(), CLASSES[::-1])  # type: ignore[arg-type]
    dark, light, tall = (reader(moving(*how)).values[0] for how in ((-0.8, 40), (-0.3, 40), (-0.8, 44)))
    seen = dict(zip((*LOOKS, *MOVES), dark, strict=True))
    assert seen["wall_light"] == pytest.approx(0.5, abs=1e-5) and seen["wall_warmth"] == pytest.approx(0, abs=1e-5)
    assert seen["clothes_light"] == pytest.approx(-0.8, abs=0.02)
    assert seen["rise"] > 0.2 and abs(seen["turn"]) < 0.02 and seen["side"] == pytest.approx(47 / 64, abs=0.02)
    back = dict(zip(reader.names, reader(moving(-0.8, 40, backwards=True)).values[0], strict=True))
    assert back["rise"] == pytest.approx(-seen["rise"], abs=0.03)
    place = reader.names.index
    assert light[place("clothes_light")] > dark[place("clothes_light")]
    assert tall[place("size")] > dark[place("size")]
    red = moving(-0.8, 40)
    red[:, 0] += 0.3
    assert reader(red).values[0, place("wall_warmth")] == pytest.approx(0.3, abs=1e-4)


def test_the_reader_lists_actions_as_the_network_does():
    reader = ActionReader(Filmed(), CLASSES[::-1])  # type: ignore[arg-type]
    seen = reader(torch.stack([drawn(200, kind, 0.8) for kind in range(4)]))
    assert [CLASSES[::-1][k] for k in seen.category.argmax(1)] == list(CLASSES)
    assert seen.category.sum(1) == pytest.approx(np.ones(4)) and seen.motion.shape == (4, 30 + 4)
    with pytest.raises(G3ANError, match="The network makes up, down; weizmann has"):
        ActionReader(Filmed(), CLASSES[:2])  # type: ignore[arg-type]


def test_a_person_is_read_by_a_probe_that_never_saw_them():
    """Everyone has habits: a probe that knew the person would read one who waves elsewhere, one that did not cannot."""
    clips, kinds, who = [], [], []
    for person in range(4):
        for k in range(12):
            # Person 3 does "up" where all others do "down", and the other way round.
            kind = k % 2
            clips.append(drawn(person, 1 - kind if person == 3 else kind, 0.6 + 0.02 * k))
            kinds.append(kind)
            who.append(f"p{person}")
    moves, labels, people = where_it_moves(torch.stack(clips)), np.array(kinds), np.array(who)
    right = leave_one_person_out(moves, labels, people) == labels
    own = people == "p3"
    assert right[~own].all() and not right[own].any()
    assert (action_probe(moves[own], labels[own]).predict(moves[own]) == labels[own]).all()


def bending(people: int, clips: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What stays of people whose colour differs in one place, and who stand or bend in another."""
    random = np.random.default_rng(0)
    who = np.repeat([f"p{k}" for k in range(people)], clips)
    stays = 0.02 * random.standard_normal((len(who), 384))
    stays[:, :20] += np.repeat(random.uniform(-1, 1, (people, 20)), clips, 0)
    stays[:, 200:300] += random.uniform(-1, 1, (len(who), 1))
    return stays, np.zeros(len(who), int), who


def test_a_person_who_bends_is_known_by_a_probe_that_learned_from_others():
    stays, kinds, who = bending(9)
    probes = actions.held_out_probes(stays, kinds, who)
    same, different = actions.held_out_pairs(probes, stays, kinds, who)
    assert len(same) == 9 * 66 and len(different) == 9 * 144, "pairs of one third of the people, three times"
    assert same.max() < np.quantile(different, 0.01)
    plain, alike = actions.distances(stays), who[:, None] == who
    upper = np.triu(np.ones_like(alike), 1)
    assert (plain[alike & upper] < np.quantile(plain[~alike & upper], 0.01)).mean() < 0.5, "plain distances see poses"


def test_no_pair_is_judged_by_a_probe_that_knows_either(monkeypatch):
    stays, kinds, who = bending(7)
    learned, judged = [], []
    probe, distances = actions.person_probe, actions.distances
    monkeypatch.setattr(actions, "person_probe", lambda x, k, w: learned.append(set(w)) or probe(x, k, w))
    monkeypatch.setattr(actions, "distances", lambda x: judged.append(len(x)) or distances(x))
    actions.held_out_pairs(actions.held_out_probes(stays, kinds, who), stays, kinds, who)
    everybody = set(who)
    assert [len(everybody - known) for known in learned] == [count // 12 for count in judged] == [3, 2, 2]
    assert set.union(*(everybody - known for known in learned)) == everybody


def test_people_who_cannot_be_held_out_are_refused():
    with pytest.raises(G3ANError, match="needs four people or more, not 3"):
        actions.held_out_probes(*bending(3))
    stays, kinds, who = bending(4)
    with pytest.raises(G3ANError, match="No two clips of one person"):
        actions.person_probe(np.zeros_like(stays), kinds, who)


def test_leaving_one_out_needs_others():
    moves = np.random.default_rng(0).standard_normal((8, 4))
    with pytest.raises(G3ANError, match="two people or more"):
        leave_one_person_out(moves, np.arange(8) % 2, np.array(["a"] * 8))
    with pytest.raises(G3ANError, match="Only b does action 2"):
        leave_one_person_out(moves, np.array([0, 1, 0, 1, 0, 1, 2, 2]), np.array(["a"] * 4 + ["b"] * 4))


def test_cards_measure_weizmann_at_the_pace_of_the_training(monkeypatch):
    seen = []
    monkeypatch.setattr(cards, "measure_actions", lambda generator, data: seen.append(data) or "measured")
    conditional = SimpleNamespace(config=SimpleNamespace(conditional=True))
    data = Filmed()
    assert cards.measured(conditional, data, [3, 1]) == "measured"  # type: ignore[arg-type]
    assert seen[0].steps == (1, 3) and not seen[0].mirror and data.steps == (2,) and data.mirror
    conditional.card = {"training": {"mirror": True}}
    cards.measured(conditional, data, [1])  # type: ignore[arg-type]
    assert seen[1].mirror
    conditional.card = {"training": {"mirror": False}}
    cards.measured(conditional, data, [1])  # type: ignore[arg-type]
    assert not seen[2].mirror
    assert cards.measured(SimpleNamespace(config=SimpleNamespace(conditional=False)), data, [1]) is None  # type: ignore[arg-type]
    data.name = "shapes"
    assert cards.measured(conditional, data, [1]) is None  # type: ignore[arg-type]


def test_the_card_tells_actions_from_expressions(run):
    found = run(like_the_data).to_dict()
    text = "\n".join(cards._measured(found, True))
    assert "actions read as asked for: 100.0% (real clips of people whom the probe did not know: 100.0%)" in text
    assert "test person" not in text and f"{found['clips']:,} generated clips" in text
    assert f"taken for two people in {found['told_apart']:.1%} of pairs" in text
    found["motion_variance"]["rise"], found["motion_variance_person"]["rise"] = 1.2, 0.5
    text = "\n".join(cards._measured(found, True))
    assert "within a class (in brackets that over real clips of one person): where it moves " in text
    assert "rise 1.20 (0.50)" in text
    faces = {**found, "motion_variance": {"peak": 0.5}, "motion_variance_person": {}}
    text = "\n".join(cards._measured(faces, True))
    assert "expressions read as asked for" in text and "test person" in text
    assert "within a class: peak 0.50." in text


def test_people_are_added_up_in_one_order_in_every_run(run, monkeypatch):
    """A set of names has another order in each process, and a sum of floats in another order other last bits."""
    summed = []
    variance = actions._variance
    monkeypatch.setattr(actions, "_variance", lambda groups: summed.append(groups) or variance(groups))
    for backwards in (False, True):

        def one_order(x, backwards=backwards):
            names = isinstance(x, np.ndarray) and x.dtype.kind == "U"
            return sorted(set(x), reverse=backwards) if names else set(x)

        monkeypatch.setattr(actions, "set", one_order, raising=False)
        run(lambda person, kind, motion: drawn(person, kind, 0.8, motion))
    half = len(summed) // 2
    for first, second in zip(summed[:half], summed[half:], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
