"""Every number keeps its protocol, and numbers of two protocols never meet in one table."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from g3an.errors import G3ANError
from g3an.evaluation.protocol import Measurement, Protocol, table

WRITTEN = Protocol("mug-sim", "test", "factors", "0" * 64, normalisation="none")


def number(protocol: Protocol = WRITTEN, **changes: object) -> Measurement:
    made = Measurement(
        "FID", 3.14159265, 3.0, 3.3, 0.5, "mine abc", True, {"real": 504, "generated": 2048, "floor": 252},
        ("few clips",), protocol,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def test_each_field_makes_another_protocol():
    for field in fields(Protocol):
        value = getattr(WRITTEN, field.name)
        other = {"window": "centre", "version": 1}.get(field.name, f"{value}x" if isinstance(value, str) else value + 1)
        if field.name == "version":
            continue  # fixed by the code
        changed = replace(WRITTEN, **{field.name: other})
        assert changed.key != WRITTEN.key and list(WRITTEN.differences(changed)) == [field.name]


def test_a_protocol_and_a_number_survive_json():
    assert Protocol.from_dict(json.loads(json.dumps(WRITTEN.to_dict()))) == WRITTEN
    paced = replace(WRITTEN, step=(1, 2, 3))
    assert Protocol.from_dict(json.loads(json.dumps(paced.to_dict()))) == paced
    assert "mirrored" not in WRITTEN.to_dict(), "protocols from before it was a field keep their keys"
    turned = replace(WRITTEN, mirrored=True)
    assert Protocol.from_dict(json.loads(json.dumps(turned.to_dict()))) == turned
    mirrored = replace(number(), protocol=turned)
    assert Measurement.from_dict(json.loads(json.dumps(mirrored.to_dict()))).protocol == turned
    assert ", mirrored at random," in table([mirrored]) and "mirrored" not in table([number()])
    again = Measurement.from_dict(json.loads(json.dumps(number().to_dict())))
    assert again == replace(number(), value=3.14159)


def test_a_number_whose_protocol_was_changed_is_refused():
    content = number().to_dict()
    content["protocol"]["clips"] = 4096
    with pytest.raises(G3ANError, match="changed after it was measured"):
        Measurement.from_dict(content)
    with pytest.raises(G3ANError, match="version 0, not 1"):
        Protocol.from_dict({**WRITTEN.to_dict(), "version": 0})
    with pytest.raises(G3ANError, match="no protocol"):
        Protocol.from_dict({**WRITTEN.to_dict(), "colour": 1})


def test_one_table_has_one_protocol():
    text = table([number(), number(metric="KID", value=0.01, floor=None)])
    assert "| mine abc | FID | 3.142 | 3 to 3.3 | 0.5 | 2,048 / 504 |" in text
    assert "| real/real distance |" in text and "16 frames at step 1" in text
    assert "distance is between 252 real clips and the other 252, of different people: a scale" in text
    assert "16 frames at steps 1, 2, 3, extractor" in table([number(replace(WRITTEN, step=(1, 2, 3)))])
    assert "no floor" not in table([number(floor=None)])
    stored = number(warnings=("The real/real floor compares 252 clips with 252, of other people.", "few clips"))
    assert "real/real floor" not in table([stored]) and "- few clips" in table([stored])
    assert WRITTEN.key in text and "mug-sim (simulated)" in text and text.count("few clips") == 1
    with pytest.raises(G3ANError, match=r"different protocols \(clips: 2048 and 1024\)"):
        table([number(), number(replace(WRITTEN, clips=1024))])
    with pytest.raises(G3ANError, match="nothing to put"):
        table([])


def test_impossible_protocols_are_refused():
    with pytest.raises(G3ANError, match="2 clips or more"):
        replace(WRITTEN, clips=1)
    for step in (0, (), (0, 1)):
        with pytest.raises(G3ANError, match="resolution of 1 or more"):
            replace(WRITTEN, step=step)
    with pytest.raises(G3ANError, match="window is 'left'"):
        replace(WRITTEN, window="left")
