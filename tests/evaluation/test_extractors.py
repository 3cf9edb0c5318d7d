"""Opening extractors: by name, with the right weights, and TorchScript only with its hash."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from g3an.errors import G3ANError
from g3an.evaluation import extractors
from g3an.evaluation.extractors import FILES, open_extractor
from g3an.files import sha256

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class Tiny(nn.Module):
    """Called as I3D is; tells what it was given."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        if rescale or resize or not return_features:
            raise RuntimeError("called otherwise than I3D")
        if x.size(2) < 9:
            raise RuntimeError("too few frames")
        described = torch.stack([x.mean((1, 2, 3, 4)), x.amax((1, 2, 3, 4)), torch.full([x.size(0)], x.size(4))], 1)
        return described.repeat(1, 134)[:, :400]


class Narrow(nn.Module):
    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        return x.mean((2, 3, 4))


@pytest.fixture
def script(tmp_path) -> Path:
    torch.jit.script(Tiny()).save(str(tmp_path / "i3d.pt"))
    return tmp_path / "i3d.pt"


def test_i3d_sees_clips_as_fvd_has_it(script):
    extractor = open_extractor("i3d", script, sha256(script))
    clips = torch.full((5, 3, 16, 64, 64), -0.5)
    with torch.inference_mode():
        features, logits = extractor.look(clips)
    assert features.shape == (5, 400) and logits is None and extractor.hash == sha256(script)
    assert features[0, :3].tolist() == pytest.approx([-0.5, -0.5, 224]) and "224×224" in extractor.normalisation


def test_torchscript_of_an_unknown_hash_is_never_loaded(script, monkeypatch):
    def loaded(*args: object, **how: object) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr(torch.jit, "load", loaded)
    with pytest.raises(G3ANError, match=f"TorchScript is code: .* give the SHA-256 stated there .*{sha256(script)}"):
        open_extractor("i3d", script)
    with pytest.raises(G3ANError, match="it is another file, or damaged"):
        open_extractor("i3d", script, "0" * 64)
    monkeypatch.undo()
    monkeypatch.setattr(extractors, "KNOWN_I3D", frozenset({sha256(script)}))
    assert open_extractor("i3d", script).name == "i3d"


def test_a_network_that_is_not_i3d_is_told(script, tmp_path):
    extractor = open_extractor("i3d", script, sha256(script))
    with pytest.raises(G3ANError, match=r"fails on clips \(2, 3, 8, 224, 224\)") as error:
        extractor.look(torch.zeros(2, 3, 8, 64, 64))
    assert "too few frames" in str(error.value) and "\n" not in str(error.value)
    torch.jit.script(Narrow()).save(str(tmp_path / "narrow.pt"))
    narrow = open_extractor("i3d", tmp_path / "narrow.pt", sha256(tmp_path / "narrow.pt"))
    with pytest.raises(G3ANError, match=r"gives \(2, 3\) for 2 clips, not 400 features each"):
        narrow.look(torch.zeros(2, 3, 16, 64, 64))
    (tmp_path / "none.pt").write_bytes(b"no script")
    with pytest.raises(G3ANError, match="cannot be read as TorchScript"):
        open_extractor("i3d", tmp_path / "none.pt", sha256(tmp_path / "none.pt"))


@pytest.mark.parametrize("name", FILES)
def test_who_needs_a_weight_file_says_which(name, tmp_path):
    with pytest.raises(G3ANError, match=f"{name} needs its weight file, {FILES[name]}; give its path"):
        open_extractor(name)
    with pytest.raises(G3ANError, match=r"There is no weight file .*none\.pth for the extractor"):
        open_extractor(name, tmp_path / "none.pth")


@pytest.mark.parametrize("name", ["factors", "transnetv2"])
def test_who_needs_none_takes_none(name, tmp_path):
    for given in ({"weights": tmp_path}, {"sha256": "0" * 64}):
        with pytest.raises(G3ANError, match=f"{name} comes with its weights"):
            open_extractor(name, **given)  # type: ignore[arg-type]


def test_names_and_hashes_are_checked():
    with pytest.raises(G3ANError, match=r"no extractor 'resnext101'\. Did you mean 'resnext101-kinetics'"):
        open_extractor("resnext101")
    with pytest.raises(G3ANError, match="64 hexadecimal digits; 'abc' is not"):
        open_extractor("i3d", "file", "abc")
