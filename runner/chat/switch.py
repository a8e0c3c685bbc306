"""Thinking on, off or how hard, by the names that a chat template knows: found by looking at what it reads. Pure.

The names are those of templates in llama.cpp's models/templates; a template that knows none, but fences thinking, gets
the block itself: begun and ended at once, or only ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from runner.chat import markers
from runner.chat.markers import Markers
from runner.chat.renderer import Renderer
from runner.types.thinking import Think

_FLAGS = ("enable_thinking", "thinking", "reasoning")  # true or false
_LEVELS = ("reasoning_effort", "thinking_effort", "reasoning_strength")
_MODES = {"thinking_mode": {True: "enabled", False: "disabled"}}  # MiniMax M3
_EFFORTS = {
    Think.OFF: ("no_think", "none", "minimal", "low"),
    Think.LOW: ("low", "minimal"),
    Think.ON: ("medium", "high", "low"),
    Think.MEDIUM: ("medium", "high", "low"),
    Think.HIGH: ("high", "max"),
}
_BUDGET = "thinking_budget"  # Seed-OSS: tokens
_WORDS = {True: "/think", False: "/no_think"}  # Qwen3, SmolLM3, Nemotron: in a message

CANNOT = "The model's chat template knows no thinking: --think changes nothing."
NO_LEVELS = "The model's chat template knows no levels of thinking: it is only on."


@dataclass(frozen=True, slots=True)
class Switch:
    """What a template is told, and the `word` that goes with the last question.

    `closes`: the block is to be closed by hand, for the template has no name for it. `notes`: what there is to say.
    """

    variables: Mapping[str, object] = field(default_factory=dict)
    word: str = ""
    closes: bool = False
    knows: bool = False
    notes: tuple[str, ...] = ()


def switch_for(asked: Think, budget: int | None, renderer: Renderer) -> Switch:
    """How to have what was asked of this template; `budget` in tokens where it reads one."""
    variables = _budget(asked, budget, renderer)
    efforts = [name for name in _LEVELS if name in renderer.reads]
    on = asked is not Think.OFF
    flags: dict[str, object] = {name: on for name in _FLAGS if name in renderer.reads}
    flags |= {name: words[on] for name, words in _MODES.items() if name in renderer.reads}
    word = _WORDS[on] if not flags and re.search(f"(?<![<\\w]){_WORDS[on]}", renderer.text) else ""
    knows = bool(flags or word or efforts or variables or markers.fence_in(renderer.text))
    if asked is Think.AUTO:
        return Switch(variables, knows=knows)
    variables |= flags | {name: _effort(asked, renderer) for name in efforts if asked is not Think.ON or not flags}
    notes = () if knows else (CANNOT,)
    if knows and asked.is_level and not efforts and _BUDGET not in variables:
        notes = (NO_LEVELS,)
    return Switch(variables, word, not (on or flags or word), knows, notes)


def knows_thinking(template: str) -> bool:
    """Whether a model with this chat template thinks, as far as the text says without being read."""
    names = (*_FLAGS, *_LEVELS, *_MODES, _BUDGET)
    named = re.search(rf"\b({'|'.join(names)})\b", template)
    return named is not None or markers.fence_in(template) is not None


def _effort(asked: Think, renderer: Renderer) -> str:
    """How hard, by the first of these words that the template speaks of; the plain word where it speaks of none."""
    quoted = (word for word in _EFFORTS[asked] if re.search(f"['\"]{word}['\"]", renderer.text))
    return next(quoted, _PLAIN.get(asked, asked.value))


_PLAIN = {Think.OFF: "low", Think.ON: "medium"}
_SEED_LEVELS = {Think.LOW: 512, Think.MEDIUM: 2048, Think.HIGH: 8192, Think.OFF: 0}


def _budget(asked: Think, budget: int | None, renderer: Renderer) -> dict[str, object]:
    found = _SEED_LEVELS.get(asked) if budget is None else budget
    return {_BUDGET: found} if found is not None and _BUDGET in renderer.reads else {}


def without_thinking(prompt: str, fence: Markers | None) -> str:
    """The prompt, its thinking over where it has begun; where it has not, over before it begins if a fence is known."""
    opened = markers.opened_thinking(prompt)
    if opened is not None:
        return prompt + opened.closing + ("" if opened.end else "\n\n")
    if fence is None or _is_closed(prompt):
        return prompt
    return prompt + (_header_of_answer(fence) if fence.end else f"{fence.opening.rstrip()}\n\n{fence.closing}\n\n")


def with_thinking(prompt: str, fence: Markers | None) -> str:
    """The prompt, its thinking begun where that is possible."""
    if fence is None or markers.opened_thinking(prompt):
        return prompt
    return prompt + (" " if fence is markers.MUSE else "") + fence.opening


def _header_of_answer(fence: Markers) -> str:
    """What stands behind the assistant's name where an answer begins."""
    return fence.closing.rpartition("assistant")[2]


def _is_closed(prompt: str) -> bool:
    """Whether a block of thinking is over at the end of the prompt."""
    return prompt.rstrip().endswith(tuple(fence.closing for fence in markers.THINKING))
