"""Conversations that are kept, in words."""

from datetime import datetime
from pathlib import Path

from runner.report.conversation import going_on, listed_json, listed_lines
from runner.types.conversation import Conversation, Listed, Turn

SEA = Conversation("smollm2-135m Q4_1", "", "the\nsea", (Turn("user", "Why?"), Turn("assistant", "Salt.")))
USED = datetime(2026, 11, 26, 18, 5).timestamp()


def test_a_row_for_each_and_below_it_what_was_looked_for() -> None:
    listed = [Listed(SEA, Path("a.jsonl"), USED, "Sa\x1blt.", 1), Listed(SEA, Path("b.jsonl"), USED)]
    assert listed_lines(listed) == [
        "conversation  last used         turns  model",
        "the sea       2026-11-26 18:05      2  smollm2-135m Q4_1",
        "    Sa␛lt.",
        "the sea       2026-11-26 18:05      2  smollm2-135m Q4_1",
    ]


def test_a_row_for_programs() -> None:
    assert listed_json(Listed(SEA, Path("a.jsonl"), 5.00049, "Salt.", 1)) == {
        "name": "the sea",
        "file": "a.jsonl",
        "model": "smollm2-135m Q4_1",
        "turns": 2,
        "used": 5.0,
        "excerpt": "Salt.",
        "turn": 1,
    }


def test_which_one_goes_on() -> None:
    assert going_on(SEA) == "Going on with 'the sea': 2 turns, smollm2-135m Q4_1."
