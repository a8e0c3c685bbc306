"""Conversations as prompts: the template, what of the cache can be kept. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from runner.chat.markers import THINKING, Markers, opened_thinking
from runner.types.generation import Message

# ChatML: what most models without a template of their own were trained on or at least understand.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN, FALLBACK = "the model's own", "ChatML, because the file has no template"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text for the model; `thinking` is the fence that it has opened and not closed, `is_begun` says that words of the
    answer end it. `notes` says what was done to the conversation to please the template.
    """

    text: str
    thinking: Markers | None = None
    is_begun: bool = False
    notes: tuple[str, ...] = ()


def common_prefix(old: Sequence[int], new: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for index, (left, right) in enumerate(zip(old, new, strict=False)):
        if left != right:
            return index
    return min(len(old), len(new))


def build_prompt(
    messages: Sequence[Message], render: Callable[[Sequence[Message]], str], fence: Markers = THINKING[0]
) -> Prompt:
    """Render a conversation. One that ends with the assistant's words is continued: they end the prompt as they are.

    Thinking among them stands in the fence that the prompt opens, else in `fence`.
    A template that refuses a system message gets it in front of the first user message.
    """
    history, begun = list(messages), None
    if history and history[-1].role == "assistant":
        begun = history.pop()
    try:
        return _begun(render(history), begun, fence)
    except ValueError:
        folded = _fold_system(history)
        if folded == history:
            raise
        note = "The chat template knows no system message; it was put before the first question."
        return replace(_begun(render(folded), begun, fence), notes=(note,))


def _begun(text: str, answer: Message | None, usual: Markers) -> Prompt:
    """A prompt with the words of the answer behind it."""
    opened = opened_thinking(text)
    if answer is None or not (answer.content or answer.reasoning):
        return Prompt(text, opened)
    if not answer.reasoning:
        return Prompt(text + answer.content, is_begun=True)
    fence = opened or usual
    text += ("" if opened else fence.opening) + answer.reasoning
    if not answer.content:
        return Prompt(text, fence, is_begun=True)
    return Prompt(text + fence.closing + answer.content, is_begun=True)


def _fold_system(messages: list[Message]) -> list[Message]:
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return messages
    system, first, *rest = messages
    return [replace(first, content=f"{system.content}\n\n{first.content}"), *rest]
