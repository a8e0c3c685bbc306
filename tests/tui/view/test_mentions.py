"""Files that a message names."""

import pytest

from runner.types.attachment import Attachment, with_files
from tui.view.mentions import as_written, begun, completed, looks_like_path, mention, mentions

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


def test_a_message_as_it_was_written() -> None:
    written = 'Compare @a.txt with @"b c.md"'
    assert as_written(with_files(written, [ONE, TWO])) == written
    assert as_written(written) == written


def test_files_that_nobody_named_stay_with_the_words() -> None:
    sent = with_files("Compare them.", [ONE, TWO])
    assert as_written(sent) == sent


@pytest.mark.parametrize(("named", "is_one"), [("a.txt", True), ("src/a", True), ("ada", False), ("you...", False)])
def test_what_looks_like_a_path(named: str, is_one: bool) -> None:
    assert looks_like_path(named) is is_one
