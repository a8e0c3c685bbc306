"""A text file as it stands in a prompt."""

import pytest

from runner.types.attachment import Attachment


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
