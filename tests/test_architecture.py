"""Table 1 as it is printed, as it is computed, and as it is drawn."""

from __future__ import annotations

import pytest
import yaml

from g3an import architecture
from g3an.config import ModelConfig
from g3an.generator import Generator
from g3an.parameters import check_parameters
from g3an.runs import find_notebook, project_root

PARAMETER_SETS = sorted((project_root() / "notebooks" / "params").glob("*.yaml"))


def test_output_dimensions_of_table_1() -> None:
    generator = Generator(ModelConfig.from_preset("appendix"), spectral_norm=False)
    assert architecture.output_dimensions(generator) == architecture.TABLE_1
    assert generator.training, "reading the dimensions must leave the network's mode as it was"


def test_other_presets_differ_where_the_released_code_does() -> None:
    official = Generator(ModelConfig.from_preset("official", widths=(64, 64, 32, 16, 8)), spectral_norm=False)
    rows = architecture.output_dimensions(official)
    assert [row[3] for row in rows.values()] == [4, 8, 16, 16, 16, 16]
    assert [row[0] for row in rows.values()] == [128, 128, 64, 32, 16, 3]


def test_every_parameter_belongs_to_a_stream() -> None:
    generator = Generator(ModelConfig.from_preset("small", classes=("a", "b")), spectral_norm=False)
    counts = architecture.stream_parameters(generator)
    assert sum(counts.values()) == sum(value.numel() for value in generator.parameters())
    assert counts["output"] == 3 * 32 * 9 + 3
    assert min(counts.values()) > 0


def test_drawn_table_says_what_it_compares() -> None:
    page = architecture.draw_table("small", "Table 1: a caption")
    words = {text.get_text(): text.get_color() for text in page.axes[0].texts}
    assert {"appendix, as printed", "this network, preset small", "Table 1: a caption", "1024", "512"} <= words.keys()
    assert words["16 × 16 × 8"] == "#b00020", "small has half the channels: its rows disagree and must be red"


@pytest.mark.parametrize("path", PARAMETER_SETS, ids=lambda path: path.stem)
def test_parameter_sets_fit_their_notebooks(path) -> None:
    notebook = find_notebook(path.stem.split("_")[0])
    assert check_parameters(notebook, yaml.safe_load(path.read_text()))
