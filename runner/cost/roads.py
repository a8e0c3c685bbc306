"""What it costs that parts of a model are on other machines: round trips, and bytes over the network. Pure.

As ggml-rpc.cpp (protocol 7) and ggml-backend.cpp do it; `tests/runner/cost/test_roads.py` has what a worker's relay
counted. All goes through the borrower, and what crosses are the tensors that a split of the graph reads from another
device (GGML_SCHED_DEBUG=1 prints them). With h a hidden state (4 bytes a value) and u experts used of E, for each token
of a ubatch

    there   h to a run of layers that begins, or comes behind another device
            2h to one behind a layer of the host; (u + 1)h + 4u where that has experts
            2h to parts of a layer, and 4E for what its router says
            h, or uh behind experts, home from parts that are elsewhere
            where layers are there a mask of 2 bytes for every token before, in steps of 256, and 20 bytes
    back    h from a run of layers, and from parts; in a ubatch of 32 and more twice that while the host has layers:
            the norm of the next layer is then computed there
            h to the parts of a layer that are elsewhere, and 4E to its experts
            4 bytes for each entry of the vocabulary from the output layer, once

and of parts of the last layer only for tokens whose logits are wanted. What goes there needs no answer and takes 314
bytes a tensor more; each tensor that comes back is asked for, one round trip, which takes 329.

The graph is 296 bytes for each tensor, some 35 of them a layer, 51 with experts. It is sent with each ubatch of a
prompt, and every 256 tokens while a text is written, unless a device is visited more than once: it remembers one graph,
so that each visit sends its own anew, with all since its run of layers began; and from experts that are apart tensors
lead back through all layers since the visit before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from runner.cost.blocks import Blocks
from runner.cost.visits import Visits, Way
from runner.types.machine import Device

_VALUE = 4
_MASK, _STEP = 2, 256
_SENT, _ASKED, _COMPUTED = 314, 329, 5  # bytes around what is sent of a tensor and what is asked for, and to compute
_INPUTS, _INPUT = 5, 20  # tensors that layers need, and bytes of a token in them
_GRAPH = 296  # bytes a tensor
_LAYER, _ROUTED, _PARTS = 35, 51, 10  # tensors of a layer, of one with experts, of parts of one
_PASSED = 47  # tensors of a layer that those lead back through
_LONG = 32  # tokens of a ubatch from which on norms are computed where their input is (llama-context.cpp)


@dataclass(frozen=True, slots=True)
class _Crossing:
    """What of a token crosses the network, one way: so many tensors, of so many bytes together."""

    tensors: int
    size: float


def decode_seconds(blocks: Blocks, found: tuple[Visits, ...], depth: int) -> float:
    """Of one token with `depth` before it."""
    return sum(
        _seconds(blocks, one, 1, depth) + _sent(one, graph_bytes(blocks, one)) / (1 if one.times > 1 else _STEP)
        for one in found
    )


def prefill_seconds(blocks: Blocks, found: tuple[Visits, ...], batch: float, depth: int) -> float:
    """Of one ubatch of a prompt."""
    return sum(_seconds(blocks, one, batch, depth) + _sent(one, graph_bytes(blocks, one)) for one in found)


def load_seconds(device: Device, weights: int) -> float | None:
    """Until so many bytes of weights are there; None where the road was not measured."""
    road = device.lent.road if device.lent else None
    return weights / road.bandwidth if road and road.bandwidth else None


def round_trip(one: Visits) -> float:
    """Seconds there and back; 0 where nobody measured."""
    lent = one.device.lent
    return lent.road.latency_s if lent and lent.road else 0.0


def round_trips(blocks: Blocks, one: Visits, batch: float = 1) -> int:
    """How often a ubatch waits for an answer: for each tensor that comes back."""
    return sum(count * _back(blocks, way, one, tokens).tensors for way, tokens, count in _each(one, batch))


def token_bytes(blocks: Blocks, one: Visits, batch: float = 1, depth: int = 0) -> float:
    """Over the network for one token, or for a ubatch of a prompt, both ways, without graphs."""
    total = _inputs(batch, depth) if one.at_home else 0.0
    for way, tokens, count in _each(one, batch):
        there, back = _there(blocks, way), _back(blocks, way, one, tokens)
        around = there.tensors * _SENT + back.tensors * _ASKED + _COMPUTED
        total += count * (tokens * (there.size + back.size) + around)
    return total + (_VALUE * blocks.shape.vocabulary - batch * _hidden(blocks) if one.logits else 0)


def _each(one: Visits, batch: float) -> Iterator[tuple[Way, float, int]]:
    """With how many tokens the work comes on each way, and how often; of a prompt's logits one is wanted."""
    for way, count in one.ways.items():
        yield way, batch, count - 1 if way is one.ends_apart else count
    if one.ends_apart is not None:
        yield one.ends_apart, 1, 1


def graph_bytes(blocks: Blocks, one: Visits) -> int:
    """Of all that is to be computed there for a token."""
    routed = blocks.shape.experts > 0
    at_home = (_ROUTED if routed else _LAYER) * one.walked
    apart = _PARTS * one.ways[Way.TO_PARTS] + (_PASSED * one.reached if routed else 0)
    return _GRAPH * (at_home + apart)


def _there(blocks: Blocks, way: Way) -> _Crossing:
    hidden, used = _hidden(blocks), blocks.shape.experts_used
    match way:
        case Way.FROM_HOST:
            return _Crossing(3, (used + 1) * hidden + _VALUE * used) if used else _Crossing(2, 2 * hidden)
        case Way.TO_PARTS:
            return _Crossing(3 if used else 2, 2 * hidden + _VALUE * blocks.shape.experts)
        case Way.HOME:
            return _Crossing(1, max(1, used) * hidden)
        case Way.AHEAD:
            return _Crossing(1, hidden)


def _back(blocks: Blocks, way: Way, one: Visits, tokens: float) -> _Crossing:
    """What leaves with such a visit: with one home, what had gone to the parts before."""
    hidden, used = _hidden(blocks), blocks.shape.experts_used
    if way is Way.HOME:
        return _Crossing(2 if used else 1, hidden + _VALUE * (blocks.shape.experts if tokens > 1 else used))
    is_normed = tokens >= _LONG and one.has_host and not (one.logits and way is not Way.TO_PARTS)
    return _Crossing(2, 2 * hidden) if is_normed else _Crossing(1, hidden)


def _inputs(batch: float, depth: int) -> float:
    return batch * (_INPUT + _MASK * _STEP * ceil((depth + batch) / _STEP)) + _SENT * _INPUTS


def _hidden(blocks: Blocks) -> int:
    return _VALUE * blocks.shape.embedding


def _seconds(blocks: Blocks, one: Visits, batch: float, depth: int) -> float:
    waited = round_trips(blocks, one, batch) * round_trip(one)
    return waited + _sent(one, token_bytes(blocks, one, batch, depth))


def _sent(one: Visits, size: float) -> float:
    lent = one.device.lent
    return size / lent.road.bandwidth if lent and lent.road and lent.road.bandwidth else 0.0
