"""Text files as they stand in a prompt."""

import pytest

from runner.types.attachment import Attachment, with_files, without_files
from runner.types.conversation import Conversation, Turn

ONE, TWO = Attachment("a.txt", "1\n2"), Attachment("b c.md", "```\ncode\n```")


@pytest.mark.parametrize(
    ("text", "inlined"),
    [
        ("one\ntwo\n", "a.txt:\n```\none\ntwo\n```"),
        ("", "a.txt:\n```\n\n```"),
        ("```sh\nls\n```", "a.txt:\n````\n```sh\nls\n```\n````"),
        ("a ` and ````", "a.txt:\n`````\na ` and ````\n`````"),
    ],
)
def test_its_fence_is_longer_than_any_inside(text: str, inlined: str) -> None:
    assert Attachment("a.txt", text).inlined == inlined


def test_files_come_first_and_are_found_again() -> None:
    assert with_files("Why?", [ONE]) == "a.txt:\n```\n1\n2\n```\n\nWhy?"
    for question, files in (("Compare them.", [ONE, TWO]), ("Why?\n\nNow.", [TWO]), ("Hi", []), ("", [ONE])):
        assert without_files(with_files(question, files)) == (question, files)


@pytest.mark.parametrize("text", ["Look:\n\na.txt:\n```\n1\n```", "a.txt:\n```\n1\n```\nand more", "a.txt:\n```\n1"])
def test_what_somebody_wrote_stays_as_it_is(text: str) -> None:
    assert without_files(text) == (text, [])


def test_a_conversation_is_called_by_its_question() -> None:
    assert Conversation(turns=(Turn("user", with_files("Why?", [ONE])),)).title == "Why?"
    assert Conversation(turns=(Turn("user", with_files("", [ONE])),)).title == "a.txt: ``` 1 2 ```"
