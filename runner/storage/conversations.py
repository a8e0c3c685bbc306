"""Conversations on disk: one file each, a line of JSON per event, only ever appended to.

    {"event": "begin", "model": "...", "at": 1763768000.0}      first line
    {"event": "system", "text": "..."}                          sets or (empty) removes the system prompt
    {"event": "title", "text": "..."}                           renames
    {"event": "message", "role": "user", "text": "..."}         begins a message; a result `answers` the id of a call
    {"event": "delta", "text": "...", "reasoning": "..."}       the last message grows
    {"event": "recast"}                                         all text of the last message is thinking after all
    {"event": "calls", "calls": [...]}                          the last message calls tools, in OpenAI's words
    {"event": "end", "note": "..."}                             how the last message ended
    {"event": "keep", "count": 4}                               messages from the fifth on are another branch
    {"event": "skip", "count": 2}                               the first two are no longer sent to the model
    {"event": "branch", "index": 0}                             the oldest of the other branches is gone on with
    {"event": "branch_name", "text": "..."}                     names the branch that is gone on with

Nothing is rewritten: a crash costs at most the line that was being written, and reading skips such a line.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

from models.stores.recency import mark_used
from runner.storage.claims import Claim, claim, claim_new
from runner.storage.lines import append_lines
from runner.types.conversation import Conversation, Listed, Turn
from runner.types.tools import ToolCall
from runner.types.tools_json import calls_json, read_calls

DAMAGE = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def after(conversation: Conversation, event: dict[str, Any]) -> Conversation:
    """The conversation after one event; one of another shape raises one of `DAMAGE`."""
    turns = conversation.turns
    changes: dict[str, Any]
    match event["event"]:
        case "begin":
            changes = {"model": str(event["model"])}
        case "system":
            changes = {"system": str(event["text"])}
        case "title":
            changes = {"name": str(event["text"])}
        case "message":
            said = Turn(str(event["role"]), str(event["text"]), answers=str(event.get("answers", "")))
            changes = {"turns": (*turns, said)}
        case "delta" | "recast" | "calls" | "end" if turns:
            changes = {"turns": (*turns[:-1], _grown(turns[-1], event))}
        case "keep":
            changes = _kept(conversation, max(0, int(event["count"])))
        case "branch" if 0 <= (index := int(event["index"])) < len(conversation.branches):
            taken, others = conversation.branches[index], conversation.branches
            changes = {"branch": taken.name, "turns": taken.turns, "skipped": taken.skipped}
            changes["branches"] = (*others[:index], conversation.present, *others[index + 1 :])
        case "branch_name":
            changes = {"branch": str(event["text"])}
        case "skip":
            changes = {"skipped": min(max(0, int(event["count"])), len(turns))}
        case other:
            raise ValueError(f"not an event of a conversation: {other!r}")
    return replace(conversation, **changes)


def _kept(conversation: Conversation, count: int) -> dict[str, Any]:
    """The first turns go on as a branch of their own; the whole stays as another where it had an answer to lose."""
    kept, gone = conversation.turns[:count], conversation.turns[count:]
    changes: dict[str, Any] = {"turns": kept, "skipped": min(conversation.skipped, len(kept))}
    if any(turn.role == "assistant" and (turn.text or turn.calls) for turn in gone):
        changes |= {"branch": "", "branches": (*conversation.branches, conversation.present)}
    return changes


def _grown(turn: Turn, event: dict[str, Any]) -> Turn:
    match event["event"]:
        case "end":
            return replace(turn, note=str(event["note"]))
        case "recast":
            return replace(turn, text="", reasoning=turn.reasoning + turn.text)
        case "calls":
            return replace(turn, calls=read_calls(event["calls"]))
    text, reasoning = str(event["text"]), str(event.get("reasoning", ""))
    return replace(turn, text=turn.text + text, reasoning=turn.reasoning + reasoning)


def read(lines: Iterable[str]) -> Conversation:
    """Replay a file's lines; a cut, damaged or unknown line is skipped."""
    return _replay(lines)[0]


def _replay(lines: Iterable[str]) -> tuple[Conversation, list[dict[str, Any]]]:
    """The conversation, and those events of its file that could be read. Deltas are most of them, and taken at once."""
    conversation = Conversation()
    events: list[dict[str, Any]] = []
    for are_deltas, group in groupby(filter(None, map(_event, lines)), _is_delta):
        for steps in [list(group)] if are_deltas else [[one] for one in group]:
            try:
                conversation = after(conversation, _sum_of(steps) if are_deltas else steps[0])
            except DAMAGE:
                continue
            events += steps
    return conversation, events


def _event(line: str) -> dict[str, Any] | None:
    """What a line says; None where it is no event at all."""
    try:
        event = json.loads(line)
    except DAMAGE:
        return None
    return event if isinstance(event, dict) else None


def _is_delta(event: dict[str, Any]) -> bool:
    return event.get("event") == "delta" and isinstance(event.get("text"), str)


def _sum_of(deltas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One delta that is as much as these."""
    texts = {key: "".join(str(delta.get(key, "")) for delta in deltas) for key in ("text", "reasoning")}
    return {"event": "delta", **texts}


def _lines(path: Path) -> list[str]:
    return path.read_bytes().decode("utf-8", "replace").split("\n")


def _files(folder: Path) -> Iterator[Path]:
    return folder.glob("*.jsonl")


@dataclass(slots=True)
class ConversationLog:
    """A conversation and its file. Not thread-safe: one owner, who holds the file from the first turn written on.

    The file of a new one (`is_new`) is made with the first turn; `path` is where, unless another took that name. One
    that is not `is_kept` never has a file. `damaged` lines of its file could not be read; they stay there.
    """

    path: Path
    conversation: Conversation = field(default_factory=Conversation)
    is_new: bool = False
    is_kept: bool = True
    damaged: int = 0
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _claim: Claim | None = None

    def begin(self, model: str, system: str, at: float) -> None:
        """The first lines of a new file."""
        self._add({"event": "begin", "model": model, "at": at})
        if system:
            self.set_system(system)

    def set_system(self, text: str) -> None:
        """Set the system prompt; empty removes it."""
        self._add({"event": "system", "text": text})

    def rename(self, title: str) -> None:
        """Give it a name of its own; empty returns to the first question."""
        self._add({"event": "title", "text": title})

    def say(self, role: str, text: str, answers: str = "") -> None:
        """Begin a message; `answers`: the id of the call it is the result of. On the disk when this returns."""
        event = {"event": "message", "role": role, "text": text}
        self._add(event | {"answers": answers} if answers else event, sync=True)

    def grow(self, text: str, reasoning: str = "") -> None:
        """The last message goes on."""
        event = {"event": "delta", "text": text}
        self._add(event | {"reasoning": reasoning} if reasoning else event)

    def recast(self) -> None:
        """All that the last message said is thinking after all."""
        self._add({"event": "recast"})

    def call(self, calls: Sequence[ToolCall]) -> None:
        """The last message calls tools."""
        self._add({"event": "calls", "calls": calls_json(calls)})

    def add(self, turn: Turn) -> None:
        """A whole turn at the end."""
        self.say(turn.role, turn.text, turn.answers)
        if turn.reasoning:
            self.grow("", turn.reasoning)
        if turn.calls:
            self.call(turn.calls)
        if turn.note:
            self.end(turn.note)

    def end(self, note: str) -> None:
        """The last message is complete, and on the disk when this returns."""
        self._add({"event": "end", "note": note}, sync=True)

    def keep(self, count: int) -> None:
        """Go on behind the first `count` turns; what was said behind them is another branch."""
        self._add({"event": "keep", "count": count})

    def switch(self, index: int) -> None:
        """Go on with one of the other branches; the present one takes its place among them."""
        self._add({"event": "branch", "index": index})

    def name_branch(self, name: str) -> None:
        """Name the branch that is gone on with; empty removes its name."""
        self._add({"event": "branch_name", "text": name})

    def skip(self, count: int) -> None:
        """The first `count` turns stay in the file but are no longer sent."""
        self._add({"event": "skip", "count": count})

    def hold(self) -> None:
        """Let nobody else write it until `close`. BlockingIOError where another holds it, OSError as of the disk."""
        if self._claim is None:
            self._claim = claim_new(self.path) if self.is_new else claim(self.path)
            self.path, self.is_new = self._claim.path, False

    def close(self) -> None:
        """Let others write it."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    def _add(self, event: dict[str, Any], *, sync: bool = False) -> None:
        """Apply an event, and append it; nothing touches the disk before somebody said something."""
        self.conversation = after(self.conversation, event)
        self._waiting.append(event)
        if self.is_kept and (self.conversation.turns or not self.is_new):
            self.hold()
            text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in self._waiting)
            append_lines(self.path, text.encode("utf-8", "replace"), sync=sync)
            if sync:
                mark_used(self.path, _files(self.path.parent))
            self._waiting = []


def _complete(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those before the turn that is under way."""
    messages = [index for index, event in enumerate(events) if event["event"] == "message"]
    if not messages or any(event["event"] == "end" for event in events[messages[-1] :]):
        return events
    is_answer = len(messages) > 1 and [events[index]["role"] for index in messages[-2:]] == ["user", "assistant"]
    return events[: messages[-2 if is_answer else -1]]


@dataclass(frozen=True, slots=True)
class ConversationStore:
    """The folder of conversations. `clock` gives seconds since 1970."""

    folder: Path
    clock: Callable[[], float] = time.time

    def new(self, model: str, system: str = "") -> ConversationLog:
        """A conversation that nobody has said anything in; it is not on the disk yet."""
        now = self.clock()
        log = ConversationLog(self._path(now), is_new=True)
        log.begin(model, system, now)
        return log

    def open(self, path: Path) -> ConversationLog:
        """An earlier conversation as it is at this moment, to be read."""
        return ConversationLog(path, read(_lines(path)))

    def go_on(self, path: Path) -> ConversationLog:
        """An earlier conversation, held; where another holds it, a copy of all that is complete. OSError."""
        log = ConversationLog(path)
        try:
            log.hold()
        except BlockingIOError:
            copy = self.copy(path)
            events = _complete(copy._waiting)
            return replace(copy, conversation=reduce(after, events, Conversation()), _waiting=events)
        lines = [line for line in _lines(path) if line]  # only what is read while it is held is the last word
        conversation, events = _replay(lines)
        return replace(log, conversation=conversation, damaged=len(lines) - len(events))

    def copy(self, path: Path) -> ConversationLog:
        """What was said in an earlier conversation, in a new one that its first change writes (`is_new`)."""
        lines = [line for line in _lines(path) if line]
        conversation, events = _replay(lines)
        return ConversationLog(
            self._path(self.clock()), conversation, is_new=True, damaged=len(lines) - len(events), _waiting=events
        )

    def _path(self, now: float) -> Path:
        return self.folder / (time.strftime("%Y%m%d-%H%M%S", time.localtime(now)) + ".jsonl")

    def all(self) -> list[ConversationLog]:
        """Every conversation, the latest used first; unreadable files are left out."""
        return [ConversationLog(one.path, one.conversation) for one in self.listed()]

    def listed(self) -> list[Listed]:
        """The same, as they were when they were read."""
        return list(self._each())

    def last(self) -> Listed | None:
        """The one used last; no other is read."""
        return next(self._each(), None)

    def _each(self) -> Iterator[Listed]:
        for used, path in sorted(self._files(), reverse=True):
            try:
                conversation = read(_lines(path))
            except OSError:
                continue
            if conversation.turns:
                yield Listed(conversation, path, used)

    def _files(self) -> Iterator[tuple[float, Path]]:
        """When each was used last."""
        for path in _files(self.folder):
            with suppress(OSError):
                yield path.stat().st_mtime, path
