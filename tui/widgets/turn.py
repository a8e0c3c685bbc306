"""One turn of the conversation: the question, or the thinking, the answer and how it went."""

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.markup import escape
from textual.widget import Widget
from textual.widgets import Collapsible, Static

from runner.report.tools import result_title
from runner.report.turn import call_line
from runner.report.words import one_line, plural, visible
from runner.types.attachment import without_files
from runner.types.conversation import Turn
from runner.types.tools import ToolCall
from tui.markdown.blocks import CodeBlock, Link, code_blocks, targets
from tui.markdown.drawn import drawn
from tui.markdown.split import cut, is_inside_code
from tui.widgets.drawing import Drawing

# Longer pieces make drawing slow while they grow, shorter ones break long paragraphs more often.
PIECE = 1200
_EMPTY = Turn("assistant")


class QuestionView(Vertical):
    """What a person said, as it was written; the files that went with it are folded below."""

    def __init__(self, text: str) -> None:
        super().__init__(classes="question")
        self._written, self._files = without_files(text)

    def compose(self) -> ComposeResult:
        """The words, then file by file."""
        yield Static(Content(visible(self._written)))
        for file in self._files:
            lines = plural(file.text.count("\n") + 1, "line")
            title = f"{one_line(file.name)} · {lines}"
            yield Collapsible(Static(Content(visible(file.text))), title=escape(title), classes="file")


def result_view(name: str, text: str) -> Collapsible:
    """What a call of a function has brought, folded."""
    title = escape(result_title(name, text))
    return Collapsible(Static(Content(visible(text))), title=title, classes="file result")


class MarkdownPiece(Drawing):
    """A part of an answer that is drawn alone; its code blocks are numbered from `first`, None: not at all.

    `continued`: it begins inside a code block.
    """

    def __init__(self, first: int | None, *, continued: bool) -> None:
        super().__init__(classes="piece")
        self.source = ""
        self.first, self._continued = first, continued
        # By width: a layout tries one with and one without a scrollbar.
        self._lines: dict[int, list[Content]] = {}

    def set(self, source: str) -> None:
        """Draw this Markdown instead."""
        self.source, self._lines = source, {}
        self.changed()

    @property
    def after(self) -> int | None:
        """The number of the next code block behind it."""
        if self.first is None:
            return None
        count = len(code_blocks(self.source))
        return self.first + (count - 1 if self._continued else count)

    def lines(self, width: int) -> list[Content]:
        """The Markdown, and a blank line where it ends with one."""
        if width not in self._lines:
            blank = [Content("")] if self.source.endswith("\n\n") else []
            self._lines[width] = drawn(self.source, width, self.first, continued=self._continued) + blank
        return self._lines[width]


class MarkdownPieces(Vertical):
    """Markdown that grows without getting slower: only its last piece is ever drawn again."""

    def __init__(self, first: int | None = None) -> None:
        super().__init__(classes="pieces")
        self._first = self._next = first
        self._continued = False
        self._last: MarkdownPiece | None = None

    def grow(self, text: str) -> None:
        """Append text from a model; nothing in it is obeyed by the terminal."""
        text = visible(text)
        while text:
            if self._last is None:
                self._last = MarkdownPiece(self._next, continued=self._continued)
                self.mount(self._last)
            whole = self._last.source + text
            before, text = parts = cut(whole, PIECE) or (whole, "")
            self._last.set(before)
            if text:
                self._next, self._continued = self._last.after, is_inside_code(whole, parts)
                self._last = None

    def clear(self) -> None:
        """Begin anew, empty."""
        self.remove_children()
        self._next, self._continued, self._last = self._first, False, None

    def piece_with(self, target: CodeBlock | Link, number: int) -> MarkdownPiece | None:
        """Where a link, or the code block of this number, stands."""
        pieces = list(self.query(MarkdownPiece))
        if isinstance(target, Link):
            return next((piece for piece in pieces if Link(target.url) in targets(piece.source)), None)
        return next((piece for piece in reversed(pieces) if (piece.first or 0) <= number), None)


class AnswerView(Vertical):
    """What the model said, with its code blocks numbered from `first`. `folded` decides how its thinking appears.

    `turn`: what was said of it before.
    """

    def __init__(self, first: int, turn: Turn = _EMPTY, *, folded: bool = True) -> None:
        super().__init__(classes="answer")
        self._begun, self._text = turn, ""
        self._thought, self._said = MarkdownPieces(), MarkdownPieces(first)
        self._thinking = Collapsible(self._thought, title="Thinking", collapsed=folded, classes="thinking")
        self._thinking.display = False
        self.calls: tuple[ToolCall, ...] = ()
        self._called = Static(classes="calls")
        self._called.display = False
        self._note = Static(Content(visible(turn.note)), classes="note")

    def compose(self) -> ComposeResult:
        """Thinking (hidden until there is some), answer, calls (the same), note."""
        yield self._thinking
        yield self._said
        yield self._called
        yield self._note

    def on_mount(self) -> None:
        """Only now there is something to grow."""
        self.grow(self._begun.text, self._begun.reasoning)
        self.call(self._begun.calls)

    def grow(self, text: str, reasoning: str = "") -> None:
        """Append what is new."""
        if reasoning:
            self._thinking.display = True
            self._thought.grow(reasoning)
        if text:
            self._text += text
            self._said.grow(text)

    def recast(self) -> None:
        """All that it has said is thinking after all."""
        thought, self._text = self._text, ""
        self._said.clear()
        self.grow("", thought)

    def call(self, calls: tuple[ToolCall, ...]) -> None:
        """What it calls, as far as it got."""
        self.calls = calls
        self._called.display = bool(calls)
        self._called.update(Content("\n".join(f"→ {visible(call_line(call))}" for call in calls)))

    def note(self, text: str, *, error: bool = False) -> None:
        """The line below: what is going on, later how it went."""
        self._note.set_class(error, "-error")
        self._note.update(Content(visible(text)))

    def place_of(self, target: CodeBlock | Link, number: int) -> Widget:
        """The widget to scroll to for a link, or for the code block of this number."""
        return self._said.piece_with(target, number) or self

    def fold(self, folded: bool) -> None:
        """Fold or unfold the thinking."""
        self._thinking.collapsed = folded


TurnView = QuestionView | AnswerView | Collapsible  # the last one is a result
