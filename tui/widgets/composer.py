"""Where a message is written: Enter sends, Shift+Enter or Ctrl+J begins a line, the arrows recall earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import TextArea

from models.visible import visible_in_place
from runner.report.words import plural
from tui.actions import completions
from tui.files import pasted_path, paths_like
from tui.view.mentions import begun, completed, mention
from tui.widgets.in_order import acted, actions_by_key

ASK = "Ask something · Enter sends · Ctrl+J new line · / commands · @ files"
_LONG_PASTE = 4000  # characters


class Composer(TextArea):
    """A text area that grows with its text."""

    @dataclass
    class Sent(Message):
        """A person sent this: the `text` as it stands here, and the `whole` with long pastes in their places."""

        text: str
        whole: str

    class Left(Message):
        """A person pressed Escape."""

    def __init__(self, placeholder: str = ASK, *, id: str | None = None) -> None:
        super().__init__(
            id=id,
            placeholder=placeholder,
            show_line_numbers=False,
            soft_wrap=True,
            tab_behavior="focus",
            highlight_cursor_line=False,
            compact=True,
        )
        self._earlier: list[str] = []
        self._place = 0
        self._draft = ""
        self._pasted: dict[str, str] = {}

    def remember(self, earlier: Sequence[str]) -> None:
        """What the up key brings back, the oldest first."""
        self._earlier = list(earlier)
        self._place = len(self._earlier)

    def put(self, text: str) -> None:
        """Replace the text, with the cursor at its end."""
        self.text = text
        self.move_cursor(self.document.end)

    def get_line(self, line_index: int) -> Text:
        """What is drawn of a line: nothing in it steers the terminal, and all of it stays where it was."""
        return Text(visible_in_place(self.document.get_line(line_index)), end="", no_wrap=True)

    async def _on_key(self, event: events.Key) -> None:
        handler = {
            "enter": self._send,
            "ctrl+j": self._new_line,
            "shift+enter": self._new_line,
            "escape": self._leave,
            "up": self._older,
            "down": self._newer,
            "tab": self._complete,
        }.get(event.key)
        if handler is not None and handler():
            event.prevent_default()
            event.stop()
        elif not await acted(self, event, actions_by_key(TextArea.BINDINGS)):
            await super()._on_key(event)

    def _send(self) -> bool:
        text = self.text.strip("\n")
        if text.strip():
            self._earlier.append(text)
            self._place = len(self._earlier)
            self.text = ""
            self.post_message(self.Sent(text, self._whole(text)))
        return True

    def _whole(self, text: str) -> str:
        """The text with what was pasted in the places of its marks."""
        for mark, pasted in self._pasted.items():
            text = text.replace(mark, pasted)
        return text

    async def _on_paste(self, event: events.Paste) -> None:
        """The path of a file becomes its mention; a long text is kept aside, so that writing stays smooth."""
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")  # terminals send a carriage return for each line
        path = pasted_path(text)
        if path is not None:
            shown = mention(path) + " "
        elif len(text) > _LONG_PASTE:
            lines = plural(text.count("\n") + 1, "line")
            shown = f"[pasted {len(self._pasted) + 1}: {lines}, {len(text):,} characters]"
            self._pasted[shown] = text
        else:
            return
        event.prevent_default()
        event.stop()
        self.replace(shown, *self.selection)

    def _new_line(self) -> bool:
        self.insert("\n")
        return True

    def _leave(self) -> bool:
        self.post_message(self.Left())
        return True

    def _complete(self) -> bool:
        if found := completions(self.text):
            self.put(f"/{found[0].slash}" + (" " if found[0].argument else ""))
            return True
        path = begun(before := self.get_text_range((0, 0), self.cursor_location))
        paths = paths_like(path) if path is not None else []
        if paths:
            self.replace(completed(before, paths[0]), (0, 0), self.cursor_location)
        return bool(paths)

    def _older(self) -> bool:
        return self.cursor_at_first_line and self._recall(self._place - 1)

    def _newer(self) -> bool:
        return self.cursor_at_last_line and self._recall(self._place + 1)

    def _recall(self, place: int) -> bool:
        """Show the message at `place`; one past the last is the draft."""
        if not 0 <= place <= len(self._earlier):
            return False
        if self._place == len(self._earlier):
            self._draft = self.text
        self._place = place
        self.put(self._draft if place == len(self._earlier) else self._earlier[place])
        return True
