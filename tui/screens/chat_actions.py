"""What the keys, the letters and the slash commands of the chat do, by the names in tui.actions."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from textual.content import Content
from textual.widgets import Static

from models.errors import UsageError
from runner.report.comparison import stats_lines
from runner.report.sampling import asked_line
from runner.report.tools import tools_line
from runner.report.words import one_line
from runner.storage.conversations import ConversationLog
from runner.storage.prompts import PromptStore
from runner.types.numbers import MOST_TOKENS
from runner.types.sampling import in_force
from runner.types.thinking import Think
from tui import actions
from tui.screens.calling import ToolsDialog
from tui.screens.conversation_list import ConversationList
from tui.screens.copying import ANSWER, CopyDialog
from tui.screens.dialogs import LineDialog, TextDialog
from tui.screens.export import export
from tui.screens.find import Find
from tui.screens.help import help_text
from tui.screens.picker import Picker
from tui.screens.sampling import SamplingDialog
from tui.screens.walking import WalkingScreen
from tui.settings import Next
from tui.view.mentions import as_written
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView

_LONGEST = 40  # characters of a wrong argument


class ChatActions(WalkingScreen):
    """Every action; `argument` is what follows a slash command."""

    def action_stop(self, argument: str = "") -> None:
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
        ctx = actions.number_in(argument, 1, MOST_TOKENS)
        if argument and ctx is None:
            self.complain(f"/plan wants a context length, not {_quoted(argument)}.")
        elif self.is_idle():
            wish = self._plan.wish
            self._open_plan(replace(wish, ctx=ctx) if ctx else wish)

    def action_panel(self, argument: str = "") -> None:
        """Show or hide the panel; on a narrow screen it takes the conversation's place."""
        self.toggle_class("-panel")

    def action_regenerate(self, argument: str = "") -> None:
        """Answer the last question again."""
        if self._may_change():
            self._again(self._questions()[-1] + 1)

    def action_go_on(self, argument: str = "") -> None:
        """Go on with the last answer."""
        if self._may_change() and self._log.conversation.turns[-1].role != "user":
            self._go_on()

    def _may_change(self) -> bool:
        """Whether there is a turn, and none under way; says why not."""
        if not self._questions():
            self.complain("Nothing has been asked yet.")
            return False
        return self.is_idle()

    def action_edit(self, argument: str = "") -> None:
        """Put a question into the composer, the last one if no number names it; again: the one before.

        Sending it begins a branch, Escape leaves all as it is.
        """
        if self._may_change() and (number := self._numbered("/edit", "a question", self._questions(), argument)):
            self._edit(self._questions()[number - 1])

    def action_correct(self, argument: str = "") -> None:
        """The same with an answer; what is sent takes its place, and can be gone on with."""
        if self._may_change() and (number := self._numbered("/answer", "an answer", self._answers(), argument)):
            self._edit(self._answers()[number - 1])

    def _numbered(self, command: str, what: str, places: Sequence[int], argument: str) -> int | None:
        """Which of some turns is meant: what is typed, else the one before that which is edited, else the last."""
        if not places:
            self.complain("Nothing has been answered yet.")
        elif not argument:
            return max(1, places.index(self._editing)) if self._editing in places else len(places)
        elif number := actions.number_in(argument, 1, len(places)):
            return number
        else:
            self.complain(f"{command} wants the number of {what}, 1 to {len(places)}, not {_quoted(argument)}.")
        return None

    def _edit(self, place: int) -> None:
        self._editing = place
        composer = self.query_one(Composer)
        composer.put(as_written(self._log.conversation.turns[place].text))
        composer.focus()

    async def _keep(self, count: int) -> None:
        """What was edited is in its place: the line that says so goes."""
        await super()._keep(count)
        self.query_one("#hint", Static).update("")

    async def _begin(self, log: ConversationLog) -> None:
        """Nor does it stand over another conversation, where nothing is edited."""
        await super()._begin(log)
        for hint in self.query("#hint").results(Static):
            hint.update("")

    @property
    def _editing_words(self) -> str:
        """What is edited, and the ways on; empty where nothing is."""
        if self._editing is None:
            return ""
        if self._is_correcting:
            number = self._answers().index(self._editing) + 1
            return f"Editing answer {number}: Enter makes it a branch, /answer N takes another, Esc leaves it."
        number = self._questions().index(self._editing) + 1
        return f"Editing question {number}: Enter asks it anew as a branch, Ctrl+B takes the one before, Esc leaves it."

    def action_undo(self, argument: str = "") -> None:
        """Take the last question and its answer back."""
        if self._may_change():
            self._undo(self._questions()[-1])

    def action_branch(self, argument: str = "") -> None:
        """Go on with another branch; a word names the present one."""
        if argument:
            self._name_branch(argument)
        elif self.is_idle():
            self._choose_branch()

    def action_compact(self, argument: str = "") -> None:
        """Put a summary in the place of what was said first."""
        if self.is_idle():
            self._compact()

    def action_copy(self, argument: str = "") -> None:
        """Copy what Tab went to, the code block of a number, or the last answer; ask which where there are several."""
        blocks = self._blocks()
        if number := actions.number_in(argument, 1, len(blocks)):
            self._copy(blocks[number - 1].code, f"Code block {number}")
        elif argument:
            there = f"1 to {len(blocks)}" if blocks else "and there is none"
            self.complain(f"/copy wants the number of a code block, {there}, not {_quoted(argument)}.")
        elif self._target is not None and self.query_one(ConversationView).has_focus:
            self._copy_target()
        elif blocks:
            self.app.push_screen(CopyDialog(blocks), self._copy_chosen)
        else:
            self._copy_chosen(ANSWER)

    def _copy_chosen(self, number: int | None) -> None:
        answers = [turn.text for turn in self._log.conversation.turns if turn.role == "assistant"]
        if number:
            self._copy(self._blocks()[number - 1].code, f"Code block {number}")
        elif number == ANSWER and answers:
            self._copy(answers[-1], "The last answer")
        elif number == ANSWER:
            self.complain("There is nothing to copy yet.")

    def action_think(self, argument: str = "") -> None:
        """Think before the next answers or do not: what is said, else the other way round."""
        is_off = self._settings.sampling.think is Think.OFF
        self.action_set(f"think {argument or (Think.ON if is_off else Think.OFF)}")

    def action_tools(self, argument: str = "") -> None:
        """Show what the model may call, or take it from a file."""
        if not argument:
            self.app.push_screen(ToolsDialog(self._settings))
            return
        try:
            self._settings.sampling = actions.with_tools_of(self._settings.sampling, argument)
        except UsageError as error:
            self.complain(str(error))
            return
        self.query_one("#hint", Static).update(Content(tools_line(self._settings.sampling.templating.tools)))

    def action_fold(self, argument: str = "") -> None:
        """Fold or unfold the thinking."""
        self.query_one(ConversationView).fold()

    def action_clear(self, argument: str = "") -> None:
        """A new chat with the same system prompt."""
        if self.is_idle():
            self._open(self._store.new(self._label, self._log.conversation.system))

    def action_load(self, argument: str = "") -> None:
        """Choose an earlier conversation."""

        def go_on(log: ConversationLog | None) -> None:
            if log is not None and log is not self._log and self.is_idle():  # a message may have been on its way
                self._reopen(log.path)
            self.show_title()

        if self.is_idle():
            self.app.push_screen(ConversationList(self._store, self._log), go_on)

    def action_find(self, argument: str = "") -> None:
        """Search in this conversation, and go to what is found."""

        def go(place: int | None) -> None:
            if place is not None:
                self._show_turn(place)

        self.app.push_screen(Find(self._log.conversation, argument), go)

    def action_system(self, argument: str = "") -> None:
        """Set the system prompt, remove it with `-`, take one by name with `:NAME` (kept with a text behind it)."""

        def take(typed: str | None) -> None:
            try:
                prompt = self._named(typed.strip()) if typed is not None else None
            except UsageError as error:
                self.complain(str(error))
                return
            if prompt is not None:
                with self._saving():
                    self._log.set_system("" if prompt == "-" else prompt)
                self.notify("The system prompt is set." if self._log.conversation.system else "No system prompt.")

        names = ", ".join(PromptStore(self._service.prompts).names())
        title = f"System prompt (- removes it{f'; :NAME takes one of {names}' if names else ''})"
        self._with_line(argument, LineDialog(title, self._log.conversation.system), take)

    def _named(self, typed: str) -> str:
        """The text, or that of the prompt whose name stands there; a text behind the name is kept under it."""
        if not typed.startswith(":"):
            return typed
        store, (name, _, text) = PromptStore(self._service.prompts), typed[1:].partition(" ")
        if text.strip():
            store.add(name, text.strip())
        return store.text(name).strip()

    def action_set(self, argument: str = "") -> None:
        """Show or change the sampling: what is in force, and whence."""
        recommended = self._session.recommended if self._session else self._plan.recommended(self._candidate)
        if not argument:
            self.app.push_screen(SamplingDialog(self._settings, recommended))
            return
        try:
            self._settings.sampling = actions.with_setting(self._settings.sampling, argument)
        except UsageError as error:
            self.complain(str(error))
            return
        self.query_one("#hint", Static).update(Content(asked_line(in_force(self._settings.sampling, recommended))))

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
        """Run another model, which goes on with this conversation; without a name the picker asks for one."""

        def run(name: str | None) -> None:
            if name:
                self._log.close()
                conversation = None if self._log.is_new else self._log.path
                self.dismiss(Next(name, self._settings.sampling, conversation))

        if not self.is_idle():
            return
        if argument:
            run(argument)
        else:
            self.app.push_screen(Picker(self._service), run)

    def action_exit(self, argument: str = "") -> None:
        """End."""
        self.app.exit()


def _quoted(argument: str) -> str:
    """A wrong argument in a sentence about it."""
    return one_line(repr(argument), _LONGEST)
