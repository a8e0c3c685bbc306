"""What the network costs: round trips and bytes, by where the work goes."""

from dataclasses import replace

import pytest

from models.headers.reader import parse
from models.headers.shape import shape_of
from runner.cost.blocks import Blocks, blocks_of
from runner.cost.layout import HOST, Layout
from runner.cost.roads import decode_seconds, graph_bytes, load_seconds, prefill_seconds, round_trips, token_bytes
from runner.cost.visits import visits
from runner.types.machine import Device, Kind, Lent, Road
from scripts.synthetic.geometry import Attention
from scripts.synthetic.headers import entries, header_bytes, metadata
from scripts.synthetic.random_weights import Size, geometry
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


def tiny(layers: int, experts: int) -> Blocks:
    size = Size(256, layers, 256 if experts else 768, 512, experts=experts)
    found = geometry("tiny", size, Attention(4, 2, 64))
    return blocks_of(shape_of([parse(header_bytes(metadata(found, "Q8_0", "none"), entries(found, "Q8_0")))]))


def partly_there(blocks: Blocks, there: int, parts: dict[int, int]) -> Layout:
    """The last so many layers, and parts of others, are at a worker."""
    moved = {(layer, stem): to for layer, to in parts.items() for stem in blocks.layers[0].movable}
    return Layout((A,), laid_out((HOST, len(blocks.layers) - there), (0, there)), moved)


@pytest.mark.parametrize(
    ("layers", "experts", "there", "parts", "counted"),
    [
        (4, 0, 3, {}, 7_172),
        (4, 0, 5, {}, 5_834),
        (4, 16, 3, {}, 8_518),
        (12, 64, 7, {}, 14_686),
        (4, 0, 0, {1: 0, 2: 0}, 14_100),
        (24, 0, 0, dict.fromkeys(range(24), 0), 169_504),
        (4, 16, 0, {2: 0, 3: 0}, 70_160),
        (12, 16, 0, {5: 0, 6: 0}, 111_592),
        (24, 16, 0, {22: 0, 23: 0}, 354_320),
        (24, 16, 0, dict.fromkeys(range(24), 0), 481_304),
        (12, 16, 7, dict.fromkeys((6, 7, 8), HOST), 206_505),
        (4, 16, 3, dict.fromkeys((2, 3), HOST), 94_992),
        (6, 16, 7, dict.fromkeys((3, 4), HOST), 242_364),
        (6, 0, 4, dict.fromkeys((3, 4), HOST), 74_012),
        (4, 16, 0, {1: 0}, 4_420),
        (24, 64, 0, dict.fromkeys(range(24), 0), 573_464),
    ],
)
def test_bytes_of_a_token_are_those_that_a_worker_counted(
    layers: int, experts: int, there: int, parts: dict[int, int], counted: int
) -> None:
    """Both ways, of random models with the first layers here, the last and some parts of others at one worker."""
    blocks = tiny(layers, experts)
    (one,) = visits(partly_there(blocks, there, parts))
    sent = token_bytes(blocks, one, depth=20) + (graph_bytes(blocks, one) if one.times > 1 else 0)
    assert sent == pytest.approx(counted, rel=0.11 if parts else 0.01)


@pytest.mark.parametrize(
    ("layers", "experts", "there", "parts", "token", "prompt", "counted"),
    [
        (4, 16, 3, {}, 1, 1, (522_397, 1_116_317)),
        (4, 0, 3, {}, 1, 1, (380_408, 842_232)),
        (4, 16, 0, {1: 0}, 1, 2, (568_917, 1_101_397)),
        (4, 16, 0, {2: 0, 3: 0}, 2, 3, (604_297, 1_136_777)),
        (6, 0, 0, {1: 0, 2: 0}, 2, 4, (1_065_990, 2_114_566)),
        (4, 16, 3, dict.fromkeys((2, 3), HOST), 5, 5, (958_736, 1_954_066)),
        (6, 16, 7, dict.fromkeys((3, 4), HOST), 5, 5, (1_244_348, 2_377_916)),
        (6, 0, 4, dict.fromkeys((3, 4), HOST), 3, 3, (928_540, 1_914_652)),
    ],
)
def test_what_a_prompt_sends_and_waits_for_is_what_a_worker_counted(
    layers: int, experts: int, there: int, parts: dict[int, int], token: int, prompt: int, counted: tuple[int, int]
) -> None:
    """Prompts of 129 and 257 tokens, each in one ubatch; answers that a token and a prompt waited for."""
    blocks = tiny(layers, experts)
    (one,) = visits(partly_there(blocks, there, parts))
    assert (round_trips(blocks, one), round_trips(blocks, one, 129)) == (token, prompt)
    found = [token_bytes(blocks, one, batch) + graph_bytes(blocks, one) for batch in (129, 257)]
    assert found == pytest.approx(list(counted), rel=0.06)


def test_a_prompt_pays_by_its_tokens_and_a_load_by_its_weights() -> None:
    slow = far(0, 0.0, 1e8)
    found = visits(Layout((HERE, slow), laid_out((0, 40), (1, TOTAL - 40))))
    short, long = (prefill_seconds(SMOL, found, batch, 0) for batch in (128, 512))
    assert 3 < long / short < 5
    assert long > 512 * 4 * SMOL.shape.embedding / 1e8
    assert prefill_seconds(SMOL, found, 512, 8192) - long == pytest.approx(2 * 512 * 8192 / 1e8)
    assert load_seconds(slow, 10**9) == 10.0
    assert load_seconds(A, 10**9) is None and load_seconds(HERE, 10**9) is None
