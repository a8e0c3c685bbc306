"""A conversation with an engine: turns are asked, answered, taken back; knows no keys and no panel."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial, reduce
from pathlib import Path

from textual import on, work
from textual.events import Mount

from models.errors import DoesNotFit, EngineError, LocalrunError
from runner.report.conversation import OPEN_ELSEWHERE, damaged, unsaved
from runner.report.reread import reread_reason
from runner.report.room import Way
from runner.report.turn import after_turn, under_way
from runner.report.words import one_line
from runner.storage.conversations import ConversationLog, ConversationStore
from runner.types.conversation import DECLINED, Turn
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.plan import Plan
from runner.types.room import Shortage, shortage
from runner.types.service import Service, Session
from runner.types.tools import with_delta
from runner.types.wish import Wish
from tui.markdown.blocks import CodeBlock, code_blocks
from tui.notice import give_notice
from tui.screens.calling import CallDialog
from tui.screens.engine import EngineScreen
from tui.screens.fitting import question
from tui.settings import ChatSettings
from tui.view.mentions import as_written
from tui.widgets.composer import Composer
from tui.widgets.conversation import ConversationView
from tui.widgets.turn import AnswerView
from tui.workers import aside, batches

_WORTH_A_NOTICE_S = 10.0
_OF_THE_ENGINE = (EngineError, DoesNotFit)  # behind them the engine is to be started anew


class ConversationScreen(EngineScreen):
    """Turns of one conversation after another, each written to disk as it grows."""

    def __init__(self, service: Service, store: ConversationStore, session: Session, settings: ChatSettings) -> None:
        super().__init__(service, session, settings)
        self._store = store
        self._log: ConversationLog = store.new(self._label, settings.system)
        if settings.title and settings.conversation is None:
            self._log.rename(settings.title)
        self._recalled: Path | None = None  # the file by which this engine keeps what it reads
        self._last: Chunk | None = None
        self._asked: tuple[Message, ...] | None = None  # of this engine, last
        self._answering: AnswerView | None = None
        self._stopping = False
        self._editing: int | None = None

    @property
    def _label(self) -> str:
        return f"{self._settings.name} {self._candidate.quant}"

    @on(Mount)
    async def _recall_what_is_new(self) -> None:
        """A new conversation has a name from its start; an earlier one is recalled when it is taken up."""
        if self._settings.conversation is None:
            await self._recall()

    async def on_unmount(self) -> None:
        """Let another go on with the conversation, and with an engine that is kept."""
        await self._remember()
        self._log.close()
        if self._session is not None and self._session.is_kept:
            await aside(self._session.close)

    async def _remember(self) -> None:
        """The conversation is left for now: what was read of it outlives the engine."""
        if self._session is not None and self._last is not None and self._answering is None:
            name, messages = str(self._log.path), self._log.conversation.messages
            await aside(partial(self._service.remember, self._session, name, messages))

    async def _recall(self) -> None:
        """Go on with the conversation where an engine was left, and let later engines do so."""
        if self._session is not None:
            self._recalled = self._log.path
            await aside(partial(self._service.recall, self._session, str(self._recalled)))

    async def _leave_engine(self) -> None:
        await self._remember()
        await super()._leave_engine()

    async def _load(self, wish: Wish, plan: Plan | None = None, index: int | None = None) -> None:
        await super()._load(wish, plan, index)
        await self._recall()

    def show_session(self) -> None:
        """What was measured is of the engine before, and so is what it was asked."""
        self._last = self._asked = None

    def show_title(self) -> None:
        """The conversation is another, or its title is."""

    @property
    def _what_is_under_way(self) -> str:
        is_answering = self._answering is not None
        return "The model is still answering. Esc stops it." if is_answering else super()._what_is_under_way

    # Turns

    @work(exclusive=True, group="turn")
    async def _say(self, said: str, written: str) -> None:
        """Ask, and answer; where it does not come to that, what was `written` goes back into the composer."""
        turns = self._log.conversation.turns[: self._editing]
        if not await self._fits((*turns, Turn("user", said)), fresh=True):
            self.query_one(Composer).put(written)
            return
        if self._editing is not None:
            await self._keep(self._editing)
        view = self.query_one(ConversationView)
        with self._saving():
            self._log.say("user", said)
        await view.ask(said)
        self.show_title()
        await self._answer()

    async def _keep(self, count: int) -> None:
        """Go on behind the first `count` turns."""
        self._editing = None
        with self._saving():
            self._log.keep(count)
        await self.query_one(ConversationView).keep(count)

    async def _answer(self) -> None:
        """A new answer to everything that was said, and one to what its calls bring."""
        while True:
            messages = self._log.conversation.messages
            with self._saving():
                self._log.say("assistant", "")
            if self._log.path != self._recalled:  # another had taken the name of the new file
                await self._recall()
            widget = await self.query_one(ConversationView).answer(len(self._blocks()) + 1)
            await self._generate(widget, messages)
            if not (self._log.conversation.waiting and await self._results()):
                return

    async def _results(self) -> bool:
        """Ask for what the calls at the end bring; whether an answer to that fits the context."""
        waiting = self._log.conversation.waiting
        for number, call in enumerate(waiting, 1):
            result = await self.app.push_screen_wait(CallDialog(call, number, len(waiting)))
            said = DECLINED if result is None else result
            with self._saving():
                self._log.say("tool", said, call.id)
            await self.query_one(ConversationView).result(call.name, said)
        return await self._fits(self._log.conversation.turns)

    async def _generate(
        self, widget: AnswerView, messages: tuple[Message, ...], *, continue_last: bool = False
    ) -> None:
        """Let an answer grow until it ends, and keep every piece of it."""
        session = self._session
        if session is None:
            return
        self._answering, self._stopping, self._last = widget, False, None
        before, self._asked, begun = self._asked, messages, self._settings.clocks.now()
        generate = partial(session.generate, messages, self._settings.sampling, continue_last=continue_last)
        widget.note("thinking about it… · Esc stops")
        try:
            async for chunks in batches(generate):
                self._grow(widget, chunks)
            last = self._last or Chunk(Phase.DONE)
            numbers = after_turn(last, session.loaded.ctx, reread_reason(before, messages, last))
            why = last.happened if last.finish is Finish.LENGTH else None  # it was said once, and is gone from there
            ending = " · ".join((numbers, *filter(None, (why,)), *self._unsaid(last.notes)))
            widget.note(ending)
            self._keep_calls(widget, last)
        except LocalrunError as error:
            ending = one_line(str(error))
            if isinstance(error, _OF_THE_ENGINE):
                await self._drop_engine()
                ending += " Nothing said is lost: Ctrl+R starts the engine anew and answers again."
            widget.note(ending, error=True)
        finally:
            self._answering = None
        if self._settings.clocks.now() - begun >= _WORTH_A_NOTICE_S:
            await give_notice(self.app, self._settings.notice, f"{self._log.conversation.title} · {ending}")
        with self._saving():
            self._log.end(ending)

    def _unsaid(self, notes: Iterable[str]) -> Iterator[str]:
        """Those that no earlier turn has in its note."""
        return (note for note in notes if not any(note in turn.note for turn in self._log.conversation.turns))

    def _keep_calls(self, widget: AnswerView, last: Chunk) -> None:
        """Calls that are whole are part of the conversation; of an answer that was cut off they are not."""
        if last.finish is Finish.CALLS:
            with self._saving():
                self._log.call(widget.calls)

    def _grow(self, widget: AnswerView, chunks: list[Chunk]) -> None:
        recast = next((place for place, chunk in enumerate(chunks) if chunk.recast), None)
        if recast is not None:
            self._grow_by(widget, chunks[:recast])
            with self._saving():
                self._log.recast()
            widget.recast()
        self._grow_by(widget, chunks[recast or 0 :])
        for note in filter(None, (chunk.happened for chunk in chunks)):
            self.complain(note)
            self.keep_up()
        self._last = chunks[-1]
        if not self._stopping:
            widget.note(f"{under_way(self._last)} · Esc stops")

    def _grow_by(self, widget: AnswerView, chunks: Sequence[Chunk]) -> None:
        said = "".join(chunk.text for chunk in chunks)
        thought = "".join(chunk.reasoning for chunk in chunks)
        if said or thought:
            with self._saving():
                self._log.grow(said, thought)
            widget.grow(said, thought)
        if calls := [delta for chunk in chunks for delta in chunk.calls]:
            widget.call(reduce(with_delta, calls, widget.calls))

    @contextmanager
    def _saving(self) -> Iterator[None]:
        """Say when the disk refuses; the conversation goes on, and is written when it can be."""
        try:
            yield
        except OSError as error:
            self.complain(f"{unsaved(error.strerror)} It is tried again with the next word.")

    @work(exclusive=True, group="turn")
    async def _again(self, count: int) -> None:
        if await self._fits(self._log.conversation.turns[:count]):
            await self._keep(count)
            await self._answer()

    @work(exclusive=True, group="turn")
    async def _go_on(self) -> None:
        """Let the last answer go on; where its calls wait, with what they bring."""
        if self._log.conversation.waiting:
            if await self._engine() and await self._results():
                await self._answer()
            return
        if not await self._fits(self._log.conversation.turns):
            return
        messages = self._log.conversation.messages
        widget = self.query_one(ConversationView).turns[-1]
        if isinstance(widget, AnswerView) and messages and messages[-1].role == "assistant":
            await self._generate(widget, messages, continue_last=True)

    def _blocks(self) -> list[CodeBlock]:
        """The code blocks of all answers, in order."""
        answers = (turn.text for turn in self._log.conversation.turns if turn.role == "assistant")
        return [block for text in answers for block in code_blocks(text)]

    def _questions(self) -> list[int]:
        """The places of all questions among the turns."""
        return self._places("user")

    def _answers(self) -> list[int]:
        """The places of all answers."""
        return self._places("assistant")

    def _places(self, role: str) -> list[int]:
        return [place for place, turn in enumerate(self._log.conversation.turns) if turn.role == role]

    @work(exclusive=True, group="turn")
    async def _open(self, log: ConversationLog) -> None:
        await self._begin(log)

    @work(exclusive=True, group="turn")
    async def _reopen(self, path: Path) -> None:
        """Go on with an earlier conversation, or with a copy of one that another window goes on with."""
        if (log := await self._opened(partial(self._store.go_on, path), path)) is not None and log.is_new:
            self.complain(OPEN_ELSEWHERE)

    @work(exclusive=True, group="turn")
    async def _take_up(self, path: Path) -> None:
        """Go on with the conversation that the command named, or with a copy under the name that it gave."""
        log = await self._opened(partial(self._as_named, path), path)
        if log is not None and not self._settings.title and log.path != path:
            self.complain(OPEN_ELSEWHERE)

    def _as_named(self, path: Path) -> ConversationLog:
        title, system = self._settings.title, self._settings.system
        log = self._store.copy(path) if title else self._store.go_on(path)
        if title:
            log.rename(title)
        if system:
            log.set_system(system)
        return log

    async def _opened(self, read: Callable[[], ConversationLog], path: Path) -> ConversationLog | None:
        """Show what was read from a file; None, and said, where it cannot be."""
        try:
            log = read()
        except OSError as error:
            self.complain(f"The conversation cannot be opened: {error.strerror}.")
            return None
        await self._begin(log)
        if log.damaged:
            self.complain(damaged(path, log.damaged))
        return log

    async def _begin(self, log: ConversationLog) -> None:
        """Go on with another conversation; the engine keeps running."""
        if log is not self._log:
            await self._remember()
            self._log.close()
        self._log, self._last, self._editing = log, None, None
        await self._recall()
        for view in self.query(ConversationView):
            await view.show(log.conversation)
        if not self.query(Composer):  # the screen was left meanwhile
            return
        composer = self.query_one(Composer)
        composer.remember([as_written(turn.text) for turn in log.conversation.turns if turn.role == "user"])
        composer.focus()
        self.show_title()

    # What fits the context

    async def _fits(self, turns: tuple[Turn, ...], *, fresh: bool = False) -> bool:
        """Whether the turns leave room for an answer, after asking what to do if they do not.

        `fresh`: the last turn is a new message, which may go into a new chat.
        """
        try:
            while (session := await self._engine()) is not None:
                wanted = replace(self._log.conversation, turns=turns)
                short = await aside(partial(shortage, session, wanted, self._settings.sampling, fresh=fresh))
                if short is None:
                    return True
                remedy = await self.app.push_screen_wait(question(short))
                if not await self._make_room(remedy, short):
                    return False
                if remedy == Way.NEW:
                    turns = turns[-1:]
        except LocalrunError as error:
            self.complain(str(error))
            if isinstance(error, _OF_THE_ENGINE):
                await self._drop_engine()
        return False

    async def _make_room(self, remedy: str | None, short: Shortage) -> bool:
        """Do what was chosen; False if nothing was done."""
        match remedy:
            case Way.MORE:
                return await self._change(replace(self._plan.wish, ctx=short.longer))
            case Way.DROP:
                with self._saving():
                    self._log.skip(short.drop)
                await self.query_one(ConversationView).say_skipped(short.drop)
            case Way.NEW:
                await self._begin(self._store.new(self._label, self._log.conversation.system))
        return remedy is not None
