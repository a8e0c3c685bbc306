"""Conversations as prompts: the template, the switch of thinking, an answer that is gone on with. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.chat import switch
from runner.chat.folding import Folding, folding_for, with_known_role
from runner.chat.markers import THINK, Markers, fence_in, opened_thinking
from runner.chat.renderer import Renderer
from runner.chat.shield import Shield
from runner.chat.switch import Switch, switch_for
from runner.chat.tools.family import Family
from runner.chat.tools.syntax import Syntax
from runner.chat.tools.telling import shielded_call, telling_for, with_words
from runner.types.generation import Message
from runner.types.thinking import Think
from runner.types.tools import Calling, Tool, ToolChoice

_CONSTRAINED = "The answer is constrained, so it comes without thinking; --think on lets the model think first."


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text for the model, with the cuts of a `Shield`; `thinking` is the fence that it has opened and not closed.

    `is_begun` says that words of the answer end it. `notes` says what was done to the conversation to please the
    template, and what of the wish it cannot do. `family` is how the model writes calls, None where it may make none;
    `syntax` how it does with this template.
    """

    text: str
    thinking: Markers | None = None
    is_begun: bool = False
    notes: tuple[str, ...] = ()
    family: Family | None = None
    syntax: Syntax | None = None


@dataclass(frozen=True, slots=True)
class Shaping:
    """What a prompt is to be besides the conversation; `variables` are what the template may read."""

    think: Think = Think.AUTO
    budget: int | None = None
    is_constrained: bool = False
    variables: Mapping[str, object] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    calling: Calling = Calling()  # noqa: RUF009

    @property
    def is_call(self) -> bool:
        """Whether the answer is to be a call."""
        return bool(self.tools) and self.calling.choice is ToolChoice.REQUIRED


def common_prefix(old: Sequence[object], new: Sequence[object]) -> int:
    """How many tokens, or letters, both begin with."""
    for index, (left, right) in enumerate(zip(old, new, strict=False)):
        if left != right:
            return index
    return min(len(old), len(new))


def build_prompt(messages: Sequence[Message], renderer: Renderer, asked: Shaping, shield: Shield) -> Prompt:
    """Render a conversation. One that ends with the assistant's words is continued: they end the prompt as they are.

    An answer that is bound to a grammar has no room for thinking, unless that was asked for. ValueError where the
    template refuses.
    """
    history, begun = [_shielded(message, shield) for message in messages], None
    if history and history[-1].role == "assistant":
        begun = history.pop()
    telling = telling_for(asked.tools, asked.calling, renderer, shield)
    history = with_words(history, telling.words)
    is_off = asked.budget == 0 or (asked.is_constrained and asked.think is Think.AUTO)
    think = Think.OFF if is_off else asked.think
    turned = switch_for(think, asked.budget, renderer)
    variables = {**shield.cut_all(dict(asked.variables)), **turned.variables, **telling.variables}
    folding = folding_for(history, renderer, variables, telling.syntax) if history else Folding()
    text = renderer.render(folding.apply(_with_word(history, turned.word), renderer.text), variables)
    notes = (*telling.notes, *folding.notes, *_of_switch(asked, turned))
    fence = fence_in(renderer.text)
    if begun is not None and (begun.content or begun.reasoning):
        return replace(_begun(text, begun, fence), notes=notes)
    if turned.closes:
        text = switch.without_thinking(text, None if asked.is_call and fence and fence.end else fence)
    elif asked.is_constrained and think is not Think.OFF:
        text = switch.with_thinking(text, fence)
    return Prompt(text, opened_thinking(text), notes=notes, family=telling.family, syntax=telling.syntax)


def _shielded(message: Message, shield: Shield) -> Message:
    reasoning = message.reasoning and shield.cut(message.reasoning)
    calls = tuple(shielded_call(call, shield) for call in message.calls)
    return replace(with_known_role(message), content=shield.cut(message.content), reasoning=reasoning, calls=calls)


def _with_word(messages: list[Message], word: str) -> list[Message]:
    """A word for the template behind the last question."""
    if not word or not messages or messages[-1].role != "user":
        return messages
    return [*messages[:-1], replace(messages[-1], content=f"{messages[-1].content} {word}")]


def _of_switch(asked: Shaping, turned: Switch) -> tuple[str, ...]:
    if asked.think is Think.AUTO and asked.budget != 0:
        return (_CONSTRAINED,) if asked.is_constrained and turned.knows else ()
    return turned.notes


def _begun(text: str, answer: Message, fence: Markers | None) -> Prompt:
    """A prompt with the words of the answer behind it; thinking among them in its fence."""
    opened = opened_thinking(text)
    if not answer.reasoning:
        in_messages = fence if fence and fence.end else None
        return Prompt(switch.without_thinking(text, in_messages) + answer.content, is_begun=True)
    fence = opened or fence or THINK
    text = switch.with_thinking(text, fence) + answer.reasoning
    if not answer.content:
        return Prompt(text, fence, is_begun=True)
    return Prompt(text + fence.closing + answer.content, is_begun=True)
