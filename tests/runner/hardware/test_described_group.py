"""Groups of computers that are not here."""

import pytest

from models.errors import UsageError
from runner.hardware.described_group import parse_hardware
from runner.types.machine import Kind, Road
from runner.types.units import GIB


def test_the_first_is_where_one_types_and_the_others_lend() -> None:
    found = parse_hardware("2xrtx-3090,ram=64g + rtx-4090,ram=32g @10gbit,0.2ms")
    assert [one.id for one in found.devices] == ["CUDA0", "CUDA1", "RPC0"]
    assert (found.ram_total, found.source) == (64 * GIB, "named")
    far = found.devices[2]
    assert far.kind is Kind.RPC and "4090" in far.name and far.lent is not None
    assert (far.lent.id, far.lent.called, far.lent.cores, far.lent.road) == (
        "CUDA0",
        "computer 2",
        None,
        Road(0.2e-3, 1.175e9),
    )
    assert not far.has_host_buffer and found.devices[0].lent is None


def test_a_road_holds_for_those_before_it() -> None:
    found = parse_hardware(
        "cpu,ram=8g + m2-ultra,ram=192g + cpu,ram=64g@80gbps @ 2.5 gbit + gpu=8g@100gbps @100Mbit,900us"
    )
    roads = [one.lent and one.lent.road for one in found.devices]
    assert roads == [Road(0.2e-3, 2.5e9 * 0.1175)] * 2 + [Road(0.9e-3, 100e6 * 0.1175)]
    metal, processor, card = found.devices
    assert metal.lent is not None and metal.lent.id == "MTL0" and not metal.shares_host_memory
    assert processor.lent is not None and processor.lent.cores == 8
    assert processor.bandwidth == 80e9 and processor.free < 64 * GIB
    assert card.id == "RPC2"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2xrtx-3090,ram=64g+rtx-4090,ram=32g@10gbit,0.2ms", 3),
        ("rtx-3090+ rtx-4090 @10gbit", 2),
        ("rtx-3090+rtx-4090 + rtx-4090@10gbit", 3),
    ],
)
def test_spaces_around_the_plus_may_be_missing(text: str, count: int) -> None:
    found = parse_hardware(text)
    assert [one.lent is None for one in found.devices] == [True] * (count - 1) + [False]


@pytest.mark.parametrize("text", ["rtx-3090 + rtx-4090", "2xrtx-3090+rtx-4090,ram=64g", "rtx-4090 , ram=64g@60gbps"])
def test_without_a_road_it_is_one_computer(text: str) -> None:
    assert {one.lent for one in parse_hardware(text).devices} == {None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rtx-4090 @10gbit", "nobody at its other end"),
        ("rtx-4090 @10gbit + rtx-3090 @1gbit", "nobody at its other end"),
        ("cpu + cpu @1gbit + cpu", "Nothing says how the last computer is reached"),
        ("cpu + cpu @0gbit", "nothing goes over"),
        ("rtx-4090 + rtx-3090 @fast", "'@fast' is neither a road, like"),
        ("rtx-4090 + rtx-3090 @10gbit,xms", "'@10gbit,xms' is neither a road, like"),
        ("rtx-4090 + gpu=8g@100gbps @10gbit,-1ms", "'@10gbit,-1ms' is neither a road, like"),
        ("rtx-4090 + rtx-3090 @", "'@' is neither a road, like"),
        ("cpu + nothing @1gbit", "No GPU named 'nothing'"),
        ("8xrtx-4090 + 9xrtx-4090 @1gbit", "more than the 16 devices"),
    ],
)
def test_what_is_no_group(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_hardware(text)
