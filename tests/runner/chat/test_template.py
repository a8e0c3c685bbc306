"""Conversations as prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from runner.chat.markers import THINKING, Markers, fence_in
from runner.chat.template import build_prompt, common_prefix
from runner.types.generation import Message

SYSTEM, USER, REPLY = Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hel")


def plain(messages: Sequence[Message]) -> str:
    return "".join(f"[{m.role}]{m.content}" for m in messages) + "[assistant]"


def no_system(messages: Sequence[Message]) -> str:
    if messages[0].role == "system":
        raise ValueError("System role not supported")
    return plain(messages)


def test_a_conversation_ends_ready_for_the_assistant() -> None:
    assert build_prompt([SYSTEM, USER], plain).text == "[system]Be brief.[user]Hi[assistant]"


def test_the_last_words_of_the_assistant_are_continued() -> None:
    assert build_prompt([USER, REPLY], plain).text == "[user]Hi[assistant]Hel"


def thinks(messages: Sequence[Message]) -> str:
    return plain(messages) + "<think>\n"


HARMONY = THINKING[1]


@pytest.mark.parametrize(
    ("render", "fence", "answer", "text", "thinking"),
    [
        (plain, THINKING[0], Message("assistant", "", "Hm"), "<think>Hm", THINKING[0]),
        (plain, THINKING[0], Message("assistant", "Hel", "Hm"), "<think>Hm</think>Hel", None),
        (plain, HARMONY, Message("assistant", "Hel", "Hm"), f"{HARMONY.opening}Hm{HARMONY.closing}Hel", None),
        (thinks, HARMONY, Message("assistant", "", "Hm"), "<think>\nHm", THINKING[0]),
        (thinks, HARMONY, Message("assistant", "Hel", "Hm"), "<think>\nHm</think>Hel", None),
    ],
)
def test_thinking_is_continued_where_it_was(
    render: Callable[[Sequence[Message]], str], fence: Markers, answer: Message, text: str, thinking: Markers | None
) -> None:
    prompt = build_prompt([USER, answer], render, fence)
    assert (prompt.text, prompt.thinking) == (f"[user]Hi[assistant]{text}", thinking)
    assert prompt.is_begun


def test_a_prompt_that_opens_thinking_says_so() -> None:
    for messages in ([USER], [USER, Message("assistant", "")]):
        prompt = build_prompt(messages, thinks)
        assert prompt.thinking == THINKING[0] and not prompt.is_begun


def test_the_fence_is_the_templates_own() -> None:
    assert fence_in("{{ '<|channel|>analysis<|message|>' }}") == HARMONY
    assert fence_in("{{ messages }}") == THINKING[0]


def test_a_template_without_system_messages_gets_it_with_the_question() -> None:
    prompt = build_prompt([SYSTEM, USER], no_system)
    assert prompt.text == "[user]Be brief.\n\nHi[assistant]"
    assert prompt.notes


def test_a_template_that_refuses_everything_is_an_error() -> None:
    def refuse(_messages: Sequence[Message]) -> str:
        raise ValueError("roles must alternate")

    with pytest.raises(ValueError, match="alternate"):
        build_prompt([USER, USER], refuse)


@pytest.mark.parametrize(
    ("old", "new", "length"),
    [([], [1], 0), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 2], 2), ([1, 9], [1, 2], 1), ([5], [6], 0)],
)
def test_common_prefix(old: list[int], new: list[int], length: int) -> None:
    assert common_prefix(old, new) == length
