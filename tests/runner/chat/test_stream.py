"""Token bytes become text: characters whole, thinking apart, stop strings never shown."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.chat.markers import THINKING, Markers, opened_thinking
from runner.chat.stream import Said, TextStream, held_back


def run(stream: TextStream, data: bytes, cuts: list[int]) -> Said:
    """Feed `data` cut at the given places; everything that came out, and whether some of it was recast."""
    text, reasoning, recast = "", "", False
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in [*itertools.pairwise(edges), (0, 0)]:
        piece = stream.feed(data[start:end]) if end and not stream.stopped else stream.finish()
        if piece.recast:
            text, reasoning, recast = "", reasoning + text, True
        text, reasoning = text + piece.text, reasoning + piece.reasoning
    return Said(text, reasoning, stream.stopped, recast)


@given(st.text(), st.lists(st.integers(0, 400)))
def test_characters_are_never_cut(text: str, cuts: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    assert run(TextStream(fences=False), data, cuts).text == data.decode()


@pytest.mark.parametrize(
    ("data", "text"), [(b"caf\xc3", "caf"), (b"\xf0\x9f\x98", ""), (b"a\xffb", "a\ufffdb"), (b"<think>x\xe2\x82", "")]
)
def test_half_a_character_at_the_end_is_dropped(data: bytes, text: str) -> None:
    assert run(TextStream(), data, [len(data) - 1]).text == text


CHANNEL, NEXT = "<|channel|>", "<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("said", "text", "reasoning"),
    [
        ("<think>\nhm\n</think>\n\nYes.", "Yes.", "\nhm\n"),
        ("\n<think></think>Yes.", "Yes.", ""),
        ("No thinking at all.", "No thinking at all.", ""),
        ("The tag <think> opens a section.", "The tag <think> opens a section.", ""),
        ("<think>never closed", "", "never closed"),
        ("<thin air", "<thin air", ""),
        ("[THINK]a[/THINK]b", "b", "a"),
        (f"{CHANNEL}analysis<|message|>a{NEXT}{CHANNEL}final<|message|>b", "b", "a"),
        (f"{CHANNEL}final<|message|>only this", "only this", ""),
        (f"{CHANNEL}commentary<|message|>a{NEXT}{CHANNEL}final<|message|>b", "a\n\nb", ""),
        (f"{CHANNEL}analysis<|message|>a{NEXT}{CHANNEL}final <|constrain|>json<|message|>{{}}", "{}", "a"),
        (
            f"{CHANNEL}analysis<|message|>a{NEXT}{CHANNEL}analysis<|message|>b{NEXT}{CHANNEL}final<|message|>c",
            "c",
            "a\n\nb",
        ),
        (f"{CHANNEL}commentary to=assistant{CHANNEL}analysis<|message|>a{NEXT}{CHANNEL}final<|message|>b", "b", "a"),
        (f"{CHANNEL}never a message", "never a message", ""),
        (" to=self<|message|>a<|eom|><|start|>assistant to=user<|message|>b", "b", "a"),
        (" to=user<|message|>b", "b", ""),
        ("<|think|>a<|end|><|begin|>assistant<|content|>b", "b", "a"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b<|END_RESPONSE|>", "b", "a"),
        ("<|START_RESPONSE|>b<|END_RESPONSE|>", "b", ""),
        ("<|open|>think<|sep|>a<|close|>think<|sep|><|open|>response<|sep|>b<|close|>response<|sep|>", "b", "a"),
        ("<seed:think>a</seed:think>b", "b", "a"),
        ("<mm:think>a</mm:think>b", "b", "a"),
        ("<|channel>thought\na<channel|>b", "b", "a"),
        ("<|channel>thought\n<channel|>b", "b", ""),
        ("<|inner_prefix|>a<|inner_suffix|>b", "b", "a"),
        ("◁think▷a◁/think▷b", "b", "a"),
        ("<think>a</think><think>b</think>c", "c", "a\n\nb"),
        ("    indented\n\n", "    indented\n\n", ""),
    ],
)
@given(cuts=st.lists(st.integers(0, 100)))
def test_thinking_is_told_apart(said: str, text: str, reasoning: str, cuts: list[int]) -> None:
    assert run(TextStream(), said.encode(), cuts) == Said(text, reasoning)


@pytest.mark.parametrize(
    ("said", "text", "reasoning"),
    [
        ("a</think>b", "b", "a"),
        ("a\n</think>\n\nb", "b", "a\n"),
        ("a[/THINK]b", "b", "a"),
        ("a</think>b</think>c", "b</think>c", "a"),
        ("</think>b", "b", ""),
    ],
)
@given(cuts=st.lists(st.integers(0, 100)))
def test_a_closing_mark_alone_says_that_all_before_was_thinking(
    said: str, text: str, reasoning: str, cuts: list[int]
) -> None:
    assert run(TextStream(), said.encode(), cuts) == Said(text, reasoning, recast=True)


@pytest.mark.parametrize(
    "said",
    ["The tag </think> ends it.", "Say `</think>`.", "```\na</think>b\n```", "<think></think>a</think>b", "(</think>)"],
)
@given(cuts=st.lists(st.integers(0, 100)))
def test_a_closing_mark_that_is_only_spoken_of_is_text(said: str, cuts: list[int]) -> None:
    assert run(TextStream(), said.encode(), cuts) == Said(said.removeprefix("<think></think>"))


def test_what_is_going_on_shows_while_it_does() -> None:
    def after(data: bytes) -> tuple[Markers | None, bool, bool]:
        stream.feed(data)
        return stream.fence, stream.is_thinking, stream.is_whole

    stream = TextStream()
    assert after(b"<think>") == (THINKING[0], True, True)
    assert after(b"caf\xc3") == (THINKING[0], True, False)
    assert after(b"\xa9</think>") == (None, False, True)


@pytest.mark.parametrize(
    ("said", "stop", "text"),
    [
        ("one two three", ("two",), "one "),
        ("aab", ("ab",), "a"),
        ("first END second", ("second", "END"), "first "),
        ("nothing to stop", ("missing",), "nothing to stop"),
        ("ends with a beginning: EN", ("END",), "ends with a beginning: EN"),
        ("grün und schön", ("ü",), "gr"),
    ],
)
@given(cuts=st.lists(st.integers(0, 40)))
def test_stop_strings_cross_token_borders(said: str, stop: tuple[str, ...], text: str, cuts: list[int]) -> None:
    result = run(TextStream(stop), said.encode(), cuts)
    assert (result.text, result.stopped) == (text, text != said)


def test_a_stop_string_inside_the_thinking_does_not_stop() -> None:
    assert run(TextStream(("x",)), b"<think>x</think>y", []) == Said("y", "x")


def test_a_prompt_may_have_opened_the_thinking() -> None:
    fence = opened_thinking("<|assistant|><think>\n")
    assert fence is THINKING[0]
    assert run(TextStream(thinking=fence), b"hm</think>\nyes", [3]) == Said("yes", "hm")


def test_only_what_may_become_a_needle_is_held_back() -> None:
    assert held_back("a <thi", ["<think>"]) == 4
    assert held_back("a <think", ["<thunk>"]) == 0
    assert held_back("", ["x"]) == 0
