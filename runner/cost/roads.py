"""What it costs that parts of a model are on other machines: round trips, and bytes over the network. Pure.

As ggml-rpc.cpp (protocol 7) does it, counted by a worker's relay (docs/several-machines.md). All goes through the
borrower. Whenever the work leaves another machine's device, its result is asked for, one round trip; what goes there
needs no answer. So one token takes

    round trips      one for each run of layers there, one more for a layer taken apart whose parts are there
    bytes there      its hidden state (4 bytes a value), a mask of 2 bytes for every token before, 2.3 KB of inputs
    bytes back       its hidden state; 4 bytes for each entry of the vocabulary where the output layer is there

and each ubatch of a prompt the same with as many hidden states and masks as it has tokens, and once the graph: 296
bytes for each tensor, some 47 of them a layer. While a text is written the graph is sent every 256 tokens only.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from runner.cost.blocks import Blocks
from runner.cost.layout import HOST, Layout
from runner.types.machine import Device

_VALUE = 4
_MASK = 2
_INPUTS = 2300
_GRAPH = 296 * 47  # bytes a layer
_GRAPH_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Visits:
    """How often a token's work comes to another machine's device; `layers` are there, the output layer as `logits`."""

    device: Device
    times: int
    layers: int
    logits: bool


def visits(layout: Layout) -> tuple[Visits, ...]:
    """Of every such device."""
    far = [index for index, device in enumerate(layout.devices) if device.lent is not None]
    if not far:
        return ()
    stops = list(_stops(layout))
    runs = Counter(here for here, before in zip(stops, [HOST, *stops], strict=False) if here != before)
    apart = Counter(target for _layer, target in {(layer, to) for (layer, _stem), to in layout.moved.items()})
    return tuple(
        Visits(
            layout.devices[index],
            runs[index],
            layout.layers.count(index) + apart[index],
            logits=layout.layers[-1] == index,
        )
        for index in far
        if runs[index]
    )


def _stops(layout: Layout) -> Iterator[int]:
    """Where the work is, one after another: a layer's parts come after its attention, and its result goes home."""
    targets: dict[int, list[int]] = {}
    for (layer, _stem), target in layout.moved.items():
        targets.setdefault(layer, []).append(target)
    for layer, home in enumerate(layout.layers):
        yield home
        if layer in targets:
            yield from dict.fromkeys(targets[layer])
            yield home


def decode_seconds(blocks: Blocks, found: tuple[Visits, ...], depth: int) -> float:
    """Of one token with `depth` before it."""
    return sum(_seconds(blocks, one, 1, depth) + _graph(one) / _GRAPH_TOKENS for one in found)


def prefill_seconds(blocks: Blocks, found: tuple[Visits, ...], batch: float, depth: int) -> float:
    """Of one ubatch of a prompt."""
    return sum(_seconds(blocks, one, batch, depth) + _graph(one) for one in found)


def load_seconds(device: Device, weights: int) -> float | None:
    """Until so many bytes of weights are there; None where the road was not measured."""
    road = device.lent.road if device.lent else None
    return weights / road.bandwidth if road and road.bandwidth else None


def round_trip(one: Visits) -> float:
    """Seconds there and back; 0 where nobody measured."""
    lent = one.device.lent
    return lent.road.latency_s if lent and lent.road else 0.0


def token_bytes(blocks: Blocks, one: Visits, batch: float = 1, depth: int = 0) -> float:
    """Over the network for one token, or for a ubatch of a prompt, both ways."""
    hidden = _VALUE * blocks.shape.embedding * batch
    back = one.times * hidden + (_VALUE * blocks.shape.vocabulary - hidden if one.logits else 0)
    return one.times * hidden + back + _MASK * batch * (depth + batch) + _INPUTS


def _seconds(blocks: Blocks, one: Visits, batch: float, depth: int) -> float:
    return one.times * round_trip(one) + _sent(one, token_bytes(blocks, one, batch, depth))


def _graph(one: Visits) -> float:
    return _sent(one, _GRAPH * one.layers)


def _sent(one: Visits, size: float) -> float:
    lent = one.device.lent
    return size / lent.road.bandwidth if lent and lent.road and lent.road.bandwidth else 0.0
