"""Placements by hand: as much on the device as its limit allows, by whole layers or by the parts that may move."""

from dataclasses import replace

import pytest

from models.errors import DoesNotFit
from models.headers.shape import ModelShape
from runner.cost.laid_out import laid_out
from runner.cost.ledger import reserve
from runner.planning.placement import place
from runner.types.placement import Placement
from runner.types.units import GIB
from runner.types.wish import Wish
from scripts.checks.acceptance.variants import Subject, Variant, parse_variant, placement_of
from scripts.synthetic.headers import shape
from tests.support.planner import gpu, machine

WISH = Wish(ctx=16384, kv_type="f16", vram_limit=10 * GIB)
MACHINE = machine(gpu(80), ram=126)


def subject(whole: ModelShape, wish: Wish = WISH) -> Subject:
    ours = place(whole, MACHINE, wish).placement
    assert ours is not None
    return Subject(whole, MACHINE, wish, ours)


def by_hand(text: str, there: Subject) -> Placement:
    return placement_of(parse_variant(text), there, lambda plain: replace(plain, load_mode="mmap"))


def used(there: Subject, placement: Placement) -> int:
    return laid_out(there.shape, there.machine, placement).ledger()[0].held + reserve(there.device, None)


@pytest.mark.parametrize("model", ["mistral-small-24b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("head", ["layers", "front", "back"])
@pytest.mark.parametrize("ubatch", [512, 2048])
def test_the_device_is_filled_to_its_limit(model: str, head: str, ubatch: int) -> None:
    there = subject(shape(model))
    placement = by_hand(f"{head},ubatch={ubatch},pinned", there)
    assert (placement.ubatch, placement.load_mode, placement.ctx) == (ubatch, "none", 16384)
    largest = max(block.bytes for block in laid_out(there.shape, MACHINE, placement).blocks.layers)
    assert 10 * GIB - largest < used(there, placement) <= 10 * GIB


def test_front_and_back_take_the_parts_of_the_first_and_of_the_last_layers() -> None:
    there = subject(shape("mistral-small-24b"))
    moved = {}
    for head in ("front", "back"):
        placement = by_hand(head, there)
        assert (placement.gpu_layers, placement.experts_on_cpu) == (41, 0)
        moved[head] = {layer for layer, _ in laid_out(there.shape, MACHINE, placement).layout.moved}
        assert len(moved[head]) == placement.ffn_on_cpu
    assert min(moved["front"]) == 0 and max(moved["back"]) == 39
    assert max(moved["front"]) == len(moved["front"]) - 1


def test_plan_and_fit_are_taken_as_they_are_but_for_what_is_said() -> None:
    there = subject(shape("mistral-small-24b"))
    assert by_hand("plan", there) == there.ours
    assert by_hand("plan,ubatch=2048,mapped", there) == replace(there.ours, ubatch=2048, load_mode="mmap")
    assert by_hand("fit", there) == replace(there.ours, ubatch=512, load_mode="mmap")
    assert by_hand("fit,ubatch=1024,pinned", there) == replace(there.ours, ubatch=1024, load_mode="none")


def test_parts_alone_may_not_be_enough() -> None:
    there = subject(shape("mistral-small-24b"), replace(WISH, vram_limit=4 * GIB))
    with pytest.raises(DoesNotFit, match="No front placement fits"):
        by_hand("front", there)
    assert by_hand("layers", there).gpu_layers < 41


@pytest.mark.parametrize("text", ["plan", "fit,ubatch=2048", "front,ubatch=512,pinned", "layers,mapped"])
def test_a_variant_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_variant(text)) == text
    assert parse_variant("front,pinned,ubatch=512") == Variant("front", 512, "none")
