"""Records of measured speeds: a model's geometry goes through one and comes out the same; what is none is refused."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from models.errors import BadFile
from models.headers.reader import parse
from models.headers.shape import shape_of
from runner.cost.laid_out import laid_out
from runner.report.contract import Json
from runner.report.record import FORMAT, anonymous_machine, geometry_json, text_of
from runner.types.codec import pack
from runner.types.placement import Override, Placement
from scripts.checks import record
from scripts.checks.speed_rows import recorded
from scripts.synthetic.random_weights import GEOMETRIES, header
from tests.support.planner import gpu, machine

MODELS = ["llama-3.1-8b", "gemma-3-27b", "deepseek-v2-lite", "gpt-oss-20b", "granite-4.0-h-tiny", "glm-4.5-air"]


def said(model: str, placement: Placement) -> Json:
    """A record of one row without requests."""
    found = parse(header(GEOMETRIES[model], "Q4_K_M"))
    return {
        "format": FORMAT,
        "machine": anonymous_machine(machine(gpu(24))),
        "models": {"it": geometry_json([found], shape_of([found]))},
        "rows": [{"model": "it", "placement": pack(placement), "requests": []}],
    }


@pytest.mark.parametrize("model", MODELS)
def test_a_model_comes_out_of_a_record_as_it_went_in(model: str) -> None:
    whole = shape_of([parse(header(GEOMETRIES[model], "Q4_K_M"))])
    total = whole.layers + 1
    placement = Placement(("CUDA0",), total, total, (total,), 4096, overrides=(Override(r"^blk\.1\.ffn_up", "CPU"),))
    found = json.loads(json.dumps(said(model, placement)))
    there = record.placed_row(found, found["rows"][0])
    direct = laid_out(whole, machine(gpu(24)), placement)
    assert asdict(replace(there.blocks.shape, name="", tensors=())) == asdict(replace(whole, name="", tensors=()))
    assert sorted(map(str, there.blocks.shape.tensors)) == sorted(map(str, whole.tensors))
    assert there.ledger() == direct.ledger()
    assert there.speeds().prefill_tps(4096) == pytest.approx(direct.speeds().prefill_tps(4096))
    assert there.speeds().decode_tps(4096) == pytest.approx(direct.speeds().decode_tps(4096))


def test_a_record_holds_numbers_and_no_words_of_a_model() -> None:
    text = json.dumps(said("llama-3.1-8b", Placement((), 0, 33, (), 4096)))
    assert "Instruct" not in text and "<word" not in text
    assert len(text) < 4000


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}'])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadFile):
        recorded(path)


def test_a_row_of_a_model_or_device_that_is_not_in_it_is_refused(tmp_path: Path) -> None:
    without: tuple[Json, ...] = ({"models": {}}, {"machine": anonymous_machine(machine())})
    for broken in without:
        path = tmp_path / f"{next(iter(broken))}.json"
        path.write_text(text_of(said("llama-3.1-8b", Placement(("CUDA0",), 33, 33, (33,), 4096)) | broken))
        with pytest.raises(BadFile, match="A row cannot be understood"):
            recorded(path)
