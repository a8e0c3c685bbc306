"""Named prompts: kept, filled, never written over."""

from pathlib import Path

import pytest

from models.errors import UsageError
from runner.storage.prompts import PromptStore, filled


@pytest.fixture
def store(tmp_path: Path) -> PromptStore:
    return PromptStore(tmp_path / "prompts")


def test_one_is_kept_as_a_text_that_its_owner_may_edit(store: PromptStore) -> None:
    path = store.add("brief", "Be brief:\n{}")
    assert (path.name, path.read_text(), store.names()) == ("brief.txt", "Be brief:\n{}\n", ["brief"])
    path.write_text("Be kind.\n")
    assert store.text("brief") == "Be kind.\n"
    assert store.remove("brief") == path
    assert store.names() == []


def test_nothing_is_written_over(store: PromptStore) -> None:
    store.add("brief", "mine")
    with pytest.raises(UsageError, match="A prompt is named 'brief' already: edit"):
        store.add("brief", "yours")
    assert store.text("brief") == "mine\n"


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "-p", "x" * 65])
def test_a_name_is_no_path(store: PromptStore, name: str) -> None:
    for use in (store.text, store.remove, lambda one: store.add(one, "text")):
        with pytest.raises(UsageError, match="is no name of a prompt"):
            use(name)
    assert not store.folder.exists()


def test_what_is_not_there_is_said_with_what_is(store: PromptStore) -> None:
    with pytest.raises(UsageError, match="No prompt is named 'x'; localrun prompt add NAME keeps one"):
        store.text("x")
    store.add("brief", "text")
    with pytest.raises(UsageError, match="No prompt is named 'x'; there are brief"):
        store.remove("x")
    with pytest.raises(UsageError, match="The prompt is empty"):
        store.add("y", " \n")


def test_a_folder_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written: "):
        PromptStore(tmp_path / "file" / "prompts").add("x", "text")


@pytest.mark.parametrize(
    ("prompt", "said", "text"),
    [
        ("Translate: {} to {}", "hello", "Translate: hello to hello"),
        ("Be brief.", "hello", "hello\n\nBe brief."),
        ("Be brief.", "", "Be brief."),
        ("Say {}.", "{}", "Say {}."),
    ],
)
def test_braces_are_filled(prompt: str, said: str, text: str) -> None:
    assert filled(prompt, said) == text


def test_braces_want_something() -> None:
    with pytest.raises(UsageError, match="there is neither"):
        filled("Say {}.", "")
