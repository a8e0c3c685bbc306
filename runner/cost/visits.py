"""Where a token's work goes from device to device: how often it comes to another machine's, and to what. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from runner.cost.layout import HOST, Layout
from runner.types.machine import Device


class Way(Enum):
    """How the work comes to a device."""

    AHEAD = "to a run of layers that begins, or comes behind another device"
    FROM_HOST = "to a run of layers behind one of the host"
    TO_PARTS = "to parts of a layer whose home is elsewhere"
    HOME = "from parts that are elsewhere, home to their layer"


_APART = (Way.TO_PARTS, Way.HOME)


@dataclass(frozen=True, slots=True)
class Visits:
    """How often a token's work comes to another machine's device, and on which way each time.

    `layers` are there, or parts of them, some `at_home`, the output layer as `logits`. `walked`: layers but for that
    one from the beginning of a run of them to where the work leaves, summed over visits; `reached`: from the model's
    first layer to the last one with parts there. `ends_apart`: on which way the work comes in the model's last layer,
    where its parts are apart. `has_host`: the host has layers, too.
    """

    device: Device
    ways: Counter[Way]
    layers: int
    at_home: bool
    logits: bool
    walked: int
    reached: int
    ends_apart: Way | None
    has_host: bool

    @property
    def times(self) -> int:
        """All of them."""
        return self.ways.total()


@dataclass(frozen=True, slots=True)
class _Stop:
    """A layer at its home, or parts of it where they are."""

    device: int
    layer: int
    is_home: bool


@dataclass(frozen=True, slots=True)
class _Visit:
    """The work comes to a layer, and leaves behind another; `since`: where the run of layers began."""

    way: Way
    layer: int
    since: int
    until: int


def visits(layout: Layout) -> tuple[Visits, ...]:
    """Of every such device that the work comes to."""
    if not any(device.lent is not None for device in layout.devices):
        return ()
    came: dict[int, list[_Visit]] = {index: [] for index in range(len(layout.devices))}
    before = None
    for index, stops in groupby(_stops(layout), lambda stop: stop.device):
        first, *others = stops
        way, last = _way(first, before), others[-1] if others else first
        if index != HOST:
            since = came[index][-1].since if way is Way.HOME else first.layer
            came[index].append(_Visit(way, first.layer, since, last.layer))
        before = last
    lent = [index for index, device in enumerate(layout.devices) if device.lent is not None]
    return tuple(_visits(layout, index, came[index]) for index in lent if came[index])


def _visits(layout: Layout, index: int, found: Sequence[_Visit]) -> Visits:
    apart = {layer for (layer, _stem), target in layout.moved.items() if target == index}
    model_last = len(layout.layers) - 2  # before the output layer
    at_home = layout.layers.count(index)
    return Visits(
        layout.devices[index],
        Counter(one.way for one in found),
        layers=at_home + len(apart),
        at_home=at_home > 0,
        logits=layout.layers[-1] == index,
        walked=sum(min(one.until, model_last) - one.since + 1 for one in found if one.way is not Way.TO_PARTS),
        reached=max((one.layer + 1 for one in found if one.way is Way.TO_PARTS), default=0),
        ends_apart=next((one.way for one in found if one.layer == model_last and one.way in _APART), None),
        has_host=HOST in layout.layers,
    )


def _way(here: _Stop, before: _Stop | None) -> Way:
    if not here.is_home:
        return Way.TO_PARTS
    if before is not None and before.layer == here.layer:
        return Way.HOME
    return Way.FROM_HOST if before is not None and before.device == HOST else Way.AHEAD


def _stops(layout: Layout) -> Iterator[_Stop]:
    """Where the work is, one after another. A layer's parts come after its attention, and its result goes home."""
    targets: dict[int, list[int]] = {}
    for (layer, _stem), target in layout.moved.items():
        targets.setdefault(layer, []).append(target)
    for layer, home in enumerate(layout.layers):
        yield _Stop(home, layer, is_home=True)
        if layer in targets:
            yield from (_Stop(target, layer, target == home) for target in dict.fromkeys(targets[layer]))
            yield _Stop(home, layer, is_home=True)
