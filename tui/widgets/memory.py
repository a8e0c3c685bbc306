"""One stacked bar per device, with its numbers and words."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from textual.content import Content

from runner.report.words import NOT_KNOWN, degrees, gib_cell, hardware, network, one_line, percent, watts
from tui.theme import PART_MARKS
from tui.view.meters import Meter, Use
from tui.widgets.drawing import Drawing, flow, shares, spread, styled

_ROOMY = 2


class MemoryBars(Drawing):
    """Weights, KV used of reserved, compute, what guesses beside, others and what is free, device by device."""

    meters: Sequence[Meter] = ()
    counts: Mapping[str, int] = MappingProxyType({})

    def show(self, meters: Sequence[Meter], layers: Mapping[str, int]) -> None:
        """Draw these; `layers` counts the layers on each device."""
        if (meters, layers) != (self.meters, self.counts):
            self.meters, self.counts = meters, layers
            self.changed()

    def lines(self, width: int) -> list[Content]:
        """Head, bar and words of every device; many devices do without a line between them."""
        if not self.meters:
            return [styled(("no measurement yet", "$quiet"))]
        between = [Content("")] if len(self.meters) <= _ROOMY else []
        drawn = [self._device(meter, width) for meter in self.meters]
        return [line for block in drawn for line in (*block, *between)][: -len(between) or None]

    def _device(self, meter: Meter, width: int) -> list[Content]:
        total = sum(self.counts.values())
        layers = f"  {self.counts.get(meter.device, 0)}/{total} layers" if total else ""
        used = styled((gib_cell(meter.used), "bold"), f" of {gib_cell(meter.total)} GiB")
        whose = f"{one_line(meter.lent.called)}: " if meter.lent else ""
        name = styled((meter.device, "bold"), layers, (f"  {whose}{hardware(meter.name)}", "$quiet"))
        return [spread(name, used, width), bar(meter, width), *flow(_words(meter), width)]


def bar(meter: Meter, width: int) -> Content:
    """The stacked bar alone."""
    parts = list(Use)
    cells = shares([meter.parts[part] for part in parts], width)
    marks = [PART_MARKS[part] for part in parts]
    return styled(*((mark * count, style) for (mark, style), count in zip(marks, cells, strict=True) if count))


def _words(meter: Meter) -> list[Content]:
    """The numbers, each beside the mark it has in the bar; then what the driver says."""
    used, kv = meter.parts[Use.KV_USED], gib_cell(meter.kv)
    beside = meter.parts[Use.COMPANION]
    other = gib_cell(meter.parts[Use.OTHER]) if meter.other_known else NOT_KNOWN
    words = [
        _word(Use.WEIGHTS, f"weights {gib_cell(meter.parts[Use.WEIGHTS])}"),
        _word(Use.KV_USED, f"KV {gib_cell(used)} of {kv}") if used else _word(Use.KV_FREE, f"KV {kv}"),
        _word(Use.COMPUTE, f"compute {gib_cell(meter.parts[Use.COMPUTE])}"),
        *([_word(Use.COMPANION, f"companion {gib_cell(beside)}")] if beside else []),
        _word(Use.OTHER, f"other {other}"),
        _word(Use.FREE, f"free {gib_cell(meter.parts[Use.FREE])}"),
    ]
    if meter.lent:
        traffic = meter.sample.traffic if meter.sample else None
        words.append(styled(("network ", "$quiet"), network(meter.lent.road, traffic)))
        return words
    if sample := meter.sample:
        busy = [percent(sample.utilisation)]
        if sample.device != "CPU":
            busy += [degrees(sample.temperature), watts(sample.power)]
        known = [word for word in busy if word != NOT_KNOWN]
        words.append(styled(("busy ", "$quiet"), " ".join(known) if known else NOT_KNOWN))
    return words


def _word(part: Use, word: str) -> Content:
    mark, style = PART_MARKS[part]
    return styled((mark, style), " ", word)
