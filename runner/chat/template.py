"""Conversations as prompts: the template, what of the cache can be kept. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from runner.types.generation import Message

# ChatML: what most models without a template of their own were trained on or at least understand.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN, FALLBACK, RAW = "the model's own", "ChatML, because the file has no template", "none: plain text"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Text for the model. `notes` says what was done to the conversation to please the template."""

    text: str
    notes: tuple[str, ...] = ()


def common_prefix(old: Sequence[int], new: Sequence[int]) -> int:
    """How many tokens both begin with."""
    for index, (left, right) in enumerate(zip(old, new, strict=False)):
        if left != right:
            return index
    return min(len(old), len(new))


def build_prompt(messages: Sequence[Message], render: Callable[[Sequence[Message]], str]) -> Prompt:
    """Render a conversation. One that ends with the assistant's words is continued: they end the prompt as they are.

    A template that refuses a system message gets it in front of the first user message.
    """
    history, begun = list(messages), ""
    if history and history[-1].role == "assistant":
        begun = history.pop().content
    try:
        return Prompt(render(history) + begun)
    except ValueError:
        folded = _fold_system(history)
        if folded == history:
            raise
        return Prompt(
            render(folded) + begun,
            ("The chat template knows no system message; it was put before the first question.",),
        )


def _fold_system(messages: list[Message]) -> list[Message]:
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return messages
    system, first, *rest = messages
    return [replace(first, content=f"{system.content}\n\n{first.content}"), *rest]
