"""Pieces of a growing answer: together they say what the whole says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.markdown.split import cut, open_fence

LIMIT = 200


def pieces(text: str, limit: int = LIMIT) -> list[str]:
    found = []
    while (divided := cut(text, limit)) is not None:
        before, after = divided
        assert before
        assert len(after) < len(text)
        found.append(before)
        text = after
    return [*found, text]


def test_short_text_stays_whole() -> None:
    assert cut("x" * LIMIT, LIMIT) is None


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a" * 150 + "\n\n" + "b" * 150, "a" * 150 + "\n\n"),
        ("word " * 100, "word " * 40),
        ("x" * 500, "x" * LIMIT),
        ("line of text\n" * 40, "line of text\n" * 15),
        ("- item one\n  goes on\n" * 20, "- item one\n  goes on\n" * 9),
    ],
)
def test_the_best_place(text: str, first: str) -> None:
    assert pieces(text)[0] == first
    assert "".join(pieces(text)) == text


def test_code_is_closed_and_opened_again() -> None:
    code = "".join(f"print({n})\n" for n in range(60))
    parts = pieces(f"Look:\n\n```python\n{code}```\n")
    assert all(part.startswith("```python\n") for part in parts[1:])
    assert all(open_fence(part) is None for part in parts)
    kept = [line for part in parts for line in part.splitlines() if line.startswith("print")]
    assert "".join(f"{line}\n" for line in kept) == code


def test_a_table_keeps_its_head() -> None:
    head = "| name | size |\n| --- | --- |\n"
    rows = [f"| row {n} | {n * n} |\n" for n in range(40)]
    parts = pieces(head + "".join(rows), 400)
    assert len(parts) > 1
    assert all(part.startswith(head) for part in parts)
    assert [row for part in parts for row in part.removeprefix(head).splitlines(keepends=True)] == rows


@pytest.mark.parametrize(
    ("text", "fence"),
    [
        ("", None),
        ("```\ncode", ("```", "")),
        ("```py\ncode\n```", None),
        ("~~~~ c\n```\n~~~\n", ("~~~~", "c")),
        ("````\n```\n", ("````", "")),
        ("    ```\n", None),
        ("```a`b\n", None),
    ],
)
def test_open_fence(text: str, fence: tuple[str, str] | None) -> None:
    assert open_fence(text) == fence


BLOCKS = st.sampled_from(
    [
        "word ",
        "long" * 30,
        "\n",
        "\n\n",
        "```",
        "```py\n",
        "~~~\n",
        "    code\n",
        "- item\n",
        "| a | b |\n",
        "|-|-|\n",
        "# head\n",
    ]
)


@given(st.lists(BLOCKS, max_size=120).map("".join), st.integers(40, 300))
def test_no_letter_is_lost(text: str, limit: int) -> None:
    letters = re.sub(r"[^a-z]", "", re.sub(r"(?m)^(```|~~~).*$", "", text))
    shown = iter("".join(pieces(text, limit)))
    assert all(letter in shown for letter in letters)
