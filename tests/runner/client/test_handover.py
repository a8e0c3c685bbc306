"""What a command is handed over with: every byte of it arrives."""

from __future__ import annotations

import os
import sys

import pytest

from runner.client.handover import packed, unpacked


def test_words_and_variables_arrive_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"ODD", b"a=b\nc\xff")
    words = ["smollm2-135m", "-p", "two\nlines, =, \udcff and nothing:", ""]
    found = unpacked(packed(words, "/root of it"))
    assert (found["argv"], found["root"], found["python"]) == (words, "/root of it", sys.executable)
    assert found["environ"] == dict(os.environ) and os.fsencode(found["environ"]["ODD"]) == b"a=b\nc\xff"
    before = os.umask(found["umask"])
    assert before == found["umask"] and len(found["encodings"]) == 3


@pytest.mark.parametrize(
    "said", [b"", b"a\0b\0c", b"a\0b\0x\0y\0\0" + b"1", b"a\0b\0" + b"0\0utf-8\0\0" + b"0\0novalue"]
)
def test_what_is_no_command_is_a_value_error(said: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked(said)
