"""How fast it is, beside how fast it was promised to be."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from runner.types.plan import Predicted
from tui.view import text
from tui.widgets.drawing import Drawing, gauge, spread, styled

_ROWS = 4
_EIGHTHS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Speed:
    """Everything this panel draws. `history` are tokens per second, oldest first, one value per half second.

    Tokens per second and seconds; None until known. `context_used` of `context` tokens.
    """

    history: tuple[float, ...] = ()
    decode_tps: float | None = None
    prefill_tps: float | None = None
    ttft_s: float | None = None
    context_used: int = 0
    context: int = 0
    predicted: Predicted | None = None


class SpeedPanel(Drawing):
    """Decode now with its curve and the predicted value as a line in it; prefill, first token, context."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.speed = Speed()

    def show(self, speed: Speed) -> None:
        """Draw this."""
        if speed != self.speed:
            self.speed = speed
            self.changed()

    def lines(self, width: int) -> Sequence[Content]:
        """Nine lines."""
        speed, predicted = self.speed, self.speed.predicted
        fill = speed.context_used / max(1, speed.context)
        return [
            _against("decode", speed.decode_tps, predicted.decode_tps if predicted else None, width),
            *curve(speed.history, predicted.decode_tps if predicted else None, width, _ROWS),
            _against("prefill", speed.prefill_tps, predicted.prefill_tps if predicted else None, width),
            spread(
                styled(("first token ", "$quiet"), text.seconds(speed.ttft_s)),
                styled(("context ", "$quiet"), f"{speed.context_used:,} of {speed.context:,}"),
                width,
            ),
            gauge(fill, width, "$error" if fill > 0.9 else "$kv"),
        ]


def _against(name: str, measured: float | None, predicted: float | None, width: int) -> Content:
    """A measured speed, and how it compares with the promise."""
    now = styled((f"{name} ", "$quiet"), (text.rate(measured), "bold"), " tok/s" if measured is not None else "")
    if predicted is None:
        return now
    off = f" ({100 * (measured / predicted - 1):+.0f}%)" if measured is not None and predicted > 0 else ""
    return spread(now, styled(("predicted ", "$quiet"), (text.rate(predicted), "$warning"), off), width)


def curve(history: Sequence[float], predicted: float | None, width: int, rows: int) -> list[Content]:
    """The newest `width` values as columns in eighths of a cell, with the predicted value as a dashed line.

    The line is drawn where a column does not cover it, and cuts through those that do.
    """
    shown = list(history[-width:]) if width else []
    top = max([*shown, 1.15 * (predicted or 0.0), 1e-9])
    heights = [0] * (width - len(shown)) + [round(value / top * rows * 8) for value in shown]
    line = None if predicted is None else min(rows - 1, int(predicted / top * rows))
    return [_curve_row(heights, row, dashed=row == line) for row in reversed(range(rows))]


def _curve_row(heights: Sequence[int], row: int, *, dashed: bool) -> Content:
    """One row of cells, counted from the bottom."""
    cells: list[tuple[str, str]] = []
    for height in heights:
        filled = max(0, min(8, height - 8 * row))
        if dashed and filled in (0, 8):
            cells.append(("╌", "$warning on $accent 40%" if filled else "$warning"))
        else:
            cells.append((_EIGHTHS[filled], "$accent"))
    return styled(*cells)
