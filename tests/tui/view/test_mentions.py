"""Files that a message names, and messages with their texts."""

import pytest

from runner.types.attachment import Attachment
from tui.view.mentions import begun, completed, folded, mention, mentions, with_files

ONE, TWO = Attachment("a.txt", "1\n2"), Attachment("b c.md", "```\ncode\n```")


def test_what_is_named() -> None:
    assert mentions('@a.txt and @"b c.md", me@example.org @a.txt @~/x') == ["a.txt", "b c.md", "~/x"]
    assert [mention("a.txt"), mention("b c.md")] == ["@a.txt", '@"b c.md"']


@pytest.mark.parametrize(
    ("text", "path"),
    [("@", ""), ("see @do", "do"), ('see @"my no', "my no"), ("see @do ", None), ("me@do", None), ("\n@x/y", "x/y")],
)
def test_what_is_begun(text: str, path: str | None) -> None:
    assert begun(text) == path


def test_what_is_completed() -> None:
    assert completed("see @do", "docs/") == "see @docs/"
    assert completed('see @"my no', "my notes.txt") == 'see @"my notes.txt"'


def test_a_message_is_folded_as_it_was_written() -> None:
    written = 'Compare @a.txt with @"b c.md"'
    assert folded(with_files(written, [ONE, TWO])) == (written, [ONE, TWO])
    assert folded(written) == (written, [])


@pytest.mark.parametrize(
    "text",
    [
        "Look:\n\na.txt:\n```\n1\n```",  # nobody named it
        "@a.txt\n\na.txt:\n```\n1\n```\n\nand more",
    ],
)
def test_what_somebody_wrote_stays_as_it_is(text: str) -> None:
    assert folded(text) == (text, [])
