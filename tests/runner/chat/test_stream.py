"""Token bytes become text: characters whole, thinking apart, stop strings never shown."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.chat.markers import THINKING, opened_thinking
from runner.chat.stream import Piece, TextStream, held_back


def run(stream: TextStream, data: bytes, cuts: list[int]) -> Piece:
    """Feed `data` cut at the given places; everything that came out."""
    text, reasoning = "", ""
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        piece = stream.feed(data[start:end])
        text, reasoning = text + piece.text, reasoning + piece.reasoning
        if piece.stopped:
            break
    rest = stream.finish()
    return Piece(text + rest.text, reasoning + rest.reasoning, stream.stopped)


@given(st.text(), st.lists(st.integers(0, 400)))
def test_characters_are_never_cut(text: str, cuts: list[int]) -> None:
    assert run(TextStream(fences=False), text.encode("utf-8", "surrogatepass"), cuts).text == text.encode(
        "utf-8", "surrogatepass"
    ).decode("utf-8", "replace")


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
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "b", "a"),
        ("<|channel|>final<|message|>only this", "only this", ""),
        ("    indented\n\n", "    indented\n\n", ""),
    ],
)
@given(cuts=st.lists(st.integers(0, 100)))
def test_thinking_is_told_apart(said: str, text: str, reasoning: str, cuts: list[int]) -> None:
    assert run(TextStream(), said.encode(), cuts) == Piece(text, reasoning)


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
    assert run(TextStream(("x",)), b"<think>x</think>y", []) == Piece("y", "x")


def test_a_prompt_may_have_opened_the_thinking() -> None:
    fence = opened_thinking("<|assistant|><think>\n")
    assert fence is THINKING[0]
    assert run(TextStream(thinking=fence), b"hm</think>\nyes", [3]) == Piece("yes", "hm")


def test_only_what_may_become_a_needle_is_held_back() -> None:
    assert held_back("a <thi", ["<think>"]) == 4
    assert held_back("a <think", ["<thunk>"]) == 0
    assert held_back("", ["x"]) == 0
