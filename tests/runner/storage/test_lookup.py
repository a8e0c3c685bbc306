"""Which conversation is meant."""

import os
from itertools import count
from pathlib import Path

import pytest

from models.errors import UsageError
from runner.storage.conversations import ConversationLog, ConversationStore
from runner.storage.lookup import lookup

NOON = 1_763_726_400.0
_ORDER = count()


@pytest.fixture
def store(tmp_path: Path) -> ConversationStore:
    return ConversationStore(tmp_path, lambda: NOON)


def talked(store: ConversationStore, question: str, name: str = "") -> ConversationLog:
    """A conversation that was used after those before."""
    log = store.new("model")
    log.say("user", question)
    if name:
        log.rename(name)
    log.close()
    used = NOON + next(_ORDER)
    os.utime(log.path, (used, used))
    return log


def test_by_name_by_title_by_file_or_the_last(store: ConversationStore) -> None:
    ada = talked(store, "Who was Ada Lovelace?", "ada")
    sea = talked(store, "Why is the sea salt?")
    last = talked(store, "And the sky?")
    for name, log in [
        ("", last),
        ("ADA", ada),
        ("why is the SEA", sea),
        (sea.path.stem, sea),
        (str(ada.path), ada),
    ]:
        assert lookup(store, name).path == log.path, name


def test_of_several_with_one_name_the_last_used(store: ConversationStore) -> None:
    talked(store, "one", "twin")
    second = talked(store, "two", "twin")
    assert lookup(store, "twin").path == second.path


def test_what_is_not_clear_is_said(store: ConversationStore) -> None:
    with pytest.raises(UsageError, match="There are no conversations yet"):
        lookup(store)
    first, second = talked(store, "The sea"), talked(store, "The seal")
    with pytest.raises(UsageError) as raised:
        lookup(store, "sea")
    files = f"{second.path.stem} (The seal), {first.path.stem} (The sea)"
    assert str(raised.value) == f"2 conversations have 'sea' in their title: {files}."
    with pytest.raises(UsageError, match="No conversation is named 'x'; localrun list conversations shows them"):
        lookup(store, "x")
