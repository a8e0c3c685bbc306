"""Markdown as lines of content for a width: one widget draws a whole piece, where a widget per block is too slow."""

import io
from functools import lru_cache
from typing import ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme
from textual.content import Content

from tui.theme import THEME

_CODE_BACKGROUND = THEME.surface or "default"
_STYLES = Theme(
    {
        "markdown.h1": f"bold {THEME.accent}",
        "markdown.h2": f"bold {THEME.primary}",
        "markdown.h3": f"bold {THEME.foreground}",
        "markdown.h4": f"bold italic {THEME.foreground}",
        "markdown.code": f"{THEME.accent} on {_CODE_BACKGROUND}",
        "markdown.block_quote": "italic",
        "markdown.list": "default",
        "markdown.item.bullet": f"{THEME.primary}",
        "markdown.item.number": f"{THEME.primary}",
        "markdown.link": f"{THEME.primary}",
        "markdown.link_url": "underline",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)


class _LeftHeading(Heading):
    """A heading at the left, like all text."""

    LEVEL_ALIGN: ClassVar = dict.fromkeys(Heading.LEVEL_ALIGN, "left")


class _PlainCode(CodeBlock):
    """Code on a background of its own, highlighted when the language is known."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield Syntax(
            code,
            self.lexer_name,
            theme="github-dark",
            background_color=_CODE_BACKGROUND,
            word_wrap=True,
            padding=(0, 1),
        )


class _Document(Markdown):
    """Markdown as models write it, with tables and bare links; HTML is text like any other."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = Markdown.elements | {
        "heading_open": _LeftHeading,
        "fence": _PlainCode,
        "code_block": _PlainCode,
    }

    def __init__(self, source: str) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = _parser().parse(source)


@lru_cache(1)
def _parser() -> MarkdownIt:
    return MarkdownIt("gfm-like", {"html": False})


@lru_cache(1)
def _console() -> Console:
    """Renders for the screen, whatever the terminal: colours are the screen's matter."""
    return Console(file=io.StringIO(), theme=_STYLES, color_system="truecolor", force_terminal=True, no_color=False)


def drawn(source: str, width: int) -> list[Content]:
    """The lines of a piece of Markdown, each at most `width` cells wide; its text must be visible already."""
    console = _console()
    rows = console.render_lines(_Document(source), console.options.update(width=max(8, width)), pad=False)
    lines = [_content(row) for row in rows]
    while lines and not lines[0].plain.strip():
        del lines[0]
    return lines


def _content(row: list[Segment]) -> Content:
    parts = [(segment.text, segment.style or "") for segment in row if not segment.control]
    return Content.from_rich_text(Text.assemble(*parts), console=_console())
