"""Earlier conversations: search, go on, rename, export."""

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from runner.report.words import one_line, plural
from runner.storage.conversations import ConversationLog, ConversationStore
from runner.storage.full_text import find_words
from runner.types.conversation import Listed
from tui.screens.dialogs import Dialog, LineDialog
from tui.screens.export import export
from tui.widgets.in_order import Line
from tui.workers import aside


class ConversationList(Dialog[ConversationLog]):
    """Returns the conversation to go on with."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "rename", "Rename"),
        Binding("x", "export", "Export"),
        Binding("slash", "search", "Search"),
    ]
    KEYS = "Enter goes on with it · / searches in all · r renames · x exports as Markdown · Esc goes back"
    WIDTH = "-wide"

    def __init__(self, store: ConversationStore, current: ConversationLog) -> None:
        super().__init__("Conversations")
        self._store, self._current = store, current
        self._logs: list[ConversationLog] = []

    def inside(self) -> ComposeResult:
        """The words to search for, and the list."""
        yield Line(placeholder="words that were said", compact=True)
        yield OptionList()

    def on_mount(self) -> None:
        """Read them."""
        self.query_one(OptionList).focus()
        self._read()

    def action_search(self) -> None:
        """Write words; those that have all of them are listed, the best first."""
        self.query_one(Input).focus()

    def on_input_changed(self) -> None:
        """Search anew."""
        self._read()

    def on_input_submitted(self) -> None:
        """Back to the list."""
        self.query_one(OptionList).focus()

    @work(exclusive=True)
    async def _read(self, chosen: ConversationLog | None = None) -> None:
        """List them, with the cursor on `chosen`; where words are written, those that have them, the best first."""
        words = self.query_one(Input).value.split()
        listed = await aside(self._store.listed)
        if words:
            listed = await aside(lambda: find_words(listed, words))
        current = None if self._current.is_new else self._current.path
        found = [ConversationLog(one.path, one.conversation) for one in listed]
        self._logs = [self._current if log.path == current else log for log in found]
        paths = [log.path for log in self._logs]
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(
            [Option(_row(one)) for one in listed]
            or [Option("Nothing has these words." if words else "None yet.", disabled=True)]
        )
        cursor = paths.index(chosen.path) if chosen and chosen.path in paths else 0
        options.highlighted = cursor if self._logs else None

    @property
    def _chosen(self) -> ConversationLog | None:
        place = self.query_one(OptionList).highlighted
        return self._logs[place] if place is not None and self._logs else None

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go on with this one."""
        self.dismiss(self._logs[event.option_index])

    @work
    async def action_rename(self) -> None:
        """Ask for a name."""
        if (log := self._chosen) is None:
            return
        name = await self.app.push_screen_wait(LineDialog("Name of the conversation", log.conversation.title))
        if name is not None:
            try:
                log.rename(name.strip())
                if log is not self._current:
                    log.close()
            except OSError as error:
                self.notify(f"It could not be renamed: {error.strerror}.", severity="warning", markup=False)
            self._read(log)

    def action_export(self) -> None:
        """Write it into the working folder."""
        if log := self._chosen:
            export(self, log.conversation)


def _row(listed: Listed) -> Content:
    conversation = listed.conversation
    excerpt = f"\n  {one_line(listed.excerpt)}" if listed.excerpt else ""
    facts = f"  {plural(len(conversation.turns), 'turn')} · {one_line(conversation.model)}"
    return Content.assemble((one_line(conversation.title), "bold"), (facts + excerpt, "$quiet"))
