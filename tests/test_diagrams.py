"""What the diagrams say is what the network is; that they look right, a person has to judge."""

import numpy as np
import pytest
import torch

from g3an.config import ModelConfig
from g3an.diagrams import attention_diagram, attention_maps, generator_diagram
from g3an.errors import G3ANError
from g3an.generator import Generator


def words(page):
    return [text.get_text() for axes in page.axes for text in axes.texts]


def overlapping(page):
    """Pairs of texts whose boxes meet, and texts that leave the page."""
    renderer = page.canvas.get_renderer()
    texts = [text for axes in page.axes for text in axes.texts]
    boxes = [text.get_window_extent(renderer) for text in texts]
    width, height = page.get_size_inches() * page.dpi
    found = [
        (a.get_text(), b.get_text())
        for k, (a, one) in enumerate(zip(texts, boxes, strict=True))
        for b, other in zip(texts[:k], boxes[:k], strict=True)
        if one.overlaps(other)
    ]
    outside = [
        text.get_text()
        for text, box in zip(texts, boxes, strict=True)
        if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height
    ]
    return found + outside


def test_figure_1_has_its_three_parts():
    said = words(attention_diagram())
    assert [text[0] for text in said if text[1:2] == ":"] == ["a", "b", "c"]
    for symbol in ("f_t", "g_t", "h_t", "f_s", "g_s", "h_s"):
        assert sum(f"${symbol}$" in text for text in said) == 1
    assert said.count("softmax\nover $i$") == 2
    assert not overlapping(attention_diagram())


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig.from_preset("small", classes=("a", "b", "c")),
        ModelConfig.from_preset("small", widths=(40, 32, 24, 16, 8), conv_mode="2p1d", attention_after=(2, 4)),
        ModelConfig.from_preset("official", widths=(32, 32, 16, 8, 4), conv_mode="3d", attention_parts=("S",)),
    ],
)
def test_figure_2_says_what_the_network_is(config):
    generator = Generator(config).train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    page = generator_diagram(generator)
    said = words(page)
    assert generator.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    with torch.no_grad():
        c = torch.zeros(1, dtype=torch.long) if config.classes else None
        features = generator.eval().features(torch.zeros(1, 128), torch.zeros(1, 10), c)
    for number, width in enumerate(config.widths):
        _, channels, *extent = features[f"G3_{number}"].shape
        assert f"{channels}\n{'×'.join(map(str, extent))}" in said
        assert f"{width}\n1×{extent[1]}×{extent[2]}" in said
        assert f"{width}\n{extent[0]}×1×1" in said
    attention = [text for text in said if "-SA" in text]
    assert len(attention) == len(config.attention_after)
    assert sum("ConvT 3d" in text for text in said) == (5 if config.conv_mode == "3d" else 0) - 2 * (
        config.preset == "official"  # where T stays, a 3d convolution is a 2d one
    )
    assert any(f"one-hot, {len(config.classes)}" in text for text in said) == bool(config.classes)
    assert not overlapping(page)


def test_figure_2_refuses_an_ablation():
    with pytest.raises(G3ANError, match="built without G_S or G_T"):
        generator_diagram(Generator(ModelConfig.from_preset("small", streams=("T",))))


def test_attention_maps_refuse_what_is_not_there():
    maps = {"T": torch.full((1, 4, 4, 8, 8), 1 / 8), "S": torch.full((1, 8, 16, 16), 1 / 16)}
    video = np.zeros((8, 16, 16, 3), np.uint8)
    video[2] = 9
    page = attention_maps(maps, video, 2, [(0, 1), (3, 3)])
    pictures = [
        axes.images[0].get_array() for axes in page.axes if axes.images and axes.images[0].get_array().ndim == 3
    ]
    assert len(pictures) == 1 and (pictures[0] == 9).all()
    assert any("frame 5" in axes.get_title() for axes in attention_maps(maps, video.repeat(2, 0), 2, [(0, 1)]).axes)
    shown = [axes.images[0].get_array() for axes in page.axes if axes.images]
    evenly = [image for image in shown if image.shape in ((8, 8), (4, 4))]
    assert len(evenly) == 5 and all(np.allclose(image, 1) for image in evenly)
    for bad in ((maps, 8, [(0, 0)]), (maps, 0, [(4, 0)]), ({"T": maps["T"]}, 0, [(0, 0)])):
        with pytest.raises(G3ANError):
            attention_maps(bad[0], video, *bad[1:])
