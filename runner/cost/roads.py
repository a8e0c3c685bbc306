"""What it costs that parts of a model are on other machines: round trips, and bytes over the network. Pure.

As ggml-rpc.cpp (protocol 7) and ggml-backend.cpp do it, within 13 % of what a worker's relay counted for a token in
fourteen placements; for a prompt only while layers stay whole (docs/several-machines.md). All goes through the
borrower. Whenever the work leaves another machine's device, its result is asked for, one round trip; what goes there
needs no answer. So one token takes

    round trips      one for each run of layers there, one more for a layer taken apart whose parts are there
    bytes there      for each of them its hidden state (4 bytes a value); behind a layer of the host or for parts of a
                     layer what is to be added to it too, which behind routed experts is one state for each of them;
                     where layers are there a mask of 2 bytes for every token before, in steps of 256;
                     314 bytes around each tensor, 334 around each round trip
    bytes back       its hidden state; 4 bytes for each entry of the vocabulary where the output layer is there

and each ubatch of a prompt the same with as many hidden states and masks as it has tokens, and once the graph: 296
bytes for each tensor, some 47 of them a layer. While a text is written the graph is sent every 256 tokens, unless a
device is visited more than once: it remembers one graph, so that each visit sends its own anew, and what experts are
added to leads back through all layers since the visit before.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from runner.cost.blocks import Blocks
from runner.cost.layout import HOST, Layout
from runner.types.machine import Device

_VALUE = 4
_MASK, _STEP = 2, 256
_TENSOR = 314  # bytes around what is sent of one
_VISIT = 334  # to compute, and to ask for the result
_INPUTS, _INPUT = 5, 20  # tensors that layers need, and bytes of a token in them
_GRAPH = 296  # bytes a tensor
_GRAPH_TENSORS, _PART_TENSORS = 47, 10  # of a layer, and of parts of one


@dataclass(frozen=True, slots=True)
class Visits:
    """How often a token's work comes to another machine's device; `layers` are there, the output layer as `logits`.

    `from_host` and `parts` of the `times` it comes from a layer of the host, or for parts of a layer. `whole` of the
    `layers` are there but for parts; the last with anything there is the `last`th.
    """

    device: Device
    times: int
    layers: int
    logits: bool
    from_host: int = 0
    parts: int = 0
    whole: int = 0
    last: int = 0


def visits(layout: Layout) -> tuple[Visits, ...]:
    """Of every such device."""
    far = [index for index, device in enumerate(layout.devices) if device.lent is not None]
    if not far:
        return ()
    stops = list(_stops(layout))
    pairs = list(zip(stops, [(HOST, True), *stops], strict=False))
    runs = Counter(here for (here, _), (before, _) in pairs if here != before)
    from_host = Counter(here for (here, _), (before, _) in pairs[1:] if before == HOST)
    parts = Counter(here for (here, is_home), (before, _) in pairs if here != before and not is_home)
    apart = Counter(target for _layer, target in {(layer, to) for (layer, _stem), to in layout.moved.items()})
    return tuple(
        Visits(
            layout.devices[index],
            runs[index],
            layout.layers.count(index) + apart[index],
            logits=layout.layers[-1] == index,
            from_host=max(0, from_host[index] - parts[index]),
            parts=parts[index],
            whole=layout.layers.count(index),
            last=_last(layout, index),
        )
        for index in far
        if runs[index]
    )


def _last(layout: Layout, index: int) -> int:
    """The number of layers up to the last that has something on a device."""
    homes = {layer for layer, home in enumerate(layout.layers) if home == index}
    return 1 + max(homes | {layer for (layer, _stem), target in layout.moved.items() if target == index})


def _stops(layout: Layout) -> Iterator[tuple[int, bool]]:
    """Where the work is, one after another, and whether a layer is at home there.

    A layer's parts come after its attention, and its result goes home.
    """
    targets: dict[int, list[int]] = {}
    for (layer, _stem), target in layout.moved.items():
        targets.setdefault(layer, []).append(target)
    for layer, home in enumerate(layout.layers):
        yield home, True
        if layer in targets:
            yield from ((target, target == home) for target in dict.fromkeys(targets[layer]))
            yield home, True


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


def token_bytes(blocks: Blocks, one: Visits, batch: float = 1, depth: int = 0) -> float:
    """Over the network for one token, or for a ubatch of a prompt, both ways, without graphs."""
    hidden = _VALUE * blocks.shape.embedding * batch
    added = max(1, blocks.shape.experts_used)
    there = one.times + one.parts + added * one.from_host
    tensors = one.times + one.parts + one.from_host * (2 if added > 1 else 1)
    inputs = batch * (_INPUT + _MASK * _STEP * ceil((depth + batch) / _STEP)) + _TENSOR * _INPUTS if one.whole else 0
    back = one.times * hidden + (_VALUE * blocks.shape.vocabulary - hidden if one.logits else 0)
    return there * hidden + tensors * _TENSOR + one.times * _VISIT + inputs + back


def graph_bytes(blocks: Blocks, one: Visits) -> int:
    """Of all that is to be computed there for a token."""
    parts = _PART_TENSORS * (one.layers - one.whole + one.parts) // 2
    reached = one.last if one.times > 1 and blocks.shape.experts else one.whole
    return _GRAPH * (_GRAPH_TENSORS * reached + parts)


def _seconds(blocks: Blocks, one: Visits, batch: float, depth: int) -> float:
    return one.times * round_trip(one) + _sent(one, token_bytes(blocks, one, batch, depth))


def _sent(one: Visits, size: float) -> float:
    lent = one.device.lent
    return size / lent.road.bandwidth if lent and lent.road and lent.road.bandwidth else 0.0
