"""T-SA, S-SA and F-SA against the equations, read literally; the fused kernel and what it saves."""

import gc
import math
import weakref

import pytest
import torch
from torch import nn

from g3an import attention, bench
from g3an.attention import FactorizedSelfAttention, SpatialSelfAttention, TemporalSelfAttention, attend
from g3an.errors import G3ANError

FUSED = "aten::_scaled_dot_product_flash_attention_for_cpu"


def made(kind, channels=16, seed=0, **options):
    """A module in float64 with γ, weights and biases drawn at random."""
    torch.manual_seed(seed)
    module = kind(channels, **options).double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return module


def literal(module, x, sequences):
    """Equations 1 and 2 (or 3 and 4) by loops; ``sequences`` lists, for a clip, the (t, h, w) that belong together."""
    f, g, h = (convolution(x) for convolution in (module.f, module.g, module.h))
    y = torch.empty_like(x)
    for b in range(x.shape[0]):
        for places in sequences:
            for j in places:
                scores = []
                for i in places:
                    scores.append(sum(float(f[(b, c, *i)] * g[(b, c, *j)]) for c in range(f.shape[1])))
                largest = max(scores)
                total = sum(math.exp(score - largest) for score in scores)
                for c in range(x.shape[1]):
                    attended = sum(
                        math.exp(score - largest) / total * float(h[(b, c, *i)])
                        for score, i in zip(scores, places, strict=True)
                    )
                    y[(b, c, *j)] = float(module.gamma) * attended + float(x[(b, c, *j)])
    return y


def along_time(frames, height, width):
    return [[(t, i, j) for t in range(frames)] for i in range(height) for j in range(width)]


def within_frames(frames, height, width):
    return [[(t, i, j) for i in range(height) for j in range(width)] for t in range(frames)]


@pytest.fixture
def x():
    return torch.randn(2, 16, 3, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("spectral_norm", [True, False])
@pytest.mark.parametrize(
    ("kind", "sequences"), [(TemporalSelfAttention, along_time), (SpatialSelfAttention, within_frames)]
)
def test_equals_the_equations(kind, sequences, spectral_norm, x):
    module = made(kind, spectral_norm=spectral_norm)
    with torch.no_grad():
        expected = literal(module, x, sequences(*x.shape[2:]))
        assert (expected - x).abs().max() > 0.1  # the attention does something to compare
        assert (module(x) - expected).abs().max() < 1e-10


def test_factorized_is_temporal_then_spatial(x):
    module = made(FactorizedSelfAttention)
    with torch.no_grad():
        first = literal(module.t, x, along_time(*x.shape[2:]))
        expected = literal(module.s, first, within_frames(*x.shape[2:]))
        assert (module(x) - expected).abs().max() < 1e-10
        assert (module.t(module.s(x)) - expected).abs().max() > 0.1  # the order matters


@pytest.mark.parametrize("parts", [("T",), ("S",), ("S", "T")])
def test_parts_choose_and_order(parts, x):
    module = made(FactorizedSelfAttention, parts=parts)
    assert {name for name, _ in module.named_children()} == {part.lower() for part in parts}
    with torch.no_grad():
        expected = x
        for part in parts:
            expected = getattr(module, part.lower())(expected)
        assert torch.allclose(module(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("rows", "entries"), [(512, 2**16), (5, 2**16), (512, 1), (4, 40)])
def test_gradients_equal_those_of_the_plain_form(x, rows, entries, monkeypatch):
    """However the maps are cut into blocks."""
    monkeypatch.setattr(attention._InBlocks, "ROWS", rows)
    monkeypatch.setattr(attention._InBlocks, "ENTRIES", entries)
    module = made(FactorizedSelfAttention).train()
    plain = made(FactorizedSelfAttention).train()
    weight = torch.randn_like(x)
    gradients = []
    for run, network in ((module, module), (lambda z: bench.plain_fsa(plain, z), plain)):
        inputs = x.clone().requires_grad_()
        (run(inputs) * weight).sum().backward()
        gradients.append([inputs.grad, *(parameter.grad for parameter in network.parameters())])
    assert len(gradients[0]) == 15  # x, and for each of T and S: f, g, h with their biases, and γ
    for fused, expected in zip(*gradients, strict=True):
        assert expected.abs().max() > 0
        assert (fused - expected).abs().max() <= 1e-10 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("kind", [TemporalSelfAttention, SpatialSelfAttention])
def test_identity_attention_returns_x_plus_gamma_x(kind):
    """Codes so far apart that each j attends to itself only, W_h = I and no bias: exactly x + γx."""
    module = kind(64, spectral_norm=False).double()
    x = torch.randn(2, 64, 4, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    x[:, :8] = 0
    for t in range(4):
        x[:, t, t] = 50.0  # channels 0 to 3 say the instant, 4 to 7 the position
    for n in range(4):
        x[:, 4 + n, :, n // 2, n % 2] = 50.0
    with torch.no_grad():
        for convolution in (module.f, module.g, module.h):
            nn.init.zeros_(convolution.bias)
            convolution.weight.copy_(torch.eye(64)[: convolution.out_channels, :, None, None, None])
        module.gamma.fill_(0.5)
        length = 4
        assert torch.equal(module.maps(x), torch.eye(length, dtype=x.dtype).expand(*module.maps(x).shape))
        assert torch.equal(module(x), x + 0.5 * x)
        module.layout = "released"
        assert not torch.allclose(module(x), x + 0.5 * x)  # the released code does not pass this


def test_starts_as_the_identity():
    x = torch.randn(1, 32, 4, 4, 4)
    assert torch.equal(FactorizedSelfAttention(32)(x), x)


def test_maps(x):
    module = made(FactorizedSelfAttention)
    maps = module.maps(x)
    batch, _, frames, height, width = x.shape
    assert maps["T"].shape == (batch, height, width, frames, frames)
    assert maps["S"].shape == (batch, frames, height * width, height * width)
    for values in maps.values():
        assert values.min() >= 0
        assert torch.allclose(values.sum(-1), torch.ones(()).double(), rtol=0, atol=1e-12)
        assert (values.sum(-2) - 1).abs().max() > 1e-3  # columns need not, so the axis is the right one
    # They are the maps that forward applies: written out for one position j of T-SA.
    f, g = module.t.f(x), module.t.g(x)
    expected = torch.einsum("cthw,chw->hwt", f[1], g[1, :, 2]).softmax(-1)
    assert torch.allclose(maps["T"][1, :, :, 2], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [TemporalSelfAttention, SpatialSelfAttention])
def test_released_layout(kind, x):
    """Attended (B·H·W, T, C) or (B·T, H·W, C), then the released code's view(b, h, w, -1, t).permute(0, 3, 4, 1, 2)."""
    module = made(kind, layout="released")
    batch, _, frames, height, width = x.shape
    order = (0, 3, 4, 2, 1) if kind is TemporalSelfAttention else (0, 2, 3, 4, 1)
    length = frames if kind is TemporalSelfAttention else height * width
    with torch.no_grad():
        f, g, h = (
            convolution(x).permute(order).reshape(-1, length, convolution.out_channels)
            for convolution in (module.f, module.g, module.h)
        )
        attended = torch.softmax(g @ f.transpose(1, 2), dim=-1) @ h
        scrambled = attended.view(batch, height, width, -1, frames).permute(0, 3, 4, 1, 2)
        assert (module(x) - (module.gamma * scrambled + x)).abs().max() < 1e-10


def test_spectral_norm_divides_each_convolution_by_its_largest_singular_value():
    module = SpatialSelfAttention(64)
    module(torch.randn(1, 64, 2, 2, 2))
    module.train()
    for _ in range(50):
        module(torch.zeros(1, 64, 1, 1, 1))
    for name in "fgh":
        norm = torch.linalg.matrix_norm(getattr(module, name).weight.flatten(1), ord=2)
        assert abs(float(norm.detach()) - 1) < 1e-2
    assert "f.weight" in dict(SpatialSelfAttention(64, spectral_norm=False).named_parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kind", "channels", "backward_too"),
    [(TemporalSelfAttention, 32, 0), (SpatialSelfAttention, 32, 1), (SpatialSelfAttention, 64, 0)],
)
def test_the_fused_kernel_runs_in_training(kind, channels, backward_too, dtype):
    """Backwards only where values are narrow and sequences long; else the maps are computed again in blocks."""
    module = kind(channels).train()
    nn.init.ones_(module.gamma)
    x = torch.randn(2, channels, 16, 10, 10, requires_grad=True)
    with torch.profiler.profile() as profiler, torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
        y = module(x)
        y.sum().backward()
    ran = {event.key: event.count for event in profiler.key_averages()}
    assert ran.get(FUSED) == 1
    assert ran.get(f"{FUSED}_backward", 0) == backward_too
    if backward_too:
        assert not {"aten::softmax", "aten::_softmax"} & set(ran)
    assert y.shape == x.shape and y.dtype == torch.float32


def test_no_tensor_as_large_as_an_attention_map_in_training():
    """N = 1024 makes a map 32 times the width of the values: the largest allocation tells whether one exists."""
    module = FactorizedSelfAttention(32).train()
    x = torch.randn(1, 32, 16, 32, 32, requires_grad=True)
    with torch.profiler.profile(profile_memory=True) as profiler:
        module(x).sum().backward()
    largest = max(event.nbytes() for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]")
    one_frame = 1024 * 1024 * 4
    assert x.nbytes <= largest < one_frame * 16 / 4


@pytest.mark.parametrize(("channels", "share"), [(32, 1 / 6), (128, 1 / 2), (256, 1)])
def test_peak_memory_of_forward_and_backward(channels, share):
    fused, plain = bench.fsa_memory(channels)
    assert fused > 16 * 1024 * channels * 4  # at least the output: the profiler did see something
    assert fused < share * plain


def test_an_output_that_is_dropped_without_backward_is_freed():
    """What is saved for the backward pass must not keep the output alive that it belongs to."""
    for length, channels in ((100, 16), (8, 16), (8, 64)):  # both ways of going backwards
        projected = torch.randn(1, 1, length, 4 + channels, requires_grad=True)
        attended = weakref.ref(attend(projected, 2))
        gc.collect()
        assert attended() is None


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: TemporalSelfAttention(20), "20 channels"),
        (lambda: TemporalSelfAttention(4), "4 channels"),
        (lambda: SpatialSelfAttention(16, reduction=0), "reduce them by 0"),
        (lambda: SpatialSelfAttention(16, layout="other"), "'other'"),
        (lambda: FactorizedSelfAttention(16, parts=()), "parts"),
        (lambda: FactorizedSelfAttention(16, parts=("T", "T")), "parts"),
        (lambda: FactorizedSelfAttention(16, parts=("X",)), "parts"),
    ],
)
def test_bad_options_get_one_clear_sentence(build, says):
    with pytest.raises(G3ANError, match=says):
        build()
