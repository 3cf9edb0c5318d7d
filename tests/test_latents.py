"""Codes: drawing, changing and joining them, and turning them into videos."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.latents import (
    Codes,
    Effects,
    combine,
    generate,
    interpolate,
    normal,
    one_hot,
    rank_dimensions,
    sample_appearance,
    sample_codes,
    sample_motion,
    switch_motion,
    to_uint8,
    traverse,
)
from g3an.training import recompute_statistics

ACTIONS = ("wave1", "wave2", "jack", "bend")
CONFIG = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,), classes=ACTIONS)
UNCONDITIONAL = ModelConfig.from_preset("small", widths=(8, 8, 8, 8, 8), attention_after=(1,))

# The first standard normal numbers of numpy.random.RandomState([1, 0]) and ([1, 1]).
NORMAL_1_0 = [-0.7801459, 0.8401660, -3.0132040]
NORMAL_1_1 = [0.0724844, -1.5713329, -0.8330850]


@pytest.fixture(scope="module")
def generator() -> Generator:
    """Untrained, but with batch-norm statistics of its own, without which all its videos would be nearly grey."""
    torch.manual_seed(0)
    network = Generator(CONFIG, spectral_norm=False)
    recompute_statistics(network, seed=0, passes=1, batch=8)
    return network.eval()


def equal(one: Codes, other: Codes) -> bool:
    same_c = one.c is other.c or (one.c is not None and other.c is not None and torch.equal(one.c, other.c))
    return torch.equal(one.z_a, other.z_a) and torch.equal(one.z_m, other.z_m) and same_c


# --- Drawing ----------------------------------------------------------------------------------------------------------


def test_numbers_are_the_same_on_every_machine_for_good():
    """Written down once: another library version or processor must not make other people of the seeds."""
    assert sample_appearance(CONFIG, 1)[0, :3].tolist() == pytest.approx(NORMAL_1_0, abs=1e-6)
    assert sample_motion(CONFIG, 1)[0, :3].tolist() == pytest.approx(NORMAL_1_1, abs=1e-6)


def test_torch_and_numpy_seeds_are_neither_used_nor_changed():
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(1).item(), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    first = sample_codes(CONFIG, 3, seed=4)
    assert (torch.rand(1).item(), np.random.rand()) == expected
    assert equal(first, sample_codes(CONFIG, 3, seed=4))
    assert not torch.equal(first.z_a, sample_codes(CONFIG, 3, seed=5).z_a)
    assert not torch.equal(first.z_m, sample_codes(CONFIG, 3, seed=5).z_m)


def test_drawn_numbers_are_standard_normal():
    drawn = sample_codes(UNCONDITIONAL, 2000, seed=0)
    for part in (drawn.z_a, drawn.z_m):
        assert part.dtype == torch.float32
        assert part.mean().abs() < 0.03 and (part.std() - 1).abs() < 0.03
    together = torch.corrcoef(torch.cat([drawn.z_a[:, :10], drawn.z_m], dim=1).T)
    assert together[:10, 10:].abs().max() < 0.12, "z_a and z_m depend on each other"


@pytest.mark.parametrize("positions", [1, 3])
def test_the_first_codes_do_not_depend_on_how_many(positions):
    few, many = (sample_codes(CONFIG, n, seed=2, positions=positions) for n in (3, 7))
    assert equal(few, many[:3])
    assert few.z_a.shape == (3, 128)
    assert few.z_m.shape == ((3, 10) if positions == 1 else (3, 10, 3))


def test_categories_are_taken_in_turn():
    assert sample_codes(CONFIG, 6).c.argmax(1).tolist() == [0, 1, 2, 3, 0, 1]
    assert sample_codes(CONFIG, 3, categories=["bend", "wave2"]).c.argmax(1).tolist() == [3, 1, 3]
    assert (sample_codes(CONFIG, 6).c.sum(1) == 1).all()
    assert sample_codes(UNCONDITIONAL, 2).c is None


def test_combine_takes_each_part_from_its_own_seed():
    code = combine(CONFIG, 3, 8, "jack")
    assert torch.equal(code.z_a, sample_appearance(CONFIG, 3))
    assert torch.equal(code.z_m, sample_motion(CONFIG, 8))
    assert code.c.tolist() == [[0, 0, 1, 0]]
    assert not torch.equal(code.z_a, combine(CONFIG, 4, 8, "jack").z_a)
    assert combine(UNCONDITIONAL, 3, 8).c is None


def test_a_longer_motion_begins_with_the_shorter_one():
    longer = sample_motion(CONFIG, 8, positions=4)
    assert longer.shape == (1, 10, 4)
    assert torch.equal(longer[..., 0], sample_motion(CONFIG, 8))
    assert torch.equal(combine(CONFIG, 3, 8, "jack", positions=4).z_m, longer)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: normal(-1, 0, 2), "seed is -1"),
        (lambda: normal(2**32, 0, 2), "seed is 4294967296"),
        (lambda: normal(1.0, 0, 2), "seed is 1.0"),
        (lambda: sample_motion(CONFIG, 0, positions=0), "at least 1 temporal position, not 0"),
        (lambda: sample_codes(CONFIG, 0), "0 codes were asked for"),
        (lambda: sample_codes(CONFIG, 2, categories=["run"]), "no category 'run'; this network knows wave1, wave2"),
        (lambda: sample_codes(UNCONDITIONAL, 2, categories=["bend"]), "unconditional.*'bend'"),
        (lambda: one_hot(UNCONDITIONAL, "bend"), "unconditional.*'bend'"),
        (lambda: combine(CONFIG, 1, 1), "wants a category; choose one of wave1"),
        (lambda: combine(UNCONDITIONAL, 1, 1, "bend"), "unconditional.*'bend'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, said):
    with pytest.raises(G3ANError, match=said):
        call()


# --- Codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z_a", "z_m", "c", "said"),
    [
        ((128,), (10,), None, r"z_a \(128,\)"),
        ((2, 128), (2, 10, 3, 1), None, r"z_m \(2, 10, 3, 1\)"),
        ((2, 128), (2, 10), (2,), r"c \(2,\)"),
        ((2, 128), (3, 10), None, "2 z_a, 3 z_m"),
        ((2, 128), (2, 10), (1, 4), "2 z_a, 2 z_m, 1 c"),
    ],
)
def test_codes_of_odd_shapes_are_refused(z_a, z_m, c, said):
    with pytest.raises(G3ANError, match=said):
        Codes(torch.zeros(z_a), torch.zeros(z_m), None if c is None else torch.zeros(c))


def test_parts_of_a_batch():
    codes = sample_codes(CONFIG, 5)
    assert len(codes) == 5
    for index in (3, -2):
        one = codes[index]
        assert len(one) == 1 and torch.equal(one.z_a[0], codes.z_a[3]) and torch.equal(one.c[0], codes.c[3])
    assert torch.equal(codes[1:4:2].z_m, codes.z_m[[1, 3]])
    assert torch.equal(codes[[4, 0, 4]].z_m, codes.z_m[[4, 0, 4]])
    assert equal(codes[:], codes)
    assert [int(code.c.argmax()) for code in codes] == [0, 1, 2, 3, 0], "a for loop has to end by itself"
    for index in (5, -6):
        with pytest.raises(IndexError, match="There are 5 codes"):
            codes[index]


def test_codes_are_joined_in_order():
    codes = sample_codes(CONFIG, 4, positions=2)
    assert equal(Codes.cat([codes[2:], codes[:2]]), codes[[2, 3, 0, 1]])
    assert equal(Codes.cat(iter([codes])), codes)
    plain = sample_codes(UNCONDITIONAL, 4)
    assert equal(Codes.cat([plain[0], plain[1:]]), plain)


@pytest.mark.parametrize("parts", [[], [CONFIG, UNCONDITIONAL], [CONFIG, 2], [CONFIG, ("a", "b")]])
def test_codes_of_several_networks_are_not_joined(parts):
    batches = []
    for part in parts:
        config = CONFIG if isinstance(part, int) else part
        if isinstance(part, tuple):
            config = ModelConfig.from_preset("small", classes=part)
        batches.append(sample_codes(config, 2, positions=part if isinstance(part, int) else 1))
    with pytest.raises(G3ANError, match="joined"):
        Codes.cat(batches)


@pytest.mark.parametrize("config", [CONFIG, UNCONDITIONAL])
@pytest.mark.parametrize("positions", [1, 2])
def test_json_brings_codes_back_unchanged(config, positions):
    codes = sample_codes(config, 3, seed=9, positions=positions)
    assert equal(Codes.from_json(json.loads(json.dumps(codes.to_json()))), codes)


@pytest.mark.parametrize(
    "content",
    [
        {},
        None,
        {"z_a": [[0.0, 1.0]]},
        {"z_a": [[0.0, 1.0], [0.0]], "z_m": [[1.0], [1.0]]},
        {"z_a": [["a"]], "z_m": [[1.0]]},
        {"z_a": [[float("nan")]], "z_m": [[1.0]]},
        {"z_a": [[1.0]], "z_m": [[1.0]], "c": [[float("inf")]]},
        {"z_a": [1.0], "z_m": [[1.0]]},
    ],
)
def test_json_that_holds_no_codes_is_refused(content):
    with pytest.raises(G3ANError, match=r"[Cc]odes"):
        Codes.from_json(content)


# --- Changing them ----------------------------------------------------------------------------------------------------


def test_motion_and_category_are_switched_together():
    a, b = (sample_codes(CONFIG, 2, seed, [name]) for seed, name in ((1, "wave1"), (2, "bend")))
    first, second = switch_motion(a, b)
    assert equal(first, Codes(a.z_a, b.z_m, b.c)) and equal(second, Codes(b.z_a, a.z_m, a.c))
    back = switch_motion(first, second)
    assert equal(back[0], a) and equal(back[1], b)
    with pytest.raises(G3ANError, match="not 2 and 1"):
        switch_motion(a, b[0])


@pytest.mark.parametrize(("part", "dimension"), [("appearance", 0), ("appearance", 127), ("motion", 9)])
@pytest.mark.parametrize("positions", [1, 3])
def test_traversal_sets_one_dimension_and_nothing_else(part, dimension, positions):
    codes = sample_codes(CONFIG, 2, positions=positions)
    before = codes.to_json()
    values = (-3.0, 0.5, 3.0)
    rows = traverse(codes, part, dimension, values)
    assert codes.to_json() == before and len(rows) == 6
    for k, (row, value) in enumerate(zip(rows, values * 2, strict=True)):
        expected = codes[k // 3]
        changed = (expected.z_a if part == "appearance" else expected.z_m).clone()
        changed[:, dimension] = value
        z_a, z_m = (changed, expected.z_m) if part == "appearance" else (expected.z_a, changed)
        assert equal(row, Codes(z_a, z_m, expected.c))


@pytest.mark.parametrize(
    ("part", "dimension", "values", "said"),
    [
        ("colour", 0, [1.0], "part is 'colour'"),
        ("appearance", 128, [1.0], "no appearance dimension 128; they are numbered 0 to 127"),
        ("motion", 10, [1.0], "no motion dimension 10; they are numbered 0 to 9"),
        ("motion", -1, [1.0], "no motion dimension -1"),
        ("motion", 0, [], "at least one finite value"),
        ("motion", 0, [1.0, float("nan")], "at least one finite value"),
    ],
)
def test_impossible_traversals_are_refused(part, dimension, values, said):
    with pytest.raises(G3ANError, match=said):
        traverse(sample_codes(CONFIG, 1), part, dimension, values)


# --- Videos -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("positions", [1, 3])
def test_interpolation_keeps_the_length_that_the_network_knows(positions):
    a, b = combine(CONFIG, 1, 1, "wave1", positions), combine(CONFIG, 2, 2, "bend", positions)
    for amount in (0.0, 0.25, 0.5, 1.0):
        between = interpolate(a, b, amount)
        for name in ("z_a", "z_m"):
            here, start, end = (getattr(codes, name) for codes in (between, a, b))
            length = torch.lerp(start.norm(dim=1), end.norm(dim=1), amount)
            assert torch.allclose(here.norm(dim=1), length, rtol=1e-4)
        assert torch.allclose(between.c, (1 - amount) * a.c + amount * b.c)
    assert interpolate(a, b, 0.0).to_json() == a.to_json() and interpolate(a, b, 1.0).to_json() == b.to_json()
    # The angle grows evenly.
    turned = [torch.cosine_similarity(interpolate(a, b, x).z_a, a.z_a).clamp(-1, 1).acos().item() for x in (0.25, 0.5)]
    assert turned[1] == pytest.approx(2 * turned[0], rel=1e-3)


def test_interpolation_changes_the_parts_that_are_asked_for():
    a, b = combine(CONFIG, 1, 1, "wave1"), combine(CONFIG, 2, 2, "bend")
    appearance, motion = (interpolate(a, b, 0.5, (part,)) for part in ("appearance", "motion"))
    assert torch.equal(appearance.z_m, a.z_m) and torch.equal(appearance.c, a.c)
    assert torch.equal(motion.z_a, a.z_a) and not torch.equal(motion.c, a.c)
    assert torch.equal(interpolate(a, b, 1.0, ("motion",)).z_m, b.z_m)


def test_interpolation_where_there_is_no_arc():
    a = combine(CONFIG, 1, 1, "wave1")
    same = interpolate(a, a, 0.5)
    assert torch.allclose(same.z_a, a.z_a, atol=1e-5)
    zero = replace(a, z_a=torch.zeros_like(a.z_a))
    opposite = replace(a, z_a=-a.z_a)
    assert interpolate(zero, a, 0.5).z_a.isfinite().all() and interpolate(a, opposite, 0.5).z_a.isfinite().all()


def test_impossible_interpolations_are_refused():
    a, longer = combine(CONFIG, 1, 1, "wave1"), combine(CONFIG, 1, 1, "wave1", 2)
    for call, said in (
        (lambda: interpolate(a, a, 1.5), "from 0"),
        (lambda: interpolate(a, longer, 0.5), "one network, number and length"),
        (lambda: interpolate(a, a, 0.5, ("colour",)), "'appearance' or 'motion'"),
    ):
        with pytest.raises(G3ANError, match=said):
            call()


def test_videos_do_not_depend_on_the_batch(generator):
    codes = sample_codes(CONFIG, 5)
    whole = generate(generator, codes)
    assert whole.shape == (5, 3, 16, 64, 64) and whole.dtype == torch.float32
    assert whole.abs().max() <= 1 and whole.std(0).max() > 0.01
    for batch in (1, 2, 5):
        assert torch.allclose(generate(generator, codes, batch), whole, atol=1e-5)
    assert torch.allclose(generate(generator, codes[3]), whole[3:4], atol=1e-5)
    assert not whole.requires_grad


def test_each_part_of_the_code_reaches_the_video(generator):
    base = combine(CONFIG, 1, 1, "wave1")
    video = generate(generator, base)
    for other in (combine(CONFIG, 2, 1, "wave1"), combine(CONFIG, 1, 2, "wave1"), combine(CONFIG, 1, 1, "bend")):
        assert (generate(generator, other) - video).abs().max() > 1e-4


def test_generating_leaves_the_network_as_it_was(generator):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    generate(generator, sample_codes(CONFIG, 3))
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert not generator.training


def test_more_positions_give_longer_videos(generator):
    assert generate(generator, sample_codes(CONFIG, 1, positions=2)).shape[2] == generator.frame_count(2) > 16


@pytest.mark.parametrize(
    ("codes", "batch", "said"),
    [
        (Codes(torch.zeros(1, 64), torch.zeros(1, 10), torch.eye(4)[:1]), 8, "wants z_a of 128 and z_m of 10.*64"),
        (Codes(torch.zeros(1, 128), torch.zeros(1, 12), torch.eye(4)[:1]), 8, "not 128 and 12"),
        (Codes(torch.zeros(1, 128), torch.zeros(1, 10)), 8, "has 4 categories, the codes have 0"),
        (Codes(torch.zeros(1, 128), torch.zeros(1, 10), torch.eye(3)[:1]), 8, "has 4 categories, the codes have 3"),
        (Codes(torch.zeros(1, 128), torch.zeros(1, 10), torch.eye(4)[:1]), 0, "batch is 0"),
    ],
)
def test_codes_that_do_not_fit_the_network_are_refused(generator, codes, batch, said):
    with pytest.raises(G3ANError, match=said):
        generate(generator, codes, batch)


def test_a_network_in_training_mode_is_refused():
    network = Generator(CONFIG, spectral_norm=False).train()
    with pytest.raises(G3ANError, match="training mode"):
        generate(network, sample_codes(CONFIG, 1))


def test_levels():
    video = torch.tensor([-1.0, 0.0, 1.0, -9.0, 9.0, 2 * 51 / 255 - 1]).view(1, 1, 6, 1, 1).repeat(1, 3, 1, 1, 1)
    assert to_uint8(video)[0, :, 0, 0, 0].tolist() == [0, 128, 255, 0, 255, 51]
    assert to_uint8(video).dtype == np.uint8
    every = torch.arange(256).view(1, 1, 256, 1, 1).repeat(1, 3, 1, 1, 1)
    assert to_uint8(every / 127.5 - 1)[0, :, 0, 0, 1].tolist() == list(range(256))


def test_frames_come_before_pixels_and_colours_last():
    video = torch.full((2, 3, 4, 5, 6), -1.0)
    video[1, 2, 3, 4, 5] = 1.0
    frames = to_uint8(video)
    assert frames.shape == (2, 4, 5, 6, 3) and np.argwhere(frames).tolist() == [[1, 3, 4, 5, 2]]


def test_brightness_does_not_depend_on_the_neighbours():
    dim, bright = torch.full((1, 3, 1, 2, 2), -0.2), torch.full((1, 3, 1, 2, 2), 0.9)
    assert (to_uint8(torch.cat([dim, bright]))[:1] == to_uint8(dim)).all()


@pytest.mark.parametrize(
    "video", [torch.zeros(3, 4, 5, 6), torch.zeros(1, 4, 3, 5, 6), torch.full((1, 3, 1, 1, 1), np.nan)]
)
def test_what_is_no_video_is_refused(video):
    with pytest.raises(G3ANError, match="video"):
        to_uint8(video)


# --- Effects ----------------------------------------------------------------------------------------------------------


class Known(nn.Module):
    """A network whose videos are a known function of the codes: pixel = sum of weight x code, in all frames."""

    def __init__(self, appearance: list[float], motion: list[float]) -> None:
        super().__init__()
        self.appearance, self.motion = (nn.Parameter(torch.tensor(part)) for part in (appearance, motion))
        self.config = SimpleNamespace(z_a_dim=len(appearance), z_m_dim=len(motion), classes=(), conditional=False)

    def forward(self, z_a, z_m, c):
        assert c is None
        return (z_a @ self.appearance + z_m @ self.motion).view(-1, 1, 1, 1, 1).expand(-1, 3, 2, 4, 4)


def test_effects_are_those_of_the_network():
    network = Known([0.05, 0.1, 0.0, -0.1], [0.02, 0.04]).eval()
    effects = rank_dimensions(network, "appearance", extent=2.0, batch=3)
    assert effects.change == pytest.approx([4 * abs(w) * 127.5 for w in (0.05, 0.1, 0.0, -0.1)], abs=1e-3)
    assert (effects.part, effects.extent, effects.codes) == ("appearance", 2.0, 2)
    motion = rank_dimensions(network, "motion")
    assert motion.change == pytest.approx([6 * w * 127.5 for w in (0.02, 0.04)], abs=1e-3)
    assert motion.order == [1, 0] and motion.codes == 8
    three = sample_codes(network.config, 3)
    assert rank_dimensions(network, "motion", three).codes == 3


def test_motion_is_measured_over_every_category(generator):
    effects = rank_dimensions(generator, "motion")
    assert effects.codes == 8 and len(effects.change) == 10 and min(effects.change) > 0
    with pytest.raises(G3ANError, match="part is 'both'"):
        rank_dimensions(generator, "both")


def test_ranks():
    effects = Effects("motion", 3.0, (1.0, 4.0, 1.0, 2.0), 8)
    assert effects.order == [1, 3, 0, 2]
    assert [effects.rank(k) for k in range(4)] == [3, 1, 4, 2]
    for dimension in (4, -1):
        with pytest.raises(G3ANError, match=f"no motion dimension {dimension}; they are numbered 0 to 3"):
            effects.rank(dimension)
