"""The rows of the picker, from offers and plans made to measure."""

from pathlib import Path

import pytest

from models.entry import Entry
from models.errors import BadFile
from models.weights import Offer, WeightFile, WeightSet
from runner.planning.choose import Contender, choose
from runner.service.library import from_catalog, from_disk
from runner.types.machine import Machine
from runner.types.plan import Plan, Verdict
from runner.types.wish import Wish
from tests.support.planner import a100, gpu, machine, shape

HERE = machine(gpu(8), ram=16)


def weights(quant: str, name: str = "m") -> WeightSet:
    return WeightSet(quant, (WeightFile(f"{name}-{quant}.gguf", shape("qwen3-8b", quant or "Q4_0").bytes, Path("/x")),))


def plan_of(offer: Offer) -> Plan:
    if offer.name == "org/broken":
        raise BadFile("It is cut.")
    options = [
        Contender(WeightSet(one.quant or "Q4_0", one.files), shape("qwen3-8b", one.quant or "Q4_0"))
        for one in offer.sets
    ]
    return choose(offer.name, options, HERE, Wish())


def test_a_row_for_each_quantization_under_the_name_to_type() -> None:
    offers = [
        Offer("org/m", "huggingface", (weights("Q8_0"), weights("Q4_K_M"))),
        Offer("org/one", "huggingface", (weights("Q6_K"),)),
        Offer("ollama:strange", "ollama", (weights(""),)),
        Offer("org/broken", "lmstudio", (weights("Q3_K_M"),)),
        Offer("nothing", "llama.cpp", (), notes=("It is not complete.",)),
    ]
    rows = from_disk(offers, plan_of, patience=60)
    assert [(row.name, row.quant, row.note) for row in rows] == [
        ("org/m:Q8_0", "Q8_0", "huggingface"),
        ("org/one", "Q6_K", "huggingface"),
        ("org/m:Q4_K_M", "Q4_K_M", "huggingface"),
        ("ollama:strange", "Q4_0", "ollama"),
        ("org/broken", "Q3_K_M", "It is cut."),
    ]
    assert [row.verdict is Verdict.NO for row in rows] == [False, False, False, False, True]
    assert all(row.is_here and row.bytes for row in rows)
    assert all((row.decode_tps is None) == (row.verdict is Verdict.NO) for row in rows)


def test_copies_of_a_catalog_entry_are_one() -> None:
    repos = ("unsloth/Qwen3-8B-GGUF", "ggml-org/Qwen3-8B-GGUF")
    offers = [
        Offer(repo, "huggingface", (weights(quant),)) for repo, quant in zip(repos, ("Q8_0", "Q4_0"), strict=True)
    ]
    assert [row.name for row in from_disk(offers, plan_of, patience=60)] == ["qwen3-8b:Q8_0", "qwen3-8b:Q4_0"]


def test_a_namesake_is_not_taken_for_the_catalogs_model() -> None:
    offer = Offer("somebody/Qwen3-8B-GGUF", "lmstudio", (weights("Q4_0"),))
    assert from_disk([offer], plan_of)[0].name == "somebody/Qwen3-8B-GGUF"


def test_without_patience_rows_come_without_a_plan() -> None:
    offer = Offer("org/m", "huggingface", (weights("Q8_0"), weights("")))
    rows = from_disk([offer], plan_of, patience=0)
    assert [(row.name, row.quant, row.verdict) for row in rows] == [
        ("org/m:Q8_0", "Q8_0", None),
        ("org/m:m-.gguf", None, None),
    ]


@pytest.mark.parametrize("there", [HERE, machine(a100()), machine(ram=32)])
def test_the_catalog_comes_largest_first_without_what_is_here(there: Machine) -> None:
    rows = from_catalog(there, {"qwen3-8b:Q8_0", "org/m"})
    sizes = [row.bytes or 0 for row in rows]
    assert rows and sizes == sorted(sizes, reverse=True)
    assert "qwen3-8b" not in {row.name for row in rows}
    assert not any(row.is_here for row in rows)


def test_a_catalog_entry_with_known_headers_is_planned() -> None:
    def planned(entry: Entry) -> Plan | None:
        return plan_of(Offer(entry.name, "hub", (weights("Q4_K_M"),))) if entry.name == "qwen3-8b" else None

    rows = {row.name: row for row in from_catalog(HERE, (), planned)}
    assert rows["qwen3-8b"].quant == "Q4_K_M" and rows["qwen3-8b"].verdict is Verdict.GPU
    assert all(row.quant is None for name, row in rows.items() if name != "qwen3-8b")
    assert from_catalog(HERE, (), planned, patience=0) == from_catalog(HERE, ())
