"""Weights on disk: generators to ship, states to resume from, and the authors' released weights.

Nothing here executes code from a file: generators are safetensors with a JSON card, training states are
read with ``weights_only=True``.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from g3an.config import ModelConfig, side_of
from g3an.errors import G3ANError
from g3an.files import atomic_write, read_json, write_json
from g3an.generator import Generator
from g3an.widening import is_twice_as_wide, widen, widen_to_sides

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
LARGEST_FILE = 12_000_000  # bytes; larger generators are split


def shipped() -> dict[str, dict[str, Any]]:
    """The cards of the generators that come with the package, by name."""
    return {path.stem: read_json(path) for path in sorted(WEIGHTS_FOLDER.glob("*.json"))}


def fold_spectral_norm(generator: Generator) -> Generator:
    """A copy in evaluation mode whose weights are already divided by their spectral norms."""
    state = {}
    training = generator.training
    generator.eval()  # reading a weight in training mode would take a step of the power iteration
    with torch.no_grad():
        for path, module in generator.named_modules():
            if parametrize.is_parametrized(module, "weight"):
                state[f"{path}.weight"] = module.weight.clone()
    state |= {name: value for name, value in generator.state_dict().items() if ".parametrizations." not in name}
    generator.train(training)
    folded = Generator(generator.config, spectral_norm=False)
    folded.load_state_dict(state)
    return folded.to(next(generator.parameters()).device).eval()


def save_generator(
    path: str | Path, generator: Generator, card: dict[str, Any], dtype: torch.dtype = torch.float16
) -> list[Path]:
    """Write a generator as ``NAME.safetensors`` (or numbered shards) and its card ``NAME.json``.

    Parameters
    ----------
    path
        Where to write; the suffix is ignored.
    generator
        The network; spectral norm is folded in. Its batch-norm statistics are written as they are.
    card
        What a reader of the weights has to know; ``config`` and ``files`` are added.
    dtype
        Of the convolutions. Vectors (biases, batch norm, γ) stay in float32: they are small, and running
        variances may leave the range of float16.

    Returns
    -------
    list of Path
        The files written, the card last.
    """
    path = Path(path)
    stem = path.with_suffix("") if path.suffix in (".safetensors", ".json") else path
    state = fold_spectral_norm(generator).state_dict()
    tensors = {
        name: value.to(dtype if value.dim() > 1 else torch.float32).contiguous()
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in tensors.items():
        if size + value.nbytes > LARGEST_FILE - 200_000 and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = value
        size += value.nbytes
    files = []
    for number, shard in enumerate(shards, start=1):
        part = f"-{number:05d}-of-{len(shards):05d}" if len(shards) > 1 else ""
        file = stem.with_name(f"{stem.name}{part}.safetensors")
        with atomic_write(file) as temporary:
            save_file(shard, temporary)
        files.append(file)
    card = {**card, "config": generator.config.to_dict(), "files": [file.name for file in files]}
    write_json(stem.with_name(f"{stem.name}.json"), card)
    return [*files, stem.with_name(f"{stem.name}.json")]


def load_generator(name_or_path: str | Path, device: str | torch.device = "cpu") -> Generator:
    """Load a generator in evaluation mode.

    Parameters
    ----------
    name_or_path
        Name of shipped weights (``weizmann``), or the path of a ``.safetensors`` file or of its card.

    Returns
    -------
    Generator
        With two attributes more: ``card`` (dict) and ``weights_hash`` (SHA-256 over the files, hexadecimal).

    Raises
    ------
    G3ANError
        No such weights; a file is truncated; tensors are missing or do not fit the card's configuration.
    """
    card_path = _card_path(name_or_path)
    card = read_json(card_path)
    for name, kind in (("config", dict), ("files", list)):
        if not isinstance(card, dict) or not isinstance(card.get(name), kind):
            raise G3ANError(f"{card_path} is no card of a generator: it lacks {name!r}.")
    if "preset" not in card["config"]:
        raise G3ANError(f"{card_path} is no card of a generator: its 'config' lacks 'preset'.")
    _check_card(card, card_path)
    config = ModelConfig.from_dict(card["config"])
    files = [card_path.with_name(str(name)) for name in card["files"]]
    tensors: dict[str, Tensor] = {}
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            raise G3ANError(f"{file} is missing; {card_path.name} lists it. Copy all files of the weights together.")
        try:
            tensors |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise G3ANError(f"{file} is damaged or truncated ({error}). Fetch or copy it again.") from error
        digest.update(file.read_bytes())
    generator = Generator(config, spectral_norm=False)
    _load_exactly(generator, {name: value.float() for name, value in tensors.items()}, ", ".join(map(str, files)))
    generator.card, generator.weights_hash = card, digest.hexdigest()  # type: ignore[assignment]
    return generator.to(device).eval().requires_grad_(False)


_KINDS: dict[str, tuple[type, str]] = {
    "name": (str, "a name"), "dataset": (str, "a name"), "clips_seen": (int, "a number"), "steps": (int, "a number"),
    "smoke": (bool, "true or false"), "training": (dict, "a mapping"), "origins": (list, "a list of cards"),
}  # fmt: skip
"""What figures and reports read of a card, where it has it."""


def _check_card(card: dict[str, Any], path: Path) -> None:
    for part in (card, *card.get("origins", [])) if isinstance(card.get("origins", []), list) else (card,):
        if not isinstance(part, dict):
            raise G3ANError(f"{path} is damaged: its 'origins' should be a list of cards, and hold {part!r}.")
        for name, (kind, told) in _KINDS.items():
            if not isinstance(part.get(name, kind()), kind):
                raise G3ANError(f"{path} is damaged: {name!r} should be {told}, not {part[name]!r}.")
    if not card["files"] or not all(isinstance(name, str) for name in card["files"]):
        raise G3ANError(f"{path} is damaged: 'files' should be a list of the weights' files, not {card['files']!r}.")


def _card_path(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.suffix in (".safetensors", ".json"):
        if not path.is_file():
            raise G3ANError(f"{path} does not exist; weights are a .safetensors file with its .json card beside it.")
        stem = re.sub(r"-\d{5}-of-\d{5}$", "", path.stem)
        card = path.with_name(f"{stem}.json")
        if not card.is_file():
            raise G3ANError(f"{path} has no card; copy {card.name}, which was written with it, beside it.")
        return card
    if path.suffix in (".pth", ".pt", ".ckpt", ".bin"):
        raise G3ANError(
            f"{path} is no .safetensors file; g3an import-official converts the weights of the paper's authors."
        )
    names = shipped()
    if path.is_dir() and str(name_or_path) not in names:
        card = path / "generator.json"
        hint = str(card) if card.is_file() else "the .safetensors file of the weights, or its .json card"
        raise G3ANError(f"{path} is a folder; give {hint}.")
    if str(name_or_path) not in names:
        known = ", ".join(names) or "none yet"
        raise G3ANError(f"There are no shipped weights {str(name_or_path)!r} (there are: {known}); or give a path.")
    return WEIGHTS_FOLDER / f"{name_or_path}.json"


def _load_exactly(network: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Load all tensors or say which are missing, unexpected or of another shape."""
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    for complaint, names in {
        "lacks": wanted.keys() - tensors.keys(),
        "holds tensors that do not belong there:": tensors.keys() - wanted.keys(),
        "holds tensors of another shape:": {
            name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape
        },
    }.items():
        if names:
            some = ", ".join(sorted(names)[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            raise G3ANError(f"{source} does not fit its network: it {complaint} {some}.")
    network.load_state_dict(tensors, strict=False)


def begin_from(
    generator: Generator, name_or_path: str | Path, category: str | None = None, side: int | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """Give a generator, in place, the weights of another, to go on training from.

    Parameters
    ----------
    generator
        With spectral norm. The weights that were folded are divided by their norms again, which leaves them as they
        are; where they are not, batch norm makes up for it.
    name_or_path
        As for :func:`load_generator`. Where the generator has twice its widths, each of its channels becomes two: see
        :func:`g3an.widening.widen`.
    category
        For an unconditional generator, the one at which a conditional one's c is held: see :func:`hold_category`.
    side
        The number of z_m that is to say which videos are mirrored, if one is. Where the generator has twice the widths,
        and the weights were not trained so themselves, half of its channels then begin as their mirror image: see
        :func:`g3an.widening.widen_to_sides`.

    Returns
    -------
    list of dict
        What the card says of where these weights come from, oldest first: ``weights_hash``, ``dataset``, ``steps``,
        ``clips_seen``, ``training_seconds``, ``training``, ``training_changes`` and ``z_a_heard`` of each, as far as
        its card has them, ``category`` of one whose c is held, ``widths`` of one that was widened, and ``sides`` if
        that was to both sides.

    Raises
    ------
    G3ANError
        Weights that cannot be loaded, or of another configuration; a category that is missing, that the weights do not
        have, or that the generator does not need held; weights in which another number of z_m says the side.
    """
    other = load_generator(name_or_path)
    card: dict[str, Any] = other.card  # type: ignore[assignment]
    origin: dict[str, Any] = {"weights_hash": other.weights_hash}
    about = ("dataset", "steps", "clips_seen", "training_seconds", "training", "training_changes", "z_a_heard")
    origin |= {name: card[name] for name in about if name in card}
    names = other.config.classes
    if category is not None and generator.config.classes:
        raise G3ANError(f"c cannot be held at {category!r}: the network that is to be trained has categories itself.")
    if category is not None and category not in names:
        has = f"its categories are {', '.join(names)}" if names else "it has no categories"
        raise G3ANError(f"c of {name_or_path} cannot be held at {category!r}: {has}.")
    if names and not generator.config.classes:
        if category is None:
            raise G3ANError(
                f"{name_or_path} has categories and the network that is to be trained has none: say at which one c "
                f"shall be held (--from-category), {', '.join(names)}."
            )
        other = hold_category(other, category)
        origin["category"] = category
    before = side_of(card.get("training", {}))
    if side is not None and before is not None and side != before:
        steps = "one frame step" if before < side else "several frame steps"
        raise G3ANError(
            f"Number {before + 1} of z_m says in {name_or_path} on which side somebody moves; in the network that is "
            f"to be trained it would be number {side + 1}. Train with {steps} (clip_steps), as that one was."
        )
    if is_twice_as_wide(generator.config, other.config):
        origin["widths"] = list(other.config.widths)
        if side is not None and before is None:
            origin["sides"] = True
            other = widen_to_sides(other)
        else:
            other = widen(other)
    mine, its = generator.config.to_dict(), other.config.to_dict()
    if unlike := [name for name in mine if name != "preset" and mine[name] != its[name]]:
        raise G3ANError(
            f"{name_or_path} has another {', '.join(unlike)} than the network that is to be trained: "
            f"{its[unlike[0]]} instead of {mine[unlike[0]]}. Train with the same (but widths may be doubled), or "
            "from the start."
        )
    weights = other.state_dict()
    for path, module in generator.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            weights[f"{path}.parametrizations.weight.original"] = weights.pop(f"{path}.weight")
    generator.load_state_dict(weights, strict=False)
    return [*card.get("origins", []), origin]


@torch.no_grad()
def hold_category(generator: Generator, category: str) -> Generator:
    """An unconditional copy of a conditional generator with spectral norm folded in, whose c stays at one category.

    What c adds in the first module goes into the norms after it: of a category into their biases, of all of them out of
    their statistics. Where the module gives several positions in time or space and c adds something else to each, all
    get the mean, for a bias knows no place.
    """
    config = ModelConfig.from_dict({**generator.config.to_dict(), "classes": ()})
    held = Generator(config, spectral_norm=False)
    state = generator.state_dict()
    first: Any = generator.modules_g3[0]
    count, own = len(generator.config.classes), generator.config.classes.index(category)
    parts = {"conv_v.0": first.conv_v[0]}
    if "T" in config.streams:
        parts["conv_t"] = first.conv_t
    for name, part in parts.items():
        convolution, norm, _ = part
        added = convolution.weight[-count:].flatten(2)  # (categories, outputs, positions)
        place = f"modules_g3.0.{name}"
        state[f"{place}.0.weight"] = convolution.weight[:-count].clone()
        mean, variance = added.mean((0, 2)), added.var((0, 2), unbiased=False)
        left = (norm.running_var - variance).clamp(min=0)
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        state[f"{place}.1.weight"] = scale * (left + norm.eps).sqrt()
        state[f"{place}.1.bias"] = norm.bias + scale * (added[own].mean(1) - mean)
        state[f"{place}.1.running_mean"] = norm.running_mean - mean
        state[f"{place}.1.running_var"] = left
    held.load_state_dict(state)
    return held.to(next(generator.parameters()).device).eval()


def read_state(path: str | Path) -> Any:
    """Read a file written by ``torch.save``, tensors and plain types only.

    Raises
    ------
    G3ANError
        The file is missing, truncated, or holds anything but data.
    """
    path = Path(path)
    if not path.is_file():
        raise G3ANError(f"{path} does not exist.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise G3ANError(f"{path} is no file of plain tensors; it was not loaded, because it could run code.") from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise G3ANError(f"{path} is damaged or truncated; copy it again or use an older one.") from error


def write_state(path: str | Path, state: dict[str, Any]) -> None:
    """``torch.save``, atomically.

    Raises
    ------
    G3ANError
        The folder cannot be written or the disk is full; an older file at ``path`` survives.
    """
    with atomic_write(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # what a full disk looks like from inside torch's writer
            raise G3ANError(f"Cannot write {path}; is the disk full? The older checkpoint, if any, is kept.") from error


# ------------------------------------------------------------------------------------------------
# The authors' released weights
# ------------------------------------------------------------------------------------------------


def import_official(source: str | Path, destination: str | Path) -> list[Path]:
    """Turn the authors' released ``.pth`` into this project's format.

    The released networks differ from Table 1 in T and channels (preset ``official``), were saved from
    DataParallel with the older form of spectral norm, and, where they have F-SA, were trained with a reshape
    that scrambles the attended tensor; the card stores ``attention_layout: released`` for those, so that they
    give the videos they were trained to give.

    Parameters
    ----------
    source
        The state dict, bare or under the key ``state_dict``.
    destination
        Where to write; see :func:`save_generator`. Weights stay in float32.

    Raises
    ------
    G3ANError
        The file is truncated, is no such state dict, or lacks tensors (they are named).
    """
    state = read_state(source)
    if isinstance(state, dict) and "state_dict" in state:
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise G3ANError(f"{source} holds no state dict; give the generator file that the authors released.")
    state = {name.removeprefix("module."): value for name, value in state.items()}
    widths = []
    for block in range(1, 6):
        name = f"block{block}.conv_s.0.bias"
        if name not in state:
            raise G3ANError(f"{source} is no released G3AN generator, or is incomplete: it lacks {name}.")
        widths.append(len(state[name]))
    first = next((value for name, value in state.items() if name.startswith("block1.conv_v.0.weight")), None)
    if first is None:
        raise G3ANError(f"{source} is incomplete: it lacks block1.conv_v.0.weight_orig.")
    kernel = tuple(first.shape[2:])
    mode = "1p2d" if kernel[1] == 1 else "2p1d" if kernel[0] == 1 else "3d"
    attention = any(name.startswith("fsa.") for name in state)
    appearance = _tensor(state, "block1.conv_s.0.weight", source).shape[0]
    motion = _tensor(state, "block1.conv_t.0.weight", source).shape[0]
    config = ModelConfig.from_preset(
        "official",
        widths=tuple(widths),
        z_a_dim=appearance,
        z_m_dim=motion,
        conv_mode=mode,
        attention_after=(3,) if attention else (),
        attention_layout="released" if attention else "paper",
    )
    generator = Generator(config, spectral_norm=False)
    tensors = {
        name: _tensor(state, _released_name(name), source)
        for name in generator.state_dict()
        if not name.endswith("num_batches_tracked")
    }
    _load_exactly(generator, tensors, str(source))
    card = {"name": Path(destination).stem, "dataset": "unknown", "source": "weights released by the authors of G3AN"}
    return save_generator(destination, generator, card, dtype=torch.float32)


def _released_name(name: str) -> str:
    """Where the released code keeps what this project calls ``name``."""
    name = re.sub(r"^modules_g3\.(\d)", lambda match: f"block{int(match[1]) + 1}", name)
    # G_V holds two triples of (convolution, batch norm, ReLU) in one flat list there.
    name = re.sub(r"conv_v\.(\d)\.(\d)", lambda match: f"conv_v.{3 * int(match[1]) + int(match[2])}", name)
    name = re.sub(r"^to_rgb\.", "to_rgb.0.", name)
    name = re.sub(r"^attention\.3\.([ts])\.", r"fsa.\1sa.", name)
    # Keys and queries: eq. 1 calls them f and g.
    return re.sub(r"\.([fgh])\.", lambda match: f".{ {'f': 'k', 'g': 'q', 'h': 'v'}[match[1]] }_conv.", name)


def _tensor(state: dict[str, Tensor], name: str, source: str | Path) -> Tensor:
    """A tensor of the released state dict, its spectral norm folded in."""
    if name in state:
        return state[name]
    parts = [f"{name}_{part}" for part in ("orig", "u", "v")]
    missing = [part for part in parts if part not in state]
    if missing:
        raise G3ANError(f"{source} is incomplete: it lacks {', '.join(missing)}.")
    weight, u, v = (state[part] for part in parts)
    # The older spectral norm flattens a transposed convolution with its output channels first.
    outputs_first = weight.transpose(0, 1) if "block" in name else weight
    sigma = u @ outputs_first.flatten(1) @ v
    return weight / sigma
