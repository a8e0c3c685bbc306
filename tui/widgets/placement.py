"""The placement map: a cell per layer, marked and coloured by the device that holds it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from textual.content import Content

from runner.types.placement import Placement, SplitMode
from tui.theme import PARTLY, device_mark
from tui.view.layers import CPU, Layer, layers
from tui.widgets.drawing import Drawing, flow, styled

_LABEL = 9


def layers_per_device(placement: Placement) -> Mapping[str, int]:
    """How many layers each device computes, by its attention; the CPU is always named."""
    if placement.split_mode is SplitMode.TENSOR:
        return {CPU: 0} | dict.fromkeys(placement.devices, placement.layers_total)
    counts = Counter(layer.device for layer in layers(placement, experts=False))
    return {CPU: 0} | dict(counts)


class PlacementMap(Drawing):
    """Two rows of cells: attention and KV above, FFN or routed experts below; front to back."""

    placement: Placement | None = None
    experts = False

    def show(self, placement: Placement | None, *, experts: bool) -> None:
        """Draw this placement; `experts`: the model routes to experts."""
        if (placement, experts) != (self.placement, self.experts):
            self.placement, self.experts = placement, experts
            self.changed()

    def lines(self, width: int) -> Sequence[Content]:
        """The rows, as often as the layers need the width, and a legend."""
        if self.placement is None:
            return [styled(("does not run here", "$quiet"))]
        every = layers(self.placement, experts=self.experts)
        room = max(1, width - _LABEL)
        rows: list[Content] = []
        for start in range(0, len(every), room):
            rows += self._rows(every[start : start + room], first=start == 0)
        return [*rows, *flow(self._legend(every), width)]

    def _rows(self, part: Sequence[Layer], *, first: bool) -> list[Content]:
        names = ("attn+KV", "experts" if self.experts else "FFN") if first else ("", "")
        attention = [self._mark(layer.device) for layer in part]
        ffn = [(PARTLY if layer.partly else self._mark(layer.ffn)[0], self._mark(layer.ffn)[1]) for layer in part]
        return [
            styled((f"{name:<{_LABEL}}", "$quiet"), *cells) for name, cells in zip(names, (attention, ffn), strict=True)
        ]

    def _mark(self, device: str) -> tuple[str, str]:
        return device_mark(device, self.placement.devices if self.placement else ())

    def _legend(self, every: Sequence[Layer]) -> list[Content]:
        names = dict.fromkeys([layer.device for layer in every] + [layer.ffn for layer in every])
        legend = [styled(self._mark(name), " ", (name, "$quiet")) for name in names]
        return legend + ([styled(PARTLY, (" partly", "$quiet"))] if any(layer.partly for layer in every) else [])
