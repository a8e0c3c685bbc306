"""What the network costs: round trips and bytes, by where the work goes."""

from dataclasses import replace

import pytest

from runner.cost.blocks import blocks_of
from runner.cost.layout import HOST, Layout
from runner.cost.roads import decode_seconds, load_seconds, prefill_seconds, token_bytes, visits
from runner.types.machine import Device, Kind, Lent, Road
from tests.support.planner import gpu, shape

SMOL = blocks_of(shape("llama-3.3-70b"))
TOTAL = len(SMOL.layers)


def far(number: int, latency: float = 1e-3, bandwidth: float | None = None) -> Device:
    lent = Lent(f"computer {number}", "CUDA0", road=Road(latency, bandwidth))
    return replace(gpu(24), id=f"RPC{number}", kind=Kind.RPC, lent=lent)


HERE, A, B = gpu(24), far(0), far(1)


def laid_out(*runs: tuple[int, int]) -> tuple[int, ...]:
    return tuple(index for index, count in runs for _ in range(count))


@pytest.mark.parametrize(
    ("devices", "layers", "moved", "times"),
    [
        ((HERE,), laid_out((0, TOTAL)), {}, ()),
        ((A,), laid_out((0, TOTAL)), {}, (1,)),
        ((HERE, A), laid_out((0, 40), (1, TOTAL - 40)), {}, (1,)),
        ((A, B), laid_out((HOST, 10), (0, 30), (1, TOTAL - 40)), {}, (1, 1)),
        ((A, HERE), laid_out((0, 40), (1, TOTAL - 40)), {(3, "ffn"): HOST, (4, "ffn"): HOST}, (3,)),
        ((HERE, A), laid_out((0, TOTAL)), {(layer, "ffn_up"): 1 for layer in range(20)}, (20,)),
        ((HERE, A), laid_out((0, TOTAL)), {(3, "ffn_up"): 1, (3, "ffn_down"): 1}, (1,)),
        ((A, HERE), laid_out((0, 1), (1, 1), (0, 1), (1, TOTAL - 3)), {}, (2,)),
    ],
)
def test_work_that_leaves_another_machine_waits_for_a_round_trip(
    devices: tuple[Device, ...], layers: tuple[int, ...], moved: dict[tuple[int, str], int], times: tuple[int, ...]
) -> None:
    found = visits(Layout(devices, layers, moved))
    assert tuple(one.times for one in found) == times
    assert decode_seconds(SMOL, found, 0) == pytest.approx(1e-3 * sum(times))


def test_bytes_of_a_token_are_those_that_a_relay_counted() -> None:
    """A worker's own count for SmolLM2 with all its layers there: 4.6 KB came for each token, 196,624 bytes went."""
    smol = shape("llama-3.3-70b")
    blocks = blocks_of(replace(smol, embedding=576, vocabulary=49152))
    (one,) = visits(Layout((A,), (0,) * TOTAL))
    assert token_bytes(blocks, one) == pytest.approx(196_624 + 4_600, rel=0.01)


def test_a_prompt_pays_by_its_tokens_and_a_load_by_its_weights() -> None:
    slow = far(0, 0.0, 1e8)
    found = visits(Layout((HERE, slow), laid_out((0, 40), (1, TOTAL - 40))))
    short, long = (prefill_seconds(SMOL, found, batch, 0) for batch in (128, 512))
    assert 3 < long / short < 5
    assert long > 512 * 4 * SMOL.shape.embedding / 1e8
    assert prefill_seconds(SMOL, found, 512, 8192) - long == pytest.approx(2 * 512 * 8192 / 1e8)
    assert load_seconds(slow, 10**9) == 10.0
    assert load_seconds(A, 10**9) is None and load_seconds(HERE, 10**9) is None
