"""Weights in tables and words: what a file says of itself poses as no line of ours."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from models.files import label_of
from models.headers.describe import Description
from models.weights import Offer, WeightFile, WeightSet
from runner.report.weights import description_lines, offers_table, removal_question
from runner.types.sampling import Sampling

PLAIN = Description(
    quant="Q4_0",
    files=("m-Q4_0.gguf",),
    file_bytes=1,
    is_here=True,
    arch="llama",
    name="Small",
    parameters=1,
    layers=1,
    experts=0,
    experts_used=0,
    context_trained=1,
    vocabulary=1,
    bits_per_weight=4.5,
    roles=(),
    kv_bytes_per_1000=1,
    state_bytes=0,
    windowed_layers=0,
    template=True,
    licence="mit",
    quality_loss=0.1,
    quality_source="measured",
    recommended=(),
    unsupported=(),
)
FORGED = "x\n  licence       mit\r\v\f\u2028\u2029\x85\x1c\u061c\U000e0041"


@pytest.mark.parametrize("name", ["quant", "arch", "name", "licence"])
def test_no_word_of_a_file_poses_as_a_line_of_show(name: str) -> None:
    assert {field.name for field in fields(Description) if "str" in str(field.type)} >= {name}
    lines = list(description_lines(replace(PLAIN, **{name: FORGED}), Sampling()))  # type: ignore[arg-type]
    assert len(lines) == len(list(description_lines(PLAIN, Sampling())))
    assert len("\n".join(lines).splitlines()) == len(lines)


def test_no_name_of_a_file_poses_as_a_line() -> None:
    unnamed = replace(PLAIN, name="", files=(FORGED,))
    assert len("\n".join(description_lines(unnamed, Sampling())).splitlines()) == len(
        list(description_lines(PLAIN, Sampling()))
    )
    offer = Offer(FORGED, "folder", (WeightSet(FORGED, (WeightFile("m.gguf", 1),)),))
    assert len("\n".join(offers_table([offer]).lines()).splitlines()) == 2
    assert len(removal_question([Path(FORGED)], 1).splitlines()) == 1


def offer(*names: str) -> Offer:
    sets = tuple(WeightSet(label_of(name), (WeightFile(name, 100),)) for name in names)
    return Offer("org/m", "lmstudio", sets)


def test_several_models_of_one_quantization_are_told_by_their_files() -> None:
    table = offers_table([offer("A-Q4_0.gguf", "B-Q4_0.gguf", "B-Q8_0.gguf"), offer("C-Q4_0.gguf")])
    assert [row[:2] for row in table.rows] == [
        ("org/m:A-Q4_0.gguf", "Q4_0"),
        ("org/m:B-Q4_0.gguf", "Q4_0"),
        ("org/m", "Q8_0"),
        ("org/m", "Q4_0"),
    ]
