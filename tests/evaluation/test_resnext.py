"""The 3D ResNeXt-101: the published names and shapes load, it computes what was published, others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from g3an.errors import G3ANError
from g3an.evaluation.extractors import open_extractor
from g3an.evaluation.resnext import MEAN, ResNeXt101, load_resnext, prepared
from g3an.files import sha256

BLOCKS = {1: 3, 2: 4, 3: 23, 4: 3}


def published() -> dict[str, tuple[int, ...]]:
    """Names and shapes of resnext-101-kinetics.pth, which is older than ``num_batches_tracked``."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, norm: str, shape: tuple[int, ...]) -> None:
        shapes[f"module.{name}.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"module.{norm}.{part}"] = shape[:1]

    convolution("conv1", "bn1", (64, 3, 7, 7, 7))
    inputs = 64
    for layer, blocks in BLOCKS.items():
        width = 64 * 2**layer
        for block in range(blocks):
            at = f"layer{layer}.{block}"
            convolution(f"{at}.conv1", f"{at}.bn1", (width, inputs, 1, 1, 1))
            convolution(f"{at}.conv2", f"{at}.bn2", (width, width // 32, 3, 3, 3))
            convolution(f"{at}.conv3", f"{at}.bn3", (2 * width, width, 1, 1, 1))
            if block == 0:
                convolution(f"{at}.downsample.0", f"{at}.downsample.1", (2 * width, inputs, 1, 1, 1))
            inputs = 2 * width
    return shapes | {"module.fc.weight": (400, 2048), "module.fc.bias": (400,)}


def hollow() -> dict[str, Tensor]:
    """The published shapes with one number each, which take no space in a file."""
    return {name: torch.zeros(1).expand(shape) for name, shape in published().items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> tuple[Path, dict[str, Tensor]]:
    """Random weights in the form and the old file format of the published ones, and the weights."""
    random = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in published().items():
        if len(shape) > 1:
            scale = (2 / torch.tensor(shape[1:]).prod()).sqrt()
            weights[name] = torch.randn(shape, generator=random) * scale
        else:
            first = 0.3 if "bn3.weight" in name else 0.0 if name.endswith(("bias", "mean")) else 1.0
            weights[name] = first + 0.05 * torch.rand(shape, generator=random)
    weights = {name: value.half() for name, value in weights.items()}
    path = tmp_path_factory.mktemp("weights") / "resnext-101-kinetics.pth"
    content = {"epoch": 200, "arch": "resnext-101", "state_dict": weights, "optimizer": {"state": {}}}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path, weights


def by_hand(weights: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The network as a sequence of functions, from published names."""
    w = {name.removeprefix("module."): value.float() for name, value in weights.items()}

    def layer(x: Tensor, name: str, norm: str, **how: object) -> Tensor:
        parts = (w[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(F.conv3d(x, w[f"{name}.weight"], **how), *parts)  # type: ignore[arg-type]

    x = F.max_pool3d(layer(x, "conv1", "bn1", stride=(1, 2, 2), padding=3).relu(), 3, 2, 1)
    for number, blocks in BLOCKS.items():
        for block in range(blocks):
            at, stride = f"layer{number}.{block}", 2 if number > 1 and block == 0 else 1
            y = layer(x, f"{at}.conv1", f"{at}.bn1").relu()
            y = layer(y, f"{at}.conv2", f"{at}.bn2", stride=stride, padding=1, groups=32).relu()
            y = layer(y, f"{at}.conv3", f"{at}.bn3")
            if block == 0:
                x = layer(x, f"{at}.downsample.0", f"{at}.downsample.1", stride=stride)
            x = (x + y).relu()
    assert x.shape[1:] == (2048, 1, 4, 4)
    pooled = F.avg_pool3d(x, (1, 4, 4)).flatten(1)
    return pooled, F.linear(pooled, w["fc.weight"], w["fc.bias"])


def test_names_shapes_and_size_are_the_published_ones():
    with torch.device("meta"):
        network = ResNeXt101()
    ours = {f"module.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
    assert {name: shape for name, shape in ours.items() if not name.endswith("num_batches_tracked")} == published()
    assert sum(parameter.numel() for parameter in network.parameters()) == 48_340_816


def test_clips_are_prepared_as_the_paper_does():
    clips = torch.stack([torch.full((3, 16, 64, 64), value) for value in (-1.0, 1.0)])
    seen = prepared(clips)
    assert seen.shape == (2, 3, 16, 112, 112)
    assert torch.allclose(seen[0, :, 3, 50, 50], -torch.tensor(MEAN), atol=1e-4)
    assert torch.allclose(seen[1, :, 3, 50, 50], 255 - torch.tensor(MEAN), atol=1e-4)
    with pytest.raises(G3ANError, match="looks at clips of 16 frames; these have 24"):
        prepared(torch.zeros(1, 3, 24, 64, 64))


def test_the_extractor_computes_what_the_published_network_does(checkpoint):
    path, weights = checkpoint
    torch.manual_seed(1)
    clips, before = torch.rand(1, 3, 16, 64, 64) * 2 - 1, torch.get_rng_state()
    extractor = open_extractor("resnext101-kinetics", path)
    assert torch.equal(torch.get_rng_state(), before)
    assert extractor.hash == sha256(path) and extractor.width == 2048 and "112×112" in extractor.normalisation
    with torch.inference_mode():
        features, logits = extractor.look(clips)
        expected = by_hand(weights, prepared(clips))
    assert features.shape == (1, 2048) and logits is not None and logits.shape == (1, 400)
    assert features.std() > 0.01
    assert torch.allclose(features, expected[0], rtol=1e-3, atol=1e-3 * float(expected[0].max()))
    assert torch.allclose(logits, expected[1], rtol=1e-3, atol=1e-3 * float(expected[1].abs().max()))


def test_other_weights_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "weights.pth"

    def refused(content: object, said: str) -> None:
        torch.save(content, path)
        with pytest.raises(G3ANError, match=said) as error:
            load_resnext(path)
        assert "\n" not in str(error.value)

    less, more, other = hollow(), hollow(), hollow()
    del less["module.layer3.22.bn2.bias"]
    more["module.layer3.23.conv1.weight"] = torch.zeros(1)
    other["module.fc.weight"] = torch.zeros(1).expand(101, 2048)
    refused({"state_dict": less}, r"layer3\.22\.bn2\.bias is missing, not \(512,\)")
    refused({"state_dict": more}, r"it has layer3\.23\.conv1\.weight")
    refused({"state_dict": other}, r"fc\.weight is \(101, 2048\), not \(400, 2048\)")
    refused({"epoch": 3}, "holds no weights under 'state_dict'")
    refused([1, 2], "holds no weights under 'state_dict'")
    refused(Path("code that pickle would run"), "cannot be read as weights")
    path.write_bytes(b"no weights")
    with pytest.raises(G3ANError, match="cannot be read as weights: damaged"):
        load_resnext(path)


def test_the_file_is_that_of_the_hash(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": hollow()}, path)
    assert open_extractor("resnext101-kinetics", path, sha256(path).upper()).hash == sha256(path)
    with pytest.raises(G3ANError, match=rf"is {sha256(path)}, not {'0' * 64}: it is another file, or damaged"):
        open_extractor("resnext101-kinetics", path, "0" * 64)
