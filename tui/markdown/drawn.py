"""Markdown as lines of content for a width: one widget draws a whole piece, where a widget per block is too slow."""

import io
from functools import lru_cache
from typing import ClassVar

from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme
from textual.content import Content

from tui.markdown.blocks import parser
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
    """Code on a background of its own, highlighted when the language is known, below its number where it has one."""

    number: int | None = None

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> "_PlainCode":
        """The element of a token."""
        code = cls(token.info.partition(" ")[0] or "text", "")
        if token.type == "fence" and isinstance(markdown, _Document):
            code.number = markdown.next_number()
        return code

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        if self.number is not None:
            yield Text(f"[{self.number}] {self.lexer_name}", "dim")
        yield Syntax(
            code,
            self.lexer_name,
            theme="github-dark",
            background_color=_CODE_BACKGROUND,
            word_wrap=True,
            padding=(0, 1),
        )


class _Document(Markdown):
    """Parsed Markdown; its code blocks are counted from `first`, None: not at all. `continued`: the first one began
    before, and has its number there.
    """

    elements: ClassVar[dict[str, type[MarkdownElement]]] = Markdown.elements | {
        "heading_open": _LeftHeading,
        "fence": _PlainCode,
        "code_block": _PlainCode,
    }

    def __init__(self, source: str, first: int | None, *, continued: bool) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = parser().parse(source)
        self._next, self._continued = first, continued

    def next_number(self) -> int | None:
        """The number of the next code block; None where it has none."""
        if self._next is None or self._continued:
            self._continued = False
            return None
        self._next += 1
        return self._next - 1


@lru_cache(1)
def _console() -> Console:
    """Renders for the screen, whatever the terminal: colours are the screen's matter."""
    return Console(file=io.StringIO(), theme=_STYLES, color_system="truecolor", force_terminal=True, no_color=False)


def drawn(source: str, width: int, first: int | None = None, *, continued: bool = False) -> list[Content]:
    """The lines of a piece of Markdown, each at most `width` cells wide; its text must be visible already.

    Code blocks are numbered from `first`; `continued`: the piece begins inside of one that has its number already.
    """
    console = _console()
    rows = console.render_lines(
        _Document(source, first, continued=continued), console.options.update(width=max(8, width)), pad=False
    )
    lines = [_content(row) for row in rows]
    while lines and not lines[0].plain.strip():
        del lines[0]
    return lines


def _content(row: list[Segment]) -> Content:
    parts = [(segment.text, segment.style or "") for segment in row if not segment.control]
    return Content.from_rich_text(Text.assemble(*parts), console=_console())
