"""Saving, loading, and the import of the released weights."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from g3an.checkpoints import (
    begin_from,
    fold_spectral_norm,
    hold_category,
    import_official,
    load_generator,
    read_state,
    save_generator,
    write_state,
)
from g3an.config import ModelConfig
from g3an.errors import G3ANError
from g3an.generator import Generator
from g3an.training import recompute_statistics

FIXTURES = Path(__file__).parents[2] / "shared" / "fixtures"
needs_fixtures = pytest.mark.skipif(not FIXTURES.is_dir(), reason="needs the fixtures of released weights (../shared)")
TINY = ModelConfig.from_preset("small", widths=(32, 16, 16, 16, 8), classes=("left", "right"))


def codes(config: ModelConfig, batch: int = 2) -> tuple:
    random = torch.Generator().manual_seed(0)
    z_a = torch.randn(batch, config.z_a_dim, generator=random)
    return z_a, torch.randn(batch, config.z_m_dim, generator=random), torch.arange(batch) % len(config.classes)


def test_generator_round_trip(tmp_path: Path) -> None:
    generator = Generator(TINY)
    for _ in range(3):
        generator(*codes(TINY))
    generator.eval()
    card_path = save_generator(tmp_path / "tiny", generator, {"name": "tiny"}, dtype=torch.float32)[-1]
    loaded = load_generator(card_path)
    assert loaded.config == TINY and loaded.card["name"] == "tiny" and len(loaded.weights_hash) == 64
    assert torch.allclose(loaded(*codes(TINY)), generator(*codes(TINY)), atol=1e-5)


def test_half_precision_stays_close(tmp_path: Path) -> None:
    generator = fold_spectral_norm(Generator(TINY))
    loaded = load_generator(save_generator(tmp_path / "tiny", generator, {})[-1])
    assert (loaded(*codes(TINY)) - generator(*codes(TINY))).abs().max() < 0.02


def test_training_begins_from_other_weights(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = fold_spectral_norm(Generator(TINY))
    about = {"steps": 7, "clips_seen": 28, "training_seconds": 9, "training": {}, "training_changes": [], "origins": []}
    path = save_generator(tmp_path / "first", first, about)[-1]
    torch.manual_seed(2)
    generator = Generator(TINY)
    origins = begin_from(generator, path)
    assert [origin["clips_seen"] for origin in origins] == [28]
    assert origins[0]["weights_hash"] == load_generator(path).weights_hash
    generator.train()
    with torch.no_grad():
        for _ in range(30):  # the power iterations find the norms, which are 1
            generator(*codes(TINY))
    its = dict(load_generator(path).named_parameters())
    mine = dict(fold_spectral_norm(generator).named_parameters())
    for name, value in its.items():
        scale = mine[name].norm() / value.norm() if value.any() else 1
        assert torch.allclose(mine[name], scale * value, atol=1e-5), "the same but for what batch norm takes away"
        assert 0.9 < scale < 1.1

    save_generator(tmp_path / "second", generator, about | {"origins": origins})
    assert [origin["steps"] for origin in begin_from(generator, tmp_path / "second.json")] == [7, 7]
    other = Generator(ModelConfig.from_preset("small", widths=(32, 16, 16, 16, 16), classes=("left", "right")))
    with pytest.raises(G3ANError, match=r"another widths than .* to be trained: \[32, 16, 16, 16, 8\]"):
        begin_from(other, path)


@pytest.mark.parametrize(("mode", "streams"), [("1p2d", ("S", "T")), ("2p1d", ("S",)), ("3d", ("S", "T"))])
def test_an_unconditional_network_begins_from_one_category(tmp_path: Path, mode: str, streams: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    shape = {"widths": (8, 8, 8, 8, 8), "attention_after": (), "conv_mode": mode, "streams": streams}
    generator = Generator(ModelConfig.from_preset("small", classes=("left", "right", "up"), **shape), False)
    z_a, z_m, _ = codes(generator.config)
    c = torch.eye(3).repeat(-(-len(z_a) // 3), 1)[: len(z_a)]
    for name, weight in generator.named_parameters():
        if name in ("modules_g3.0.conv_t.0.weight", "modules_g3.0.conv_v.0.0.weight"):
            # Alike in all places, as far as c goes: what differs between them is lost, and said to be.
            weight.data *= 20
            weight.data[-3:] = 4 * weight.data[-3:, :, :1, :1, :1]
    recompute_statistics(generator, 0, passes=4, batch=9)
    training = {"dataset": "signs", "steps": 7, "training": {}}
    path = save_generator(tmp_path / "signs", generator, training, dtype=torch.float32)[-1]

    alone = Generator(ModelConfig.from_preset("small", **shape))
    (origin,) = begin_from(alone, path, "right")
    assert (origin["category"], origin["dataset"]) == ("right", "signs")
    held = hold_category(generator, "right")
    expected = generator(z_a, z_m, torch.eye(3)[1].expand(len(z_a), -1))
    assert torch.allclose(held(z_a, z_m), expected, atol=1e-4)
    assert (held(z_a, z_m) - generator(z_a, z_m, c)).abs().max() > 1e-2, "c says something"
    assert torch.allclose(
        dict(alone.named_parameters())["modules_g3.0.conv_v.0.1.bias"], held.modules_g3[0].conv_v[0][1].bias
    )

    with pytest.raises(G3ANError, match=r"say at which one c shall be held \(--from-category\), left, right, up"):
        begin_from(alone, path)
    with pytest.raises(G3ANError, match="cannot be held at 'down': its categories are left, right, up"):
        begin_from(alone, path, "down")
    with pytest.raises(G3ANError, match="the network that is to be trained has categories itself"):
        begin_from(Generator(generator.config), path, "right")
    save_generator(tmp_path / "alone", alone, training)
    with pytest.raises(G3ANError, match="cannot be held at 'right': it has no categories"):
        begin_from(alone, tmp_path / "alone.json", "right")


def test_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("g3an.checkpoints.LARGEST_FILE", 300_000)
    generator = Generator(TINY).eval()
    files = save_generator(tmp_path / "tiny", generator, {}, dtype=torch.float32)
    assert len(files) > 2
    assert torch.allclose(load_generator(files[0])(*codes(TINY)), generator(*codes(TINY)), atol=1e-5)
    files[0].unlink()
    with pytest.raises(G3ANError, match="is missing"):
        load_generator(files[-1])


def test_damaged_weights(tmp_path: Path) -> None:
    weights, card = save_generator(tmp_path / "tiny", Generator(TINY), {})
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(G3ANError, match="damaged or truncated"):
        load_generator(card)
    with pytest.raises(G3ANError, match="no shipped weights 'wiezmann'"):
        load_generator("wiezmann")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"files": []}, r"card\.json is damaged: 'files' should be a list of the weights' files, not \[\]"),
        ({"files": [3]}, "'files' should be a list of the weights' files"),
        ({"clips_seen": "many"}, r"card\.json is damaged: 'clips_seen' should be a number, not 'many'"),
        ({"dataset": None}, "'dataset' should be a name, not None"),
        ({"origins": None}, "'origins' should be a list of cards, not None"),
        ({"origins": [5]}, "'origins' should be a list of cards, and hold 5"),
        ({"origins": [{"clips_seen": "many"}]}, "'clips_seen' should be a number"),
        ({"training": 3}, "'training' should be a mapping"),
        ({"config": {"preset": "small", "classes": None}}, r"classes is None; it must be tuple\[str, \.\.\.\]"),
        ({"config": {"preset": "small", "widths": ["a"] * 5}}, "widths is .* it must be"),
        ({"config": {"preset": "small", "z_a_dim": True}}, "z_a_dim is True; it must be int"),
    ],
)
def test_a_damaged_card_says_what_it_should_hold(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    card = {"config": {"preset": "small"}, "files": ["a.safetensors"], "dataset": "mug"} | changes
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(G3ANError, match=said):
        load_generator(tmp_path / "card.json")


@pytest.mark.parametrize(
    ("content", "lacking"),
    [
        ("[1, 2]", "it lacks 'config'"),
        ('{"config": []}', "it lacks 'config'"),
        ('{"config": {"preset": "small"}, "files": 3}', "it lacks 'files'"),
        ('{"config": {}, "files": []}', "its 'config' lacks 'preset'"),
    ],
)
def test_what_is_no_card_says_what_it_lacks(tmp_path: Path, content: str, lacking: str) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(G3ANError, match=rf"card\.json is no card of a generator: {lacking}\.$"):
        load_generator(tmp_path / "card.json")


def test_a_folder_is_told_from_a_name(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(G3ANError, match=r"mine is a folder; give the \.safetensors file"):
        load_generator(tmp_path / "mine")
    (tmp_path / "mine" / "generator.json").touch()
    with pytest.raises(G3ANError, match=r"mine is a folder; give .*mine/generator\.json\.$"):
        load_generator(tmp_path / "mine")


def test_state_never_runs_code(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "trap.pt").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(G3ANError):
        read_state(tmp_path / "trap.pt")
    torch.save({"trap": Trap()}, tmp_path / "trap2.pt")
    with pytest.raises(G3ANError, match="could run code"):
        read_state(tmp_path / "trap2.pt")
    assert not (tmp_path / "ran").exists()


def test_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path / "state.pt", {"step": 1})

    def full_disk(content: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(G3ANError, match="disk full"):
        write_state(tmp_path / "state.pt", {"step": 2})
    assert read_state(tmp_path / "state.pt") == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


@needs_fixtures
@pytest.mark.parametrize("name", ["official_ch4_attention", "official_ch4_no_attention"])
def test_released_weights_give_their_videos(name: str, tmp_path: Path) -> None:
    fixture = read_state(FIXTURES / f"{name}.pt")
    card = import_official(FIXTURES / f"{name}.pt", tmp_path / name)[-1]
    generator = load_generator(card)
    assert bool(generator.attention) == fixture["use_attention"]
    assert generator.config.attention_layout == ("released" if fixture["use_attention"] else "paper")
    z_a = fixture["za"].flatten(1)
    for z_m, video in ((fixture["zm"], fixture["video"]), (fixture["zm_long"], fixture["video_long"])):
        ours = generator(z_a, z_m.flatten(2))
        assert ours.shape == video.shape
        assert (ours - video).abs().max() < 1e-5
    assert generator.frame_count(3) == fixture["video_long"].shape[2]


@needs_fixtures
def test_wrong_or_truncated_released_weights(tmp_path: Path) -> None:
    source = FIXTURES / "official_ch4_attention.pt"
    cut = tmp_path / "cut.pth"
    cut.write_bytes(source.read_bytes()[:2000])
    with pytest.raises(G3ANError, match=r"damaged or truncated|plain tensors"):
        import_official(cut, tmp_path / "out")
    state = read_state(source)["state_dict"]
    del state["module.block3.conv_t.0.weight_u"]
    torch.save(state, tmp_path / "incomplete.pth")
    with pytest.raises(G3ANError, match=r"lacks block3\.conv_t\.0\.weight_u"):
        import_official(tmp_path / "incomplete.pth", tmp_path / "out")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(G3ANError, match="no released G3AN generator"):
        import_official(tmp_path / "other.pth", tmp_path / "out")
    shutil.copy(Path(__file__), tmp_path / "text.pth")
    with pytest.raises(G3ANError):
        import_official(tmp_path / "text.pth", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
