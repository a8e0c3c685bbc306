"""Exporting: nothing is overwritten, and what cannot be written is a sentence."""

from pathlib import Path

import pytest

from models.errors import UsageError
from runner.storage.export import write_new


def test_a_folder_gets_a_new_name_each_time(tmp_path: Path) -> None:
    names = [write_new("What is: a/GGUF?", f"{n}", str(tmp_path)).name for n in range(3)]
    assert names == ["what-is-a-gguf.md", "what-is-a-gguf-2.md", "what-is-a-gguf-3.md"]
    assert write_new("///", "x", str(tmp_path)).name == "conversation.md"


def test_the_working_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write_new("Title", "text") == tmp_path / "title.md"
    assert (tmp_path / "title.md").read_text() == "text"


@pytest.mark.parametrize(
    "target", ["missing/folder/x.md", "nul\0.md", "~nobody-of-this-name/x.md", "taken.md", "taken.md/x"]
)
def test_what_cannot_be_written(target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.md").write_text("mine")
    with pytest.raises(UsageError) as error:
        write_new("Title", "text", target)
    assert "Errno" not in str(error.value)
    assert (tmp_path / "taken.md").read_text() == "mine"
