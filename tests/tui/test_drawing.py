"""Cells and curves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.types.drafts import Drafted, DraftKind
from runner.types.generation import Chunk, Phase
from runner.types.plan import Predicted
from tui.markdown.drawn import drawn
from tui.view.speed_history import SpeedHistory
from tui.widgets.drawing import flow, gauge, shares, spread, styled
from tui.widgets.speed import SpeedPanel, curve


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8), st.integers(0, 200))
def test_shares_fill_the_bar(parts: list[int], width: int) -> None:
    cells = shares(parts, width)
    assert min(cells) >= 0
    assert sum(cells) == (width if sum(parts) else 0)
    if width >= 2 * len(parts):
        assert all(cell > 0 for cell, part in zip(cells, parts, strict=True) if part)


@pytest.mark.parametrize(
    ("fraction", "bar"), [(0, "····"), (1, "████"), (0.5, "██··"), (0.53, "██▏·"), (-1, "····"), (7, "████")]
)
def test_gauge(fraction: float, bar: str) -> None:
    assert gauge(fraction, 4, "red").plain == bar


def test_lines_fit_their_width() -> None:
    assert spread(styled("left side"), styled("right"), 12).plain == "left … right"
    assert [line.plain for line in flow(map(styled, ["one", "two", "three"]), 9)] == ["one  two", "three"]


def test_the_curve_has_the_promise_as_a_line() -> None:
    rows = [row.plain for row in curve([10.0, 20.0], 20.0, 4, 2)]
    assert rows == ["╌╌▃█", "  ██"] or rows[0].startswith("╌╌")
    assert len({len(row) for row in rows}) == 1
    assert "╌" not in "".join(row.plain for row in curve([1.0], None, 4, 2))
    assert [row.plain for row in curve([], None, 3, 1)] == ["   "]


def test_the_speed_panel_says_what_guesses_bring_and_nothing_where_none_are_made() -> None:
    panel, words = SpeedPanel(), "5 of 8 guessed tokens right, 1.32 × as fast"
    for draft, shown in ((Drafted(DraftKind.LOOKUP, 8, 5, 1.321), True), (None, False)):
        panel.speed = SpeedHistory().speed(Chunk(Phase.DECODE, completion_tokens=9, draft=draft), 8192, None)
        assert any(words in line.plain for line in panel.lines(60)) is shown


def test_the_curve_shows_the_newest() -> None:
    rows = curve([100.0] * 50 + [1.0] * 10, None, 10, 3)
    assert all("█" in row.plain for row in rows)


def test_speed_counts_between_ticks() -> None:
    speeds = SpeedHistory()

    def at(now: float, tokens: int) -> None:
        speeds.count(now, Chunk(Phase.DECODE, completion_tokens=tokens))

    at(0.0, 0)
    at(0.5, 10)
    at(1.0, 30)
    assert speeds.speed(Chunk(Phase.DECODE, decode_tps=30.0), 8192, None).history == (20.0, 40.0)
    assert speeds.speed(Chunk(Phase.DECODE, decode_tps=30.0), 8192, None).decode_tps == 40.0
    speeds.count(9.0, None)
    assert speeds.speed(Chunk(Phase.DONE, decode_tps=30.0), 8192, None).decode_tps == 30.0
    at(20.0, 5)
    at(20.0, 9)
    assert len(speeds.speed(None, 8192, Predicted(1, 1, 0)).history) == 2


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("# Title\n\ntext **bold**", ["Title", "", "text bold"]),
        ("vector<int> and <b>x</b>", ["vector<int> and <b>x</b>"]),
        ("[red]no markup[/red]", ["[red]no markup[/red]"]),
        ("- a\n- b", [" • a", " • b"]),
        ("see [docs](https://example.org)", ["see docs (https://example.org)"]),
    ],
)
def test_markdown(source: str, lines: list[str]) -> None:
    assert [line.plain.rstrip() for line in drawn(source, 60)] == lines


@given(st.text(st.characters(exclude_categories=["C"]), max_size=300), st.integers(8, 80))
def test_any_markdown_fits(source: str, width: int) -> None:
    assert all(line.cell_length <= width for line in drawn(source, width))
