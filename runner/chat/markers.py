"""How model families fence their thinking. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Markers:
    """How a model family fences its thinking: the text between `opening` and `closing` is not the answer."""

    opening: str
    closing: str


# <think> is DeepSeek's, Qwen's and most others'; the channel form is gpt-oss's (OpenAI's harmony format).
THINKING = (
    Markers("<think>", "</think>"),
    Markers("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    Markers("[THINK]", "[/THINK]"),
)
# The frame around an answer that comes without any thinking before it.
NOISE = ("<|channel|>final<|message|>",)
OPENINGS = (*(fence.opening for fence in THINKING), *NOISE)
ALL = (*OPENINGS, *(fence.closing for fence in THINKING))


def opened_thinking(prompt: str) -> Markers | None:
    """The fence that the prompt's own end has opened (templates of always-thinking models do that)."""
    tail = prompt.rstrip()
    return next((fence for fence in THINKING if tail.endswith(fence.opening)), None)


def fence_in(template: str) -> Markers:
    """The fence that a chat template speaks of, else the usual one."""
    return next((fence for fence in THINKING if fence.opening in template), THINKING[0])
