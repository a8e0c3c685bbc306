"""Weights in tables."""

from models.files import label_of
from models.weights import Offer, WeightFile, WeightSet
from runner.report.weights import offers_table


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
