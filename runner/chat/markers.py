"""How model families fence their thinking. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Markers:
    """How a family fences its thinking: the text between `opening` and `closing` is not the answer.

    Where an answer is made of messages with a header each, `end` ends that of the thinking (llama.cpp:
    thinking_end_tags) and `closing` is the way from there to the answer. `frame`: what the answer stands in.
    """

    opening: str
    closing: str
    end: str = ""
    frame: tuple[str, str] | None = None

    @property
    def ends_with(self) -> str:
        """What the model itself says when it has thought enough."""
        return self.end or self.closing


# Sources: llama.cpp's common/parsers (thinking_start_tag, thinking_end_tags) and the templates in its models/templates.
THINK = Markers("<think>", "</think>")  # most
HARMONY = Markers(  # gpt-oss
    "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>", "<|end|>"
)
MUSE = Markers("to=self<|message|>", "<|eom|><|start|>assistant to=user<|message|>", "<|eom|>")
SOLAR = Markers("<|think|>", "<|end|><|begin|>assistant<|content|>", "<|end|>")
KIMI_K3 = Markers(
    "<|open|>think<|sep|>", "<|close|>think<|sep|>", frame=("<|open|>response<|sep|>", "<|close|>response<|sep|>")
)
COMMAND = Markers("<|START_THINKING|>", "<|END_THINKING|>", frame=("<|START_RESPONSE|>", "<|END_RESPONSE|>"))
THINKING = (
    THINK,
    HARMONY,
    Markers("[THINK]", "[/THINK]"),  # Magistral, Ministral 3
    COMMAND,
    Markers("<seed:think>", "</seed:think>"),
    Markers("<mm:think>", "</mm:think>"),  # MiniMax M3
    Markers("<think:opensource>", "</think:opensource>"),  # Hunyuan 3
    Markers("<|channel>thought\n", "<channel|>"),  # Gemma 4
    Markers("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    Markers("◁think▷", "◁/think▷"),  # Kimi VL
    Markers("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]"),  # Apriel
    KIMI_K3,
    MUSE,
    SOLAR,
)

FRAMES = tuple(fence.frame for fence in THINKING if fence.frame)
HEADER = "<|channel|>"
"""Begins a header that says what a message is."""
ADDRESS = "<|start|>assistant to=functions."
"""Begins, up to `<|message|>`, what a stream leaves in the text of the header of a message to a function."""
RECIPIENT = ("to=functions.", "<|start|>assistant to=")
"""Begins a header that says to whom first."""
HEADER_ENDS = ("<|message|>", "<|content|>", SOLAR.opening)
MESSAGE_ENDS = ("<|end|>", "<|eom|>")
# Before an answer without thinking.
NOISE = ("to=user<|message|>", "<|content|>", "<|message|>")
OPENINGS = (*(fence.opening for fence in THINKING), *(opening for opening, _ in FRAMES), HEADER, *NOISE)
# Closings that say enough alone: some models are trained on prompts that opened the thinking, and not asked with such.
ALONE = tuple(fence.closing for fence in THINKING if not fence.end and fence is not KIMI_K3)
ALL = (
    *OPENINGS,
    *(fence.closing for fence in THINKING),
    *(closing for _, closing in FRAMES),
    *HEADER_ENDS,
    *MESSAGE_ENDS,
    "<|constrain|>",
)


def fence_of_message(header: str, end: str) -> Markers | None:
    """Whose thinking a message with this header is, `end` being what ended the header; None for one that answers."""
    said = header.rpartition(HEADER)[2].removeprefix("<|start|>assistant").strip()
    if end == SOLAR.opening:
        return SOLAR
    return HARMONY if said.startswith("analysis") else MUSE if said.startswith("to=self") else None


def recipient(header: str) -> str:
    """The function that a message with this header is for; empty for one that is for people."""
    found = re.search(r"to=functions\.([\w.:/-]+)", header)
    return found[1] if found else ""


def opened_thinking(prompt: str) -> Markers | None:
    """The fence that the prompt's own end has opened (templates of always-thinking models do that)."""
    tail = prompt.rstrip()
    return next((fence for fence in THINKING if tail.endswith(fence.opening.rstrip())), None)


def fence_in(template: str) -> Markers | None:
    """The fence that a chat template speaks of."""
    return next((fence for fence in THINKING if fence.opening.rstrip() in template), None)
