"""Host memory for states that caches can go back to is planned, bounded and in the ledger."""

import pytest

from models.headers.pooling import Pooling
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from runner.cost.kv import caches_of
from runner.hardware.described_group import parse_hardware
from runner.planning.placement import Placed, place
from runner.types.units import GIB, MIB
from runner.types.vectors import Purpose
from runner.types.wish import Wish
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.geometry import Geometry
from scripts.synthetic.headers import entries, header_bytes, metadata
from scripts.synthetic.random_weights import GEOMETRIES

LARGE = "cpu,ram=256g"


def shape(geometry: Geometry) -> ModelShape:
    return shape_of([parse(header_bytes(metadata(geometry, "Q4_K_M", "none"), entries(geometry, "Q4_K_M")))])


def placed(model: ModelShape, hardware: str, wish: Wish) -> Placed:
    found = place(model, parse_hardware(hardware), wish)
    assert found.placement is not None
    return found


def planned(model: ModelShape, hardware: str = LARGE, sequences: int = 1) -> int:
    placement = placed(model, hardware, Wish(ctx=4096, sequences=sequences)).placement
    assert placement is not None
    return placement.checkpoints


@pytest.mark.parametrize("name", ["tiny-window", "tiny-hybrid"])
def test_eight_states_of_each_sequence_have_room(name: str) -> None:
    model = shape(GEOMETRIES[name])
    one = caches_of(model).checkpoint("f16", 4096)
    for sequences in (1, 4):
        assert 8 * sequences * one < planned(model, sequences=sequences) < 8 * sequences * (1.07 * one + 8192)


def test_of_large_states_there_are_four_but_never_a_sixteenth_of_the_ram() -> None:
    model = shape(MODELS["gemma-3-27b"])
    one = caches_of(model).checkpoint("f16", 4096)
    assert 512 * MIB < 4 * one < planned(model) < 4.3 * one
    assert planned(model, "rtx-3090,ram=16g") <= 1 * GIB
    assert planned(model, "cpu,ram=256g", sequences=8) == planned(model)


@pytest.mark.parametrize("name", ["tiny-dense", "tiny-moe"])
def test_a_cache_that_can_be_rolled_back_needs_none(name: str) -> None:
    assert planned(shape(GEOMETRIES[name])) == 0


def test_a_model_that_makes_vectors_has_no_conversations() -> None:
    vectors = Wish(use=Purpose.EMBED, pooling=Pooling.LAST)
    placement = placed(shape(GEOMETRIES["tiny-window"]), LARGE, vectors).placement
    assert placement is not None and placement.checkpoints == 0


def test_the_ledger_has_them_on_the_host() -> None:
    model = shape(GEOMETRIES["tiny-window"])
    found = placed(model, LARGE, Wish(ctx=4096))
    assert found.placement is not None
    outputs = 4 * model.vocabulary * found.placement.outputs
    assert found.memory[-1].overhead == outputs + found.placement.checkpoints
