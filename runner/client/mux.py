"""The parent's end of the two pipes to an engine process: commands go in side by side, each hears its own events."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO, TypeVar

from models.errors import EngineError, LocalrunError
from runner.client.lines import Lines
from runner.client.mailbox import Mailbox
from runner.client.outbox import Outbox
from runner.client.watch import TICK_S, Limits, Watch, most_patient, patience
from runner.types.codec import pack, unpack
from runner.types.pipe import Command, Event, EventKind, Failure, LastWords, LongCommand, Stop, reply_behind

Reply = TypeVar("Reply")
Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class Fate:
    """How a process ends: `death` says why it is gone, `hung` ends one that did nothing for so many seconds.

    `lost` ends one that waits for another machine that is gone, and says so; None while none is. `elsewhere` and `road`
    are what a Watch wants to know.
    """

    pid: int
    death: Callable[[LastWords], LocalrunError]
    hung: Callable[[float], EngineError]
    lost: Callable[[], EngineError | None] = lambda: None
    elsewhere: Callable[[], Hashable] = lambda: None
    road: Callable[[], Hashable] = lambda: None


class Mux:
    """Commands from any thread. A thread of its own listens to the engine as long as a command is under way."""

    def __init__(self, commands: BinaryIO, events: BinaryIO, fate: Fate) -> None:
        self._outbox, self._lines, self._fate = Outbox(commands), Lines(events), fate
        self._watch = Watch(fate.pid, None, fate.elsewhere, fate.road)
        self._last_words = LastWords("")
        self._numbers = count(1)
        self._changing = threading.Lock()  # of the two that follow
        self._under_way: dict[int, Mailbox] = {}
        self._is_heard = False

    def ask(self, command: Command[Reply]) -> Reply:
        """Send a command and return its reply; steps on the way are dropped."""
        reply: Reply = reply_behind(self._exchange(command))
        return reply

    def stream(self, command: LongCommand[Step, Reply], limits: Limits | None = None) -> Generator[Step, None, Reply]:
        """Send a command, yield its steps, return its reply. Errors come as what they were there.

        `limits` are for the next word, the command's own if not given. Closing the generator stops the command.
        """
        return self._exchange(command, limits)

    def stop(self, command: Command[Any] | None = None) -> None:
        """Interrupt this very command, or all; one still ends with its own last event, or with StillBusy.

        Also for a signal's handler: it waits for no lock.
        """
        for number, mailbox in list(self._under_way.items()):
            if command is None or mailbox.command is command:
                self._stop(number, mailbox)

    def _stop(self, number: int, mailbox: Mailbox) -> None:
        mailbox.stop()
        self._outbox.send(_line(0, Stop(number)))

    def _exchange(self, command: Command[Any], limits: Limits | None = None) -> Generator[Any, None, Any]:
        step, reply = command.types()
        mailbox = Mailbox(command, limits or patience(command))
        number = self._open(mailbox)
        has_ended = False
        try:
            self._outbox.send(_line(number, command))
            while True:
                event = mailbox.next()
                has_ended = event.event is not EventKind.STEP
                if event.event is EventKind.ERROR:
                    raise unpack(Failure, event.value).error
                if has_ended:
                    return unpack(reply, event.value)
                yield unpack(step, event.value)
        except LocalrunError:
            has_ended = True
            raise
        finally:
            if not has_ended and not mailbox.is_stopped:
                self._abandon(number, mailbox)
            self._close(number)

    def _abandon(self, number: int, mailbox: Mailbox) -> None:
        """The listener left early: stop the command and wait a moment for its end."""
        self._stop(number, mailbox)
        try:
            while mailbox.next().event is EventKind.STEP:
                pass
        except LocalrunError:
            return

    def _open(self, mailbox: Mailbox) -> int:
        with self._changing:
            number = next(self._numbers)
            self._under_way[number] = mailbox
            self._watch.limits = most_patient(mailbox.limits for mailbox in self._under_way.values())
            if len(self._under_way) == 1:
                self._watch.begin()
            if not self._is_heard:
                self._is_heard = True
                threading.Thread(target=self._hear, name="engine", daemon=True).start()
        return number

    def _close(self, number: int) -> None:
        with self._changing:
            self._under_way.pop(number, None)
            self._watch.limits = most_patient(mailbox.limits for mailbox in self._under_way.values())

    def _hear(self) -> None:
        while self._goes_on():
            try:
                self._hear_line()
            except Exception as error:  # nobody shall wait for ever
                self._end_all(EngineError(f"The engine was not understood: {error!r}."))

    def _hear_line(self) -> None:
        line = self._lines.next(TICK_S)
        if line is None:
            self._look()
        elif line:
            event = unpack(Event, json.loads(line))
            self._watch.heard(is_step=event.event is EventKind.STEP)
            self._deliver(event)
        else:
            self._end_all(self._fate.death(self._last_words))

    def _goes_on(self) -> bool:
        with self._changing:
            self._is_heard = bool(self._under_way)
            return self._is_heard

    def _deliver(self, event: Event) -> None:
        """What is said about a command that nobody listens to any more is passed over."""
        mailbox = self._under_way.get(event.id)
        if event.event is EventKind.ABORT:
            self._last_words = unpack(LastWords, event.value)
        elif mailbox is not None:
            mailbox.hear(event)

    def _look(self) -> None:
        """After a tick in which the engine said nothing: end it when those were too many."""
        if (seconds := self._watch.waited_s()) is not None:
            self._end_all(self._fate.hung(seconds))
        elif (lost := self._fate.lost()) is not None:
            self._end_all(lost)

    def _end_all(self, error: LocalrunError) -> None:
        with self._changing:
            ended, self._under_way = list(self._under_way.values()), {}
        for mailbox in ended:
            mailbox.end(error)


def _line(number: int, command: Command[Any]) -> bytes:
    return json.dumps({"id": number, "op": command.op, **pack(command)}).encode() + b"\n"
