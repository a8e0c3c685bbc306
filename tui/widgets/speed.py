"""How fast it is, beside how fast it was promised to be."""

from collections.abc import Sequence

from textual.content import Content

from runner.report.slowness import slow_line
from runner.report.turn import drafted_line
from runner.report.words import rate_cell, seconds
from runner.types.slowness import Slowness
from tui.view.speed_history import Speed
from tui.widgets.drawing import Drawing, gauge, spread, styled

_ROWS = 4
_EIGHTHS = " ▁▂▃▄▅▆▇█"


class SpeedPanel(Drawing):
    """Decode now with its curve and the predicted value as a line in it; prefill, first token, context."""

    speed = Speed()

    def show(self, speed: Speed) -> None:
        """Draw this."""
        if speed != self.speed:
            self.speed = speed
            self.changed()

    def lines(self, width: int) -> Sequence[Content]:
        """Nine lines, what guesses bring, and why it is slow where it stays so."""
        speed = self.speed
        fill = speed.context_used / max(1, speed.context)
        return [
            _against("decode", speed.decode_tps, speed.predicted_decode, width),
            *curve(speed.history, speed.predicted_decode, width, _ROWS),
            _against("prefill", speed.prefill_tps, speed.predicted_prefill, width),
            spread(
                styled(("first token ", "$quiet"), seconds(speed.ttft_s)),
                styled(("context ", "$quiet"), f"{speed.context_used:,} of {speed.context:,}"),
                width,
            ),
            gauge(fill, width, "$error" if fill > 0.9 else "$kv"),
            *((styled((drafted_line(speed.draft), "$quiet")),) if speed.draft else ()),
            *(why_slow(speed.slowness, width) if speed.slowness else ()),
        ]


def why_slow(slowness: Slowness, width: int) -> list[Content]:
    """The sentence, on as many lines as it needs."""
    return styled(("! ", "bold $warning"), slow_line(slowness)).wrap(max(1, width))


def _against(name: str, measured: float | None, predicted: float | None, width: int) -> Content:
    """A measured speed, and how it compares with the promise."""
    now = styled((f"{name} ", "$quiet"), (rate_cell(measured), "bold"), " tok/s" if measured is not None else "")
    if predicted is None:
        return now
    off = f" ({100 * (measured / predicted - 1):+.0f}%)" if measured is not None and predicted > 0 else ""
    return spread(now, styled(("predicted ", "$quiet"), (rate_cell(predicted), "$warning"), off), width)


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
