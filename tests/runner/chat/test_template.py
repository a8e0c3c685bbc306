"""Conversations as prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from runner.chat.markers import COMMAND, HARMONY, MUSE, THINK, THINKING, Markers, fence_in
from runner.chat.renderer import Said, said
from runner.chat.shield import Shield
from runner.chat.template import Prompt, Shaping, build_prompt, common_prefix
from runner.types.generation import Message
from runner.types.thinking import Think

SYSTEM, USER, REPLY = Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hel")
Write = Callable[[Sequence[Said], Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Template:
    """One that is written in Python."""

    write: Write
    text: str = ""
    reads: frozenset[str] = frozenset()

    def render(self, messages: Sequence[Said], variables: Mapping[str, object]) -> str:
        return self.write(messages, variables)


def plain(messages: Sequence[Said], _variables: Mapping[str, Any]) -> str:
    return "".join(f"[{m['role']}]{m['content']}" for m in messages) + "[assistant]"


def built(messages: Sequence[Message], template: Template, **asked: Any) -> Prompt:
    return build_prompt(messages, template, Shaping(**asked), Shield(()))


def test_a_conversation_ends_ready_for_the_assistant() -> None:
    assert built([SYSTEM, USER], Template(plain)).text == "[system]Be brief.[user]Hi[assistant]"


def test_the_last_words_of_the_assistant_are_continued() -> None:
    prompt = built([USER, REPLY], Template(plain))
    assert (prompt.text, prompt.is_begun) == ("[user]Hi[assistant]Hel", True)


def thinks(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
    return plain(messages, variables) + "<think>\n"


ALWAYS = Template(thinks, "<think>")
OSS = Template(plain, "<|channel|>analysis<|message|>")


@pytest.mark.parametrize(
    ("template", "answer", "text", "thinking"),
    [
        (Template(plain), Message("assistant", "", "Hm"), "<think>Hm", THINK),
        (Template(plain), Message("assistant", "Hel", "Hm"), "<think>Hm</think>Hel", None),
        (OSS, Message("assistant", "Hel", "Hm"), f"{HARMONY.opening}Hm{HARMONY.closing}Hel", None),
        (OSS, REPLY, "<|channel|>final<|message|>Hel", None),
        (ALWAYS, Message("assistant", "", "Hm"), "<think>\nHm", THINK),
        (ALWAYS, Message("assistant", "Hel", "Hm"), "<think>\nHm</think>Hel", None),
        (ALWAYS, REPLY, "<think>\n</think>\n\nHel", None),
    ],
)
def test_an_answer_is_continued_where_it_was(
    template: Template, answer: Message, text: str, thinking: Markers | None
) -> None:
    prompt = built([USER, answer], template)
    assert (prompt.text, prompt.thinking) == (f"[user]Hi[assistant]{text}", thinking)
    assert prompt.is_begun


def test_a_prompt_that_opens_thinking_says_so() -> None:
    for messages in ([USER], [USER, Message("assistant", "")]):
        prompt = built(messages, ALWAYS)
        assert prompt.thinking == THINK and not prompt.is_begun


def test_the_fence_is_the_templates_own() -> None:
    assert fence_in("{{ '<|channel|>analysis<|message|>' }}") == HARMONY
    assert fence_in("{{ messages }}") is None


# ---- what a template refuses or leaves out


def no_system(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
    if messages[0]["role"] == "system":
        raise ValueError("System role not supported")
    return plain(messages, variables)


def skips_system(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
    return plain([one for one in messages if one["role"] != "system"], variables)


def alternates(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
    for number, one in enumerate(messages):
        if one["role"] != ("user", "assistant")[number % 2]:
            raise ValueError("roles must alternate")
    return plain(messages, variables)


def parts_only(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
    def words(content: Any) -> str:
        return "".join(part["text"] for part in content if isinstance(part, dict))

    return plain([{**one, "content": words(one["content"])} for one in messages], variables)


def system_first(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
    if any(one["role"] == "system" for one in messages[1:]):
        raise ValueError("System message must be at the beginning")
    return plain(messages, variables)


def last_only(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
    return plain(messages[-1:], variables)


LATER = Message("system", "Shout.")
TWICE = [USER, Message("user", "You there?")]
FOLDED = "[user]Be brief.\n\nHi[assistant]"


@pytest.mark.parametrize(
    ("write", "messages", "text", "note"),
    [
        (no_system, [SYSTEM, USER], FOLDED, "knows no system message"),
        (skips_system, [SYSTEM, USER], FOLDED, "knows no system message"),
        (skips_system, [USER], "[user]Hi[assistant]", None),
        (alternates, [SYSTEM, USER], FOLDED, "knows no system message"),
        (alternates, TWICE, "[user]Hi\n\nYou there?[assistant]", "joined"),
        (alternates, [SYSTEM, *TWICE], "[user]Be brief.\n\nHi\n\nYou there?[assistant]", "joined"),
        (alternates, [REPLY, USER], "[user][assistant]Hel[user]Hi[assistant]", "an empty one"),
        (parts_only, [USER], "[user]Hi[assistant]", None),
        (parts_only, [SYSTEM, USER], "[system]Be brief.[user]Hi[assistant]", None),
        (plain, [Message("developer", "Be brief."), USER], "[system]Be brief.[user]Hi[assistant]", None),
        (plain, [Message("narrator", "Night."), USER], "[user]Night.[user]Hi[assistant]", None),
        (
            system_first,
            [SYSTEM, USER, REPLY, LATER, USER],
            "[system]Be brief.[user]Hi[assistant]Hel[user]Shout.\n\nHi[assistant]",
            "at the beginning only; a later one",
        ),
        (
            skips_system,
            [USER, REPLY, LATER, USER],
            "[user]Hi[assistant]Hel[user]Shout.\n\nHi[assistant]",
            "a later one",
        ),
        (system_first, [SYSTEM, LATER, USER], "[system]Be brief.\n\nShout.[user]Hi[assistant]", None),
        (last_only, [USER, REPLY, USER], "[user]Hi[assistant]", "leaves out a question"),
    ],
)
def test_what_was_said_is_in_the_prompt_or_it_is_said_that_it_is_not(
    write: Write, messages: list[Message], text: str, note: str | None
) -> None:
    prompt = built(messages, Template(write))
    assert prompt.text == text
    assert note in " ".join(prompt.notes) if note else not prompt.notes


def test_words_that_occur_elsewhere_do_not_hide_that_a_message_is_missing() -> None:
    assert built([Message("system", "Hi"), USER], Template(skips_system)).text == "[user]Hi\n\nHi[assistant]"


def test_a_template_that_refuses_everything_is_an_error() -> None:
    def refuse(_messages: Sequence[Said], _variables: Mapping[str, Any]) -> str:
        raise ValueError("never")

    with pytest.raises(ValueError, match="never"):
        built([USER, USER], Template(refuse))


# ---- the switch of thinking


def named(name: str, value: str = "") -> Template:
    """A template that reads a variable, and shows it."""

    def write(messages: Sequence[Said], variables: Mapping[str, Any]) -> str:
        return plain(messages, variables) + f"({variables.get(name, '-')})"

    return Template(write, f"<think></think> {{% if {name} == '{value}' %}}", frozenset({name}))


@pytest.mark.parametrize(
    ("template", "think", "end"),
    [
        (named("enable_thinking"), Think.AUTO, "(-)"),
        (named("enable_thinking"), Think.OFF, "(False)"),
        (named("enable_thinking"), Think.HIGH, "(True)"),
        (named("thinking"), Think.ON, "(True)"),
        (named("thinking_mode"), Think.OFF, "(disabled)"),
        (named("thinking_budget"), Think.LOW, "(512)"),
        (named("reasoning_effort"), Think.LOW, "(low)"),
        (named("reasoning_effort"), Think.ON, "(medium)"),
        (named("reasoning_effort", "no_think"), Think.OFF, "(no_think)<think>\n\n</think>\n\n"),
        (named("thinking_effort", "high"), Think.MEDIUM, "(high)"),
        (ALWAYS, Think.OFF, "<think>\n</think>\n\n"),
        (ALWAYS, Think.ON, "<think>\n"),
        (OSS, Think.OFF, "<|channel|>final<|message|>"),
        (Template(plain, MUSE.opening), Think.OFF, " to=user<|message|>"),
        (Template(plain, COMMAND.opening), Think.OFF, "<|START_THINKING|>\n\n<|END_THINKING|>\n\n"),
        (Template(plain, "{% if '/no_think' in message %}"), Think.OFF, "Hi /no_think[assistant]"),
        (Template(plain, "</think> /think"), Think.ON, "Hi /think[assistant]"),
    ],
)
def test_thinking_is_switched_by_what_the_template_reads(template: Template, think: Think, end: str) -> None:
    assert built([USER], template, think=think).text.endswith(end)


def test_a_budget_of_nothing_is_no_thinking() -> None:
    assert built([USER], ALWAYS, budget=0).thinking is None


def test_a_budget_is_told_to_a_template_that_reads_one() -> None:
    assert built([USER], named("thinking_budget"), budget=300).text.endswith("(300)")


@pytest.mark.parametrize("think", [Think.ON, Think.OFF, Think.HIGH])
def test_a_model_that_cannot_think_is_told_so(think: Think) -> None:
    assert "knows no thinking" in " ".join(built([USER], Template(plain), think=think).notes)
    assert not built([USER], Template(plain)).notes


def test_a_level_that_is_none_is_told_so() -> None:
    assert "no levels" in " ".join(built([USER], named("enable_thinking"), think=Think.HIGH).notes)
    assert not built([USER], named("reasoning_effort"), think=Think.HIGH).notes


@pytest.mark.parametrize("fence", THINKING, ids=lambda fence: fence.opening)
def test_a_constrained_answer_comes_without_thinking_unless_that_is_asked_for(fence: Markers) -> None:
    template = Template(plain, fence.opening)
    assert built([USER], template, is_constrained=True).thinking is None
    assert built([USER], template, is_constrained=True, think=Think.ON).thinking == fence
    opened = Template(lambda messages, variables: plain(messages, variables) + fence.opening, fence.opening)
    closed = built([USER], opened, is_constrained=True)
    assert closed.thinking is None and closed.text.rstrip().endswith(fence.closing)
    assert "--think on" in " ".join(closed.notes)


def test_thinking_of_earlier_answers_is_for_the_template_to_keep() -> None:
    def write(messages: Sequence[Said], _variables: Mapping[str, Any]) -> str:
        return "".join(f"{one['content']}({one.get('reasoning_content')})" for one in messages)

    before = Message("assistant", "Yes.", "Hm.")
    assert built([USER, before, USER], Template(write, "reasoning_content")).text == "Hi(None)Yes.(Hm.)Hi(None)"


@pytest.mark.parametrize(
    ("template", "seen"),
    [
        ("{{ m.reasoning_content }}", {"content": "Yes.", "reasoning_content": "Hm."}),
        ("{{ m['reasoning'] }} {{ reasoning_effort }}", {"content": "Yes.", "reasoning": "Hm."}),
        ("{{ m.thinking }} {{ reasoning_effort }}", {"content": "Yes.", "thinking": "Hm."}),
        (
            "{% if block['type'] == 'thinking' %}[THINK]{{ block['thinking'] }}[/THINK]",
            {"content": [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "Yes."}]},
        ),
        ("{{ m.content }}", {"content": "Yes."}),
    ],
)
def test_thinking_goes_by_the_name_that_the_template_reads(template: str, seen: Mapping[str, Any]) -> None:
    (message,) = said([Message("assistant", "Yes.", "Hm.")], template, in_parts=False)
    assert message == {"role": "assistant", **seen}


def test_variables_reach_the_template() -> None:
    assert built([USER], named("mood"), variables={"mood": "calm"}).text.endswith("(calm)")


@pytest.mark.parametrize(
    ("old", "new", "length"),
    [([], [1], 0), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 2], 2), ([1, 9], [1, 2], 1), ([5], [6], 0)],
)
def test_common_prefix(old: list[int], new: list[int], length: int) -> None:
    assert common_prefix(old, new) == length
