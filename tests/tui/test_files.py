"""Files of this computer, as they are begun to be named and as they are pasted."""

from pathlib import Path

import pytest

from models.errors import UsageError
from tui.files import files_of, is_file, pasted_path, paths_like


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a few files."""
    for name in ("a b.txt", "Notes.txt", "nothing.bin", ".hidden", "sub/deep.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("begun", "paths"),
    [
        ("", ["a b.txt", "nothing.bin", "Notes.txt", "sub/"]),
        ("NO", ["nothing.bin", "Notes.txt"]),
        (".h", [".hidden"]),
        ("sub/", ["sub/deep.txt"]),
        ("~/sub/d", ["~/sub/deep.txt"]),
        ("nowhere/x", []),
        ("~nobody-here/x", []),
        ("\0/x", []),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_a_path_may_become(begun: str, paths: list[str]) -> None:
    assert sorted(paths_like(begun)) == sorted(paths)


@pytest.mark.parametrize(
    ("form", "is_path"),
    [
        ("{here}/a b.txt\n", True),
        ("'{here}/a b.txt'", True),
        ("{here}/a\\ b.txt", True),
        ("file://{here}/a%20b.txt", True),
        ("{here}/a", False),
        ("don't", False),
        ("a b.txt\nNotes.txt", False),
        ("x" * 5000, False),
        ("", False),
    ],
)
def test_what_is_pasted(here: Path, form: str, is_path: bool) -> None:
    assert pasted_path(form.format(here=here)) == (f"{here}/a b.txt" if is_path else None)


@pytest.mark.usefixtures("here")
def test_texts_of_those_that_are_there() -> None:
    [file] = files_of(["Notes.txt", "nobody", "sub"])
    assert (file.name, file.text) == ("Notes.txt", "Notes.txt\n")
    assert not is_file("sub") and not is_file("\0")
    Path("nothing.bin").write_bytes(b"\0")
    with pytest.raises(UsageError, match="not text"):
        files_of(["nothing.bin"])
