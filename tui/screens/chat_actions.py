"""What the keys, the letters and the slash commands of the chat do, by the names in tui.actions."""

from collections.abc import Callable
from dataclasses import replace

from textual.content import Content
from textual.widgets import Static

from models.errors import UsageError
from runner.report.comparison import stats_lines
from runner.report.sampling import asked_line, sampling_lines
from runner.report.words import one_line
from runner.storage.conversations import ConversationLog
from runner.types.sampling import in_force
from tui import actions
from tui.screens.conversation import ConversationScreen
from tui.screens.conversation_list import ConversationList
from tui.screens.dialogs import LineDialog, TextDialog
from tui.screens.export import export
from tui.screens.help import help_text
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView


class ChatActions(ConversationScreen):
    """Every action; `argument` is what follows a slash command."""

    def action_stop(self) -> None:
        """Stop the answer; the screen says so at once."""
        if self._answering is not None and self._session is not None:
            self._stopping = True
            self._answering.note("stopping…")
            self._session.stop()

    def action_write(self) -> None:
        """Back to the composer."""
        self.query_one(Composer).focus()

    def action_help(self, argument: str = "") -> None:
        """Keys and commands."""
        self.app.push_screen(TextDialog("Help", help_text()))

    def action_plan(self, argument: str = "") -> None:
        """The plan; a number is the context to try."""
        if argument and not argument.isdecimal():
            self.complain(f"/plan wants a context length, not {argument!r}.")
        elif self.is_idle():
            wish = self._plan.wish
            self._open_plan(replace(wish, ctx=int(argument)) if argument else wish)

    def action_panel(self, argument: str = "") -> None:
        """Show or hide the panel; on a narrow screen it takes the conversation's place."""
        self.toggle_class("-panel")

    def action_regenerate(self, argument: str = "") -> None:
        """Answer the last question again."""
        question = self._last_question()
        if question is not None and self.is_idle():
            self._again(question + 1)

    def action_go_on(self, argument: str = "") -> None:
        """Go on with the last answer."""
        turns = self._log.conversation.turns
        if turns and turns[-1].role == "assistant" and self.is_idle():
            self._go_on()

    def action_edit(self, argument: str = "") -> None:
        """Put the last question into the composer; sending it replaces the old one, Escape leaves all as it is."""
        question = self._last_question()
        if question is not None and self.is_idle():
            self._editing = question
            composer = self.query_one(Composer)
            composer.put(self._log.conversation.turns[question].text)
            composer.focus()
            self.query_one("#hint", Static).update("Editing the last question: Enter asks it anew, Esc leaves it.")

    def action_copy(self, argument: str = "") -> None:
        """Copy the last answer."""
        answers = [turn.text for turn in self._log.conversation.turns if turn.role == "assistant"]
        if answers:
            self.app.copy_to_clipboard(answers[-1])
            self.notify("The last answer is in the clipboard.")

    def action_think(self, argument: str = "") -> None:
        """Fold or unfold the thinking."""
        self.query_one(ConversationView).fold()

    def action_clear(self, argument: str = "") -> None:
        """A new chat with the same system prompt."""
        if self.is_idle():
            self._open(self._store.new(self._label, self._log.conversation.system))

    def action_load(self, argument: str = "") -> None:
        """Choose an earlier conversation."""

        def go_on(log: ConversationLog | None) -> None:
            if log is not None and log is not self._log:
                self._reopen(log.path)
            self.show_title()

        if self.is_idle():
            self.app.push_screen(ConversationList(self._store, self._log), go_on)

    def action_system(self, argument: str = "") -> None:
        """Set the system prompt, remove it with `-`, or ask for it."""

        def take(prompt: str | None) -> None:
            if prompt is not None:
                with self._saving():
                    self._log.set_system("" if prompt.strip() == "-" else prompt.strip())
                self.notify("The system prompt is set." if self._log.conversation.system else "No system prompt.")

        self._with_line(argument, LineDialog("System prompt (- removes it)", self._log.conversation.system), take)

    def action_set(self, argument: str = "") -> None:
        """Show or change the sampling: what is in force, and whence."""
        try:
            if argument:
                self._settings.sampling = actions.with_setting(self._settings.sampling, argument)
        except UsageError as error:
            self.complain(str(error))
            return
        found = in_force(self._settings.sampling, self._plan.recommended(self._candidate))
        if argument:
            self.query_one("#hint", Static).update(Content(asked_line(found)))
        else:
            self.app.push_screen(TextDialog("Sampling", Content("\n".join(sampling_lines(found)))))

    def action_save(self, argument: str = "") -> None:
        """Name the conversation."""

        def take(name: str | None) -> None:
            if name is not None:
                with self._saving():
                    self._log.rename(name.strip())
                self.show_title()

        self._with_line(argument, LineDialog("Name of the conversation", self._log.conversation.title), take)

    def _with_line(self, argument: str, dialog: LineDialog, take: Callable[[str | None], None]) -> None:
        """Take what follows the command, or what is written into the dialog."""
        if argument:
            take(argument)
        else:
            self.app.push_screen(dialog, take)

    def action_export(self, argument: str = "") -> None:
        """Write the conversation as Markdown."""
        export(self, self._log.conversation, argument)

    def action_stats(self, argument: str = "") -> None:
        """Planned against measured."""
        lines = ["The engine is not running."]
        if session := self._session:
            lines = [*stats_lines(session, self._last), f"template: {one_line(session.loaded.template, 60)}"]
        self.app.push_screen(TextDialog("Planned and measured", Content("\n".join(lines))))

    def action_model(self, argument: str = "") -> None:
        """Run another model."""
        if self.is_idle():
            self.dismiss(argument)

    def action_exit(self, argument: str = "") -> None:
        """End."""
        self.app.exit()
