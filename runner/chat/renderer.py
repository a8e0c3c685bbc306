"""What a chat template is to those who use one, and how a message looks to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from runner.types.generation import Message

Said = dict[str, Any]
"""A message as templates read it."""
_REASONING = ("reasoning_content", "reasoning", "thinking")


class Renderer(Protocol):
    """A chat template."""

    @property
    def text(self) -> str:
        """Its source."""

    @property
    def reads(self) -> frozenset[str]:
        """The names that it reads and does not set first."""

    def render(self, messages: Sequence[Said], variables: Mapping[str, object]) -> str:
        """The prompt, ready for the assistant's answer. ValueError where it refuses."""


def said(messages: Sequence[Message], template: str, *, in_parts: bool) -> list[Said]:
    """Messages for a template; `in_parts`: each content a list of parts of which ours is text.

    The thinking of earlier answers goes by the name that the template speaks of: whether it stays is for it to say.
    """
    name = next((one for one in _REASONING if one in template), None)
    return [_said(message, name, in_parts=in_parts) for message in messages]


def _said(message: Message, name: str | None, *, in_parts: bool) -> Said:
    content = [{"type": "text", "text": message.content}] if in_parts else message.content
    found: Said = {"role": message.role, "content": content}
    return {**found, name: message.reasoning} if name and message.reasoning else found
