"""A conversation in the shape that a template takes: whatever was said is in the prompt, or it is said that it is not.

Templates refuse or skip what their makers did not think of: a system message, two turns of one side in a row, an answer
at the very beginning, content that is plain text. So each template is tried with words that occur nowhere else, in
the shape of the conversation; where one is missing, the conversation is folded until all are there. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, groupby

from runner.chat.renderer import Renderer, said
from runner.chat.tools.hermes import SYNTAX as HERMES
from runner.chat.tools.syntax import Syntax
from runner.chat.tools.telling import in_words, one_call_each
from runner.types.generation import Message

_ROLES = ("system", "user", "assistant", "tool")
_SYSTEM = "The chat template knows no system message; it was put before the first question."
_LATER = "The chat template takes a system message at the beginning only; a later one was put before the next question."
_IN_A_ROW = "The chat template takes turns in alternation only; turns of the same side in a row were joined."
_OPENING = "The chat template wants a question first; an empty one was put before the opening answer."
_CALLS_IN_WORDS = "The chat template knows no calls; they and their results were put into words."
_LOST = "The chat template leaves out {}: the model does not see it."
_WORDS = "words"


Step = Callable[[list[Message]], list[Message]]


@dataclass(frozen=True, slots=True)
class Folding:
    """How a conversation is put to a template, and the sentences that say so."""

    steps: tuple[Step, ...] = ()
    in_parts: bool = False
    in_text: bool = False
    notes: tuple[str, ...] = ()

    def apply(self, messages: Sequence[Message], template: str) -> list[dict[str, object]]:
        """The conversation as the template reads it."""
        return said(_folded(messages, self.steps), template, in_parts=self.in_parts, in_text=self.in_text)


def folding_for(
    messages: Sequence[Message], renderer: Renderer, variables: dict[str, object], syntax: Syntax = HERMES
) -> Folding:
    """The least folding with which all is in the prompt, else that with which most is. ValueError if none renders.

    `syntax` is how the model writes calls.
    """
    trials = _Trials([_probed(one, index) for index, one in enumerate(messages)], renderer, variables)
    best, lost = None, list[str]()
    for folding in _foldings(_steps(messages, syntax), has_calls=any(one.calls for one in messages)):
        found = trials.lost_by(folding)
        if found is not None and (best is None or _weight(found) < _weight(lost)):
            best, lost = folding, found
        if best is not None and not _weight(lost):
            break
    if best is None:
        raise trials.refusal or ValueError("it renders nothing")
    apart = replace(best, steps=(_words_apart, *best.steps))
    if lost and trials.lost_by(apart) == []:
        return apart
    return replace(best, notes=(*best.notes, *_lost(lost)))


@dataclass(slots=True)
class _Trials:
    """A conversation of words that occur nowhere else, which is put to a template in one shape after the other."""

    probes: Sequence[Message]
    renderer: Renderer
    variables: Mapping[str, object]
    refusal: ValueError | None = None
    _seen: set[tuple[object, ...]] = field(default_factory=set)

    def lost_by(self, folding: Folding) -> list[str] | None:
        """What is not in the prompt; None where the template refuses this shape, or has had it before."""
        shape = (folding.in_parts, folding.in_text, *_folded(self.probes, folding.steps))
        if shape in self._seen:
            return None
        self._seen.add(shape)
        try:
            prompt = self.renderer.render(folding.apply(self.probes, self.renderer.text), self.variables)
        except ValueError as error:
            self.refusal = self.refusal or error
            return None
        return [name for one in self.probes for name in _lost_of(one, prompt)]


def _weight(lost: Sequence[str]) -> int:
    """How much was lost; words beside a call do not count, for no call is put into words for their sake."""
    return sum(1 for name in lost if name != _WORDS)


def _probe(*index: int) -> str:
    return f"Kwzx{'x'.join(map(str, index))}Qvjy"


def _probed(message: Message, index: int) -> Message:
    """The same with words that occur nowhere else."""
    calls = tuple(
        replace(call, arguments=f'{{"argument": "Call{_probe(index, number)}"}}')
        for number, call in enumerate(message.calls)
    )
    return replace(message, content=_probe(index) if message.content else "", calls=calls)


def _lost_of(message: Message, prompt: str) -> list[str]:
    """What of a message with probes is not in the prompt."""
    lost = ["call" for call in message.calls if call.arguments.split('"')[3] not in prompt]
    if not message.content or message.content in prompt:
        return lost
    return [*lost, _WORDS if message.calls else message.role]


def _foldings(steps: Mapping[Step, str], *, has_calls: bool) -> list[Folding]:
    """Each way with plain content, then each with parts; the fewer steps first, and calls in words at the very last."""
    chains = [chain for size in range(len(steps) + 1) for chain in combinations(steps, size)]
    found = [
        Folding(tuple(chain), in_parts, in_text, tuple(steps[step] for step in chain if steps[step]))
        for in_text in ((False, True) if has_calls else (False,))
        for in_parts in (False, True)
        for chain in chains
    ]
    return sorted(found, key=lambda one: _CALLS_IN_WORDS in one.notes)


def _steps(messages: Sequence[Message], syntax: Syntax) -> Mapping[Step, str]:
    """What may be done to a conversation, the least first; each with the sentence that says so."""
    if not any(one.calls or one.role == "tool" for one in messages):
        return _STEPS

    def calls_in_words(messages: list[Message]) -> list[Message]:
        return in_words(messages, syntax)

    return {one_call_each: "", _words_apart: "", **_STEPS, calls_in_words: _CALLS_IN_WORDS}


def _folded(messages: Sequence[Message], steps: Sequence[Step]) -> list[Message]:
    found = list(messages)
    for step in steps:
        found = step(found)
    return found


def with_known_role(message: Message) -> Message:
    """A role that every template could know: a developer is the system, anybody else asks."""
    if message.role in _ROLES:
        return message
    return replace(message, role="system" if message.role == "developer" else "user")


def _words_apart(messages: list[Message]) -> list[Message]:
    """Words beside a call in a message of their own before it, which keeps the thinking."""
    found: list[Message] = []
    for message in messages:
        if message.calls and message.content:
            found += [Message(message.role, message.content), replace(message, content="")]
        else:
            found.append(message)
    return found


def _fold_later(messages: list[Message]) -> list[Message]:
    """System messages before the next question, but for one that begins the conversation."""
    return [*messages[:1], *_fold_system(messages[1:])]


def _fold_system(messages: list[Message]) -> list[Message]:
    """System messages before the next question."""
    folded: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message.role == "system":
            waiting.append(message.content)
        elif message.role == "user" and waiting:
            folded.append(replace(message, content="\n\n".join([*waiting, message.content])))
            waiting = []
        else:
            folded.append(message)
    return [*folded, Message("user", "\n\n".join(waiting))] if waiting else folded


def _join_systems(messages: list[Message]) -> list[Message]:
    """One system message of all that follow each other."""
    return _joined(messages, ("system",))


def _join_rows(messages: list[Message]) -> list[Message]:
    """One message of all that follow each other from one side."""
    return _joined(messages, ("system", "user", "assistant"))


def _joined(messages: list[Message], roles: Sequence[str]) -> list[Message]:
    found: list[Message] = []
    for (_, is_plain), row in groupby(messages, key=lambda one: (one.role, one.role in roles and not one.calls)):
        same = list(row)
        joined = [replace(same[0], content="\n\n".join(one.content for one in same))]
        found += joined if is_plain else same
    return found


def _open_with_question(messages: list[Message]) -> list[Message]:
    """An empty question where the conversation begins with an answer."""
    first = next((index for index, one in enumerate(messages) if one.role != "system"), None)
    if first is None or messages[first].role != "assistant":
        return messages
    return [*messages[:first], Message("user", ""), *messages[first:]]


_STEPS: Mapping[Step, str] = {
    _join_systems: "",
    _fold_later: _LATER,
    _fold_system: _SYSTEM,
    _join_rows: _IN_A_ROW,
    _open_with_question: _OPENING,
}


def _lost(roles: Sequence[str]) -> tuple[str, ...]:
    names = {"system": "the system message", "user": "a question", "assistant": "an earlier answer"}
    names |= {"tool": "the result of a call", "call": "a call", _WORDS: "what was said beside a call"}
    return tuple(_LOST.format(names.get(role, f"a message of {role}")) for role in dict.fromkeys(roles))
