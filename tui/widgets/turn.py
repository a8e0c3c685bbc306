"""One turn of the conversation: the question, or the thinking, the answer and how it went."""

from markdown_it import MarkdownIt
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Collapsible, Markdown, Static

from tui.split import cut
from tui.text import visible

# Longer pieces make drawing slow while they grow, shorter ones make many widgets.
PIECE = 2000


def parser() -> MarkdownIt:
    """Markdown as models write it; HTML is text like any other."""
    return MarkdownIt("gfm-like", {"html": False})


class Question(Static):
    """What a person said, as it was written."""

    def __init__(self, text: str) -> None:
        super().__init__(Content(visible(text)), classes="question")


class Pieces(Vertical):
    """Markdown that grows without getting slower: only its last piece is ever drawn again."""

    def __init__(self) -> None:
        super().__init__(classes="pieces")
        self._last = ""

    async def grow(self, text: str) -> None:
        """Append text from a model; nothing in it is obeyed by the terminal."""
        new = visible(text)
        while new:
            if not self._last:
                await self.mount(Markdown(parser_factory=parser, open_links=False))
            piece = self.query(Markdown).last()
            divided = cut(self._last + new, PIECE)
            if divided is None:
                self._last += new
                await piece.append(new)
                return
            before, new = divided
            if before.startswith(self._last):
                await piece.append(before[len(self._last) :])
            else:
                await piece.update(before)
            self._last = ""


class Answer(Vertical):
    """What the model said. `folded` decides how its thinking appears."""

    def __init__(self, note: str = "", *, folded: bool = True) -> None:
        super().__init__(classes="answer")
        self._note = note
        self._folded = folded
        self._thought = Pieces()
        self._said = Pieces()

    def compose(self) -> ComposeResult:
        """Thinking (hidden until there is some), answer, note."""
        with Collapsible(title="Thinking", collapsed=self._folded, classes="thinking") as thinking:
            yield self._thought
        thinking.display = False
        yield self._said
        yield Static(Content(self._note), classes="note")

    async def grow(self, text: str, reasoning: str = "") -> None:
        """Append what is new."""
        if reasoning:
            self.query_one(Collapsible).display = True
            await self._thought.grow(reasoning)
        if text:
            await self._said.grow(text)

    def note(self, text: str, *, error: bool = False) -> None:
        """The line below: what is going on, later how it went."""
        line = self.query_one(".note", Static)
        line.set_class(error, "-error")
        line.update(Content(text))

    def fold(self, folded: bool) -> None:
        """Fold or unfold the thinking."""
        self.query_one(Collapsible).collapsed = folded
