"""Branches of a conversation on the screen: undo, another answer, another branch, a long one made short."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from textual import work

from models.errors import LocalrunError
from runner.report.compact import ASKED, REQUEST, TOO_SHORT, compact_question, compacted, nothing_saved
from runner.report.turn import CORRECTED, under_way
from runner.types.conversation import Conversation, Turn
from runner.types.generation import Chunk, Finish, Message
from runner.types.service import Session
from tui.screens.branch_list import NAME, BranchList
from tui.screens.conversation import ConversationScreen
from tui.screens.dialogs import Ask, LineDialog, Suggestion
from tui.view.mentions import as_written
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView
from tui.workers import aside, batches

_SHARE, _LEAST, _MOST = 4, 64, 512  # of the tokens before, a summary takes one in so many; from so many to so many


@dataclass(frozen=True, slots=True)
class Saving:
    """What compacting would do: tokens before, at most afterwards, and at most for the summary."""

    before: int
    forecast: int
    most: int


class BranchingScreen(ConversationScreen):
    """What changes a conversation as a whole; nothing of it is ever lost."""

    @work(exclusive=True, group="turn")
    async def _undo(self, question: int) -> None:
        """Take the last question and its answer back; the question can be asked differently."""
        said = as_written(self._log.conversation.turns[question].text)
        await self._keep(question)
        self.query_one(Composer).put(said)
        self.notify("The last question is taken back. /branch has it with its answer.")

    @property
    def _is_correcting(self) -> bool:
        """Whether what is written is to stand in the place of an answer."""
        return self._editing is not None and self._log.conversation.turns[self._editing].role == "assistant"

    @work(exclusive=True, group="turn")
    async def _correct(self, said: str) -> None:
        """Put other words in the place of an answer; the model goes on from there as if they were its own."""
        if self._editing is None:
            return
        await self._keep(self._editing)
        widget = await self.query_one(ConversationView).answer(len(self._blocks()) + 1)
        with self._saving():
            self._log.add(Turn("assistant", said, note=CORRECTED))
        widget.grow(said)
        widget.note(CORRECTED)
        self.notify("The answer is changed. Ctrl+G goes on with it; /branch has the one before.")

    @work(exclusive=True, group="turn")
    async def _choose_branch(self) -> None:
        chosen = await self.app.push_screen_wait(BranchList(self._log.conversation))
        if chosen == NAME:
            dialog = LineDialog("Name of this branch", self._log.conversation.branch)
            name = await self.app.push_screen_wait(dialog)
            if name is not None:
                self._name_branch(name)
        elif chosen is not None:
            with self._saving():
                self._log.switch(chosen)
            await self._begin(self._log)

    def _name_branch(self, name: str) -> None:
        with self._saving():
            self._log.name_branch(name.strip())
        self.notify("The branch has a name." if name.strip() else "The branch has no name.")

    @work(exclusive=True, group="turn")
    async def _compact(self) -> None:
        """Ask, let the model write a summary, and go on with it and the last exchange as a new branch."""
        conversation = self._log.conversation
        last = self._questions()[-1] if self._questions() else 0  # it stays as it is, with its answer
        if last <= conversation.skipped:
            self.complain(TOO_SHORT)
            return
        try:
            session = await self._engine()
            if session is None:
                return
            saving = await aside(partial(saving_of, session, conversation, last))
            if saving.forecast >= saving.before:
                self.complain(nothing_saved(saving.before, saving.forecast))
                return
            text = compact_question(saving.before, saving.forecast, saving.most)
            way = Suggestion("compact", "Compact it", "The model writes the summary; Esc stops it.", disabled=False)
            if await self.app.push_screen_wait(Ask("Compact the conversation", text, [way])) is None:
                return
            if summary := await self._summary(session, saving.most):
                await self._shorten(conversation.turns[last:], summary)
                after = await aside(lambda: session.count_tokens(self._log.conversation.messages))
                self.notify(compacted(saving.before, after))
        except LocalrunError as error:
            self.complain(str(error))

    async def _summary(self, session: Session, most: int) -> str:
        """What the model writes, seen as it comes; empty where it is stopped."""
        messages = (*self._log.conversation.messages, Message("user", REQUEST))
        sampling = replace(self._settings.sampling, max_tokens=most)
        view = self.query_one(ConversationView)
        widget = self._answering = await view.answer(len(self._blocks()) + 1)
        self._stopping, said, last = False, "", None
        try:
            async for chunks in batches(lambda: session.generate(messages, sampling)):
                for chunk in chunks:
                    if chunk.recast:
                        widget.recast()
                    said = chunk.text if chunk.recast else said + chunk.text
                    widget.grow(chunk.text, chunk.reasoning)
                last = chunks[-1]
                widget.note(f"{under_way(last)} · Esc stops")
        finally:
            self._answering = None
            await view.keep(len(self._log.conversation.turns))
        return said.strip() if _has_ended(last) else ""

    async def _shorten(self, last: Sequence[Turn], summary: str) -> None:
        """Go on with the summary and the last exchange."""
        with self._saving():
            self._log.keep(0)
            for turn in (Turn("user", ASKED), Turn("assistant", summary, note="a summary"), *last):
                self._log.add(turn)
        await self._begin(self._log)


def _has_ended(last: Chunk | None) -> bool:
    return last is not None and last.finish in (Finish.STOP, Finish.LENGTH)


def saving_of(session: Session, conversation: Conversation, last: int) -> Saving:
    """What compacting the turns before `last` would save. Asks the engine, which may take a moment."""
    before = session.count_tokens(conversation.messages)
    most = max(_LEAST, min(_MOST, before // _SHARE))
    short = replace(conversation, turns=(Turn("user", ASKED), Turn("assistant"), *conversation.turns[last:]), skipped=0)
    return Saving(before, session.count_tokens(short.messages) + most, most)
