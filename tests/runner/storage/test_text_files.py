"""Text files of a person: what is text, and what is refused."""

import os
from pathlib import Path

import pytest

from models.errors import UsageError
from runner.storage.text_files import attached, text_of
from runner.types.attachment import Attachment
from tests.support.waiting import joined, thread


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße\n".encode(), "Grüße\n"),
        ("Grüße".encode("utf-8-sig"), "Grüße"),
        ("Grüße".encode("utf-16"), "Grüße"),
        (b"caf\xe9", "caf\ufffd"),
    ],
)
def test_what_is_text(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert text_of(path) == text
    assert attached(path) == Attachment(str(path), text)


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = thread(lambda: path.write_text("from a pipe"))
    assert text_of(path) == "from a pipe"
    joined(writer)


def test_what_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "weights.gguf").write_bytes(b"GGUF\x03\0\0\0")
    with (tmp_path / "vast.txt").open("wb") as vast:
        vast.write(b"a" * 8192)
        vast.truncate(65 << 20)
    wrong = [
        (tmp_path / "none.txt", "cannot be read: No such file or directory."),
        (tmp_path, "cannot be read: Is a directory."),
        (Path("/dev/zero"), "cannot be read: it is no file."),
        (Path("nul\0"), "cannot be read: embedded null byte."),
        (tmp_path / "weights.gguf", "cannot be read: it is not text."),
        (tmp_path / "vast.txt", "cannot be read: it has more than 64 MiB."),
        (tmp_path / "empty.txt", "is empty."),
    ]
    for path, said in wrong:
        with pytest.raises(UsageError) as raised:
            attached(path)
        assert str(raised.value) == f"{path} {said}"
