"""The generator against Table 1, and the shapes and errors of its inputs."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv_transpose1d, conv_transpose2d

from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Deconvolution, Generator

# Table 1 of the appendix: C, H, W, T in G_V.
TABLE_1 = {
    "G3_0": (1024, 4, 4, 2),
    "G3_1": (512, 8, 8, 4),
    "G3_2": (256, 16, 16, 8),
    "G3_3": (128, 32, 32, 16),
    "G3_4": (64, 64, 64, 16),
    "output": (3, 64, 64, 16),
}
TINY = {"widths": (16, 16, 16, 16, 8)}


def codes(config: ModelConfig, batch: int = 2, positions: int | None = None) -> tuple:
    random = torch.Generator().manual_seed(0)
    shape = (batch, config.z_m_dim) if positions is None else (batch, config.z_m_dim, positions)
    c = torch.arange(batch) % len(config.classes) if config.classes else None
    return torch.randn(batch, config.z_a_dim, generator=random), torch.randn(shape, generator=random), c


@pytest.fixture(scope="module")
def table_1() -> dict[str, tuple[int, ...]]:
    generator = Generator(ModelConfig.from_preset("appendix"), spectral_norm=False).eval()
    with torch.no_grad():
        features = generator.features(*codes(generator.config, 1))
    return {name: tuple(value.shape) for name, value in features.items()}


@pytest.mark.parametrize("row", TABLE_1)
def test_table_1(table_1: dict[str, tuple[int, ...]], row: str) -> None:
    channels, height, width, frames = TABLE_1[row]
    assert table_1[row] == (1, channels, frames, height, width)


def test_attention_follows_g3_3_at_32x32x16(table_1: dict[str, tuple[int, ...]]) -> None:
    assert table_1["attention_input"] == (1, 128, 16, 32, 32)


def test_small_has_half_the_widths() -> None:
    small, appendix = ModelConfig.from_preset("small"), ModelConfig.from_preset("appendix")
    assert [2 * width for width in small.widths] == list(appendix.widths)


@pytest.mark.parametrize("preset", ["appendix", "official", "small"])
@pytest.mark.parametrize("positions", [1, 2, 3, 5])
def test_frame_count(preset: str, positions: int) -> None:
    config = ModelConfig.from_preset(preset, attention_after=(), **TINY)
    generator = Generator(config, spectral_norm=False).eval()
    expected = 16 + 4 * (positions - 1) if preset == "official" else 8 * (positions + 1)
    assert generator.frame_count(positions) == expected
    with torch.no_grad():
        assert generator(*codes(config, 1, positions)).shape == (1, 3, expected, 64, 64)


@pytest.mark.parametrize("conv_mode", ["1p2d", "2p1d", "3d"])
@pytest.mark.parametrize("classes", [(), ("a", "b", "c")])
def test_modes_and_conditions(conv_mode: str, classes: tuple[str, ...]) -> None:
    config = ModelConfig.from_preset("small", conv_mode=conv_mode, classes=classes, **TINY)
    generator = Generator(config)
    video = generator(*codes(config))
    assert video.shape == (2, 3, 16, 64, 64) and video.abs().max() <= 1
    video.mean().backward()
    assert all(value.grad is not None for value in generator.parameters())


def test_category_reaches_motion_but_not_appearance() -> None:
    config = ModelConfig.from_preset("small", classes=("a", "b"), **TINY)
    generator = Generator(config, spectral_norm=False).eval()
    seen = {}
    generator.modules_g3[0].conv_s.register_forward_hook(lambda _m, _i, out: seen.setdefault("s", []).append(out))
    generator.modules_g3[0].conv_t.register_forward_hook(lambda _m, _i, out: seen.setdefault("t", []).append(out))
    z_a, z_m, _ = codes(config, 1)
    for category in (0, 1):
        generator(z_a, z_m, torch.tensor([category]))
    assert torch.equal(*seen["s"])
    assert not torch.allclose(*seen["t"])


@pytest.mark.parametrize("streams", [("S",), ("T",), ()])
@pytest.mark.parametrize("conv_mode", ["1p2d", "2p1d", "3d"])
def test_without_a_stream(streams: tuple[str, ...], conv_mode: str) -> None:
    """An ablation holds no weights of the stream it leaves out, and everything that is left learns."""
    config = ModelConfig.from_preset("small", classes=("a", "b"), streams=streams, conv_mode=conv_mode, **TINY)
    generator = Generator(config)
    video = generator(*codes(config))
    assert video.shape == (2, 3, 16, 64, 64)
    video.mean().backward()
    names = {name for name, value in generator.named_parameters() if value.grad is not None}
    assert names == {name for name, _ in generator.named_parameters()}
    for stream in "ST":
        assert any(f"conv_{stream.lower()}." in name for name in names) == (stream in streams)


def test_without_a_stream_every_code_still_counts() -> None:
    torch.manual_seed(0)
    config = ModelConfig.from_preset("small", classes=("a", "b"), streams=(), **TINY)
    generator = Generator(config, spectral_norm=False).eval()
    for value in generator.parameters():
        value.data *= 5  # fresh weights let hardly any of a code through to the video
    (z_a, z_m, c), (other_a, other_m, _) = codes(config, 1), codes(config, 2)
    with torch.no_grad():
        video = generator(z_a, z_m, c)
        for changed in ((other_a[1:], z_m, c), (z_a, other_m[1:], c), (z_a, z_m, 1 - c)):
            assert (generator(*changed) - video).abs().max() > 1e-3


@pytest.mark.parametrize("frames", [[0, 5, 15], [7]])
@pytest.mark.parametrize("streams", [("S", "T"), ("S",), ()])
def test_chosen_frames_are_those_of_the_whole_clip(streams: tuple[str, ...], frames: list[int]) -> None:
    config = ModelConfig.from_preset("small", streams=streams, attention_after=(2,), **TINY)
    generator = Generator(config, spectral_norm=False).eval()
    z_a, z_m, _ = codes(config)
    with torch.no_grad():
        some, whole = generator(z_a, z_m, frames=torch.tensor(frames)), generator(z_a, z_m)
    assert torch.allclose(some, whole[:, :, frames], atol=1e-5)


def test_transposed_convolutions_are_the_appendix_s() -> None:
    """ConvTranspose3d with a 1×1 spatial or a 1 temporal extent is ConvTranspose1d or ConvTranspose2d."""
    x = torch.randn(2, 6, 5, 7, 7)
    along_time = Deconvolution(6, 4, time=(4, 2, 1), spectral_norm=False)[0]
    assert along_time.weight.shape == (6, 4, 4, 1, 1)
    columns = x.permute(0, 3, 4, 1, 2).reshape(-1, 6, 5)
    one = conv_transpose1d(columns, along_time.weight[..., 0, 0], along_time.bias, stride=2, padding=1)
    assert torch.allclose(along_time(x), one.reshape(2, 7, 7, 4, 10).permute(0, 3, 4, 1, 2), atol=1e-5)
    in_space = Deconvolution(6, 4, space=(4, 2, 1), spectral_norm=False)[0]
    assert in_space.weight.shape == (6, 4, 1, 4, 4)
    frames = x.transpose(1, 2).reshape(-1, 6, 7, 7)
    two = conv_transpose2d(frames, in_space.weight[:, :, 0], in_space.bias, stride=2, padding=1)
    assert torch.allclose(in_space(x), two.reshape(2, 5, 4, 14, 14).transpose(1, 2), atol=1e-5)


def test_single_frames_in_bfloat16_take_two_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """In three, oneDNN gave some weights of G_S gradients of 1e38 or NaN: on processors with AMX, and by chance."""
    calls = []
    monkeypatch.setattr("g3an.generator.conv_transpose2d", lambda *words: calls.append(1) or conv_transpose2d(*words))
    torch.manual_seed(0)
    convolution = Deconvolution(128, 64, space=(4, 2, 1))[0]
    x, towards = torch.randn(4, 128, 1, 32, 32), torch.linspace(-1, 1, 64)

    def gradient(enabled: bool) -> tuple[torch.Tensor, torch.Tensor]:
        convolution.zero_grad()
        convolution.eval()  # the spectral norm stays where it is
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            made = convolution(x)
        (made.float() * towards).square().mean().backward()
        return made.detach().float(), convolution.parametrizations.weight.original.grad

    whole = gradient(False)
    assert not calls, "nothing is otherwise in single precision"
    for exact, rough in zip(whole, gradient(True), strict=True):
        assert rough.shape == exact.shape and (rough - exact).norm() < 0.02 * exact.norm()
    assert calls == [1]
    along_time = Deconvolution(8, 8, time=(4, 2, 1))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert along_time(torch.randn(2, 8, 1, 1, 1)).shape[2] == 2
        assert convolution(x.expand(-1, -1, 2, -1, -1)).shape[2] == 2
    assert calls == [1], "several frames, and time, are as they were"


def test_initialisation_reaches_every_convolution() -> None:
    generator = Generator(ModelConfig.from_preset("small"), spectral_norm=False)
    for name, value in generator.named_parameters():
        if value.dim() == 5 and value.numel() > 500 and "attention" not in name:
            assert 0.017 < value.std() < 0.023, name


def test_one_video_does_not_depend_on_its_neighbours() -> None:
    config = ModelConfig.from_preset("small", classes=("a", "b"), **TINY)
    generator = Generator(config, spectral_norm=False).eval()
    with torch.no_grad():
        together = generator(*codes(config, 4))
        alone = generator(*(code[1:2] for code in codes(config, 4)))
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize(
    ("z_a", "z_m", "c", "message"),
    [
        ((2, 64), (2, 10), [0, 1], r"z_a has shape \(2, 64\)"),
        ((2, 128), (3, 10), [0, 1], r"z_m has shape \(3, 10, 1\)"),
        ((2, 128), (2, 10), None, "conditional: give c, one of a, b"),
        ((2, 128), (2, 10), [0, 2], "outside 0 … 1"),
    ],
)
def test_wrong_codes(z_a: tuple, z_m: tuple, c: list | None, message: str) -> None:
    generator = Generator(ModelConfig.from_preset("small", classes=("a", "b"), **TINY), spectral_norm=False)
    with pytest.raises(G3ANError, match=message):
        generator(torch.zeros(z_a), torch.zeros(z_m), None if c is None else torch.tensor(c))


def test_category_for_an_unconditional_network() -> None:
    generator = Generator(ModelConfig.from_preset("small", **TINY), spectral_norm=False)
    with pytest.raises(G3ANError, match="unconditional"):
        generator(torch.zeros(1, 128), torch.zeros(1, 10), torch.tensor([0]))


@pytest.mark.parametrize(
    "wrong",
    [{"conv_mode": "2d"}, {"attention_after": (5,)}, {"widths": (1, 2)}, {"attention_parts": ("X",)},
     {"streams": ("V",)}, {"streams": ("S", "S")}],
)  # fmt: skip
def test_wrong_configuration(wrong: dict) -> None:
    with pytest.raises(G3ANError):
        ModelConfig.from_preset("small", **wrong)


def test_unknown_preset_and_field() -> None:
    with pytest.raises(G3ANError, match="no preset 'huge'"):
        ModelConfig.from_preset("huge")
    with pytest.raises(G3ANError, match="no field witdhs"):
        ModelConfig.from_preset("small", witdhs=(1,))


def test_configuration_round_trip() -> None:
    config = ModelConfig.from_preset("official", classes=("a",), streams=("S",))
    assert ModelConfig.from_dict(config.to_dict()) == config
