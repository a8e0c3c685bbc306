"""What all drawn widgets share: lines of content for the width they get."""

from collections.abc import Iterable, Sequence

from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget


class Drawing(Widget):
    """A widget that draws itself as lines; its height follows from its width."""

    DEFAULT_CSS = "Drawing { height: auto; width: 1fr; }"

    def lines(self, width: int) -> Sequence[Content]:
        """The picture at a width of `width` cells."""
        raise NotImplementedError

    def changed(self) -> None:
        """The data changed: draw again, and lay out again where the height is another."""
        width = self.content_size.width
        self.refresh(layout=not width or len(self.lines(width)) != self.content_size.height)

    def render(self) -> Content:
        """All lines, none longer than the widget is wide."""
        width = self.content_size.width
        return Content("\n").join(line.truncate(width, ellipsis=True) for line in self.lines(width))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row a line."""
        return len(self.lines(width))


def spread(left: Content, right: Content, width: int) -> Content:
    """Two texts on one line, the second at its right end; the first gives way."""
    left = left.truncate(max(0, width - right.cell_length - 1), ellipsis=True)
    return left + " " * max(1, width - left.cell_length - right.cell_length) + right


def flow(items: Iterable[Content], width: int, gap: int = 2) -> list[Content]:
    """Items side by side, on as many lines as they need."""
    lines: list[Content] = []
    for item in items:
        if lines and lines[-1].cell_length + gap + item.cell_length <= width:
            lines[-1] = lines[-1] + " " * gap + item
        else:
            lines.append(item)
    return lines


def styled(*parts: str | tuple[str, str]) -> Content:
    """Text from pieces, each plain or with a style; brackets mean nothing in it."""
    return Content.assemble(*parts)


def gauge(fraction: float, width: int, style: str) -> Content:
    """A bar in eighths of a cell, filled to `fraction`."""
    eighths = round(max(0.0, min(1.0, fraction)) * width * 8)
    bar = "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")
    return styled((bar, style), ("·" * (width - len(bar)), "$free"))


def shares(parts: Sequence[int], width: int) -> list[int]:
    """Cells for each part of a bar: in proportion, together `width`; what is not nothing gets a cell if it can.

    Largest remainders first; a part below half a cell takes one from the widest.
    """
    whole = sum(parts)
    if whole <= 0 or width <= 0:
        return [0] * len(parts)
    exact = [part * width / whole for part in parts]
    cells = [int(share) for share in exact]
    by_remainder = sorted(range(len(parts)), key=lambda index: cells[index] - exact[index])
    for index in by_remainder[: width - sum(cells)]:
        cells[index] += 1
    for index, part in enumerate(parts):
        widest = max(range(len(cells)), key=cells.__getitem__)
        if part > 0 and cells[index] == 0 and cells[widest] > 1:
            cells[index], cells[widest] = 1, cells[widest] - 1
    return cells
