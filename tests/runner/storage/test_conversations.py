"""Conversations on disk: what is said is kept, whatever happens to the file."""

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.report.document import to_markdown
from runner.storage.conversations import ConversationLog, ConversationStore, read
from runner.types.conversation import Conversation, Turn
from runner.types.generation import Message
from tests.support.disks import full_at
from tests.support.waiting import joined

NOON = 1_763_726_400.0

MEANINGLESS = [
    "null",
    "[]",
    '"delta"',
    "{}",
    '{"event": "delta"}',
    '{"event": "keep", "count": "x"}',
    '{"event": "keep", "count": 1e999}',
    '{"event": "skip", "count": null}',
    '{"event": "branch", "index": 0}',
    '{"event": "branch_name"}',
    '{"event": "explode"}',
    '{"event": ["begin"]}',
    "[" * 100_000,
    "\x00\xff",
]


@pytest.fixture
def store(tmp_path: Path) -> ConversationStore:
    return ConversationStore(tmp_path / "conversations", lambda: NOON)


def talked(store: ConversationStore) -> ConversationLog:
    log = store.new("smollm2-135m Q4_1", "Be brief.")
    log.say("user", "What is a\nGGUF file?")
    log.say("assistant", "")
    log.grow("", "They ask about a format.")
    log.grow("A container ")
    log.grow("for weights.")
    log.end("7 tokens")
    return log


def test_an_empty_chat_leaves_no_file(store: ConversationStore) -> None:
    store.new("model", "system")
    assert not store.folder.exists()
    assert store.all() == []


def test_what_was_said_comes_back(store: ConversationStore) -> None:
    log = talked(store)
    [again] = store.all()
    assert again.conversation == log.conversation
    assert again.conversation == Conversation(
        model="smollm2-135m Q4_1",
        system="Be brief.",
        turns=(
            Turn("user", "What is a\nGGUF file?"),
            Turn("assistant", "A container for weights.", "They ask about a format.", "7 tokens"),
        ),
    )
    assert again.conversation.title == "What is a GGUF file?"


def test_every_word_is_on_disk_before_the_next(store: ConversationStore) -> None:
    log = store.new("model")
    log.say("user", "Hi")
    log.say("assistant", "")
    for count, word in enumerate(["Good ", "morning ", "to you"], 1):
        log.grow(word)
        assert store.open(log.path).conversation.turns[-1].text == "".join(["Good ", "morning ", "to you"][:count])


def test_files_are_for_their_owner_only(store: ConversationStore) -> None:
    log = talked(store)
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700


def test_two_chats_in_one_second_are_two_files(store: ConversationStore) -> None:
    assert talked(store).path != talked(store).path
    assert len(store.all()) == 2


def test_two_chats_begun_in_one_second_do_not_mix_what_is_said(store: ConversationStore) -> None:
    first, second = store.new("model"), store.new("model")
    for log, word in ((first, "one"), (second, "two"), (first, "three")):
        log.say("user", word)
    assert [turn.text for turn in store.open(first.path).conversation.turns] == ["one", "three"]
    assert [turn.text for turn in store.open(second.path).conversation.turns] == ["two"]


def _begin(folder: Path, word: str) -> None:
    log = ConversationStore(folder, lambda: NOON).new("model")
    for _ in range(5):
        log.say("user", word)


def test_chats_of_several_processes_begun_in_one_second_are_files_of_their_own(store: ConversationStore) -> None:
    context = get_context("spawn")
    workers = [context.Process(target=_begin, args=(store.folder, word)) for word in "abc"]
    for worker in workers:
        worker.start()
    joined(*workers)
    said = sorted("".join(turn.text for turn in log.conversation.turns) for log in store.all())
    assert said == ["a" * 5, "b" * 5, "c" * 5]


def test_a_conversation_that_is_open_elsewhere_goes_on_as_a_copy(store: ConversationStore) -> None:
    first = talked(store)
    second = store.go_on(first.path)
    assert second.is_new
    assert second.conversation == first.conversation
    assert len(store.all()) == 1
    first.say("user", "mine")
    second.say("user", "yours")
    assert second.path != first.path
    assert store.open(first.path).conversation.turns[-1].text == "mine"
    assert store.open(second.path).conversation == second.conversation
    assert [turn.text for turn in second.conversation.turns[1:]] == ["A container for weights.", "yours"]


def test_a_copy_of_what_is_open_elsewhere_leaves_out_the_turn_under_way(store: ConversationStore) -> None:
    first = talked(store)
    complete = first.conversation
    first.say("user", "mine")
    assert store.go_on(first.path).conversation == complete
    first.say("assistant", "")
    first.grow("half an ans")
    second = store.go_on(first.path)
    assert second.conversation == complete
    second.say("user", "yours")
    assert [turn.text for turn in store.open(second.path).conversation.turns[1:]] == [
        "A container for weights.",
        "yours",
    ]


def test_a_conversation_goes_on_where_its_last_owner_left_it(store: ConversationStore) -> None:
    first = talked(store)
    [listed] = store.all()
    first.say("user", "said since it was listed")
    first.close()
    second = store.go_on(listed.path)
    assert not second.is_new
    assert second.conversation == first.conversation
    assert store.go_on(listed.path).is_new
    del second
    assert not store.go_on(listed.path).is_new


def test_a_copy_goes_its_own_way_and_leaves_no_file_before_its_first_change(store: ConversationStore) -> None:
    first = talked(store)
    copy = store.copy(first.path)
    assert (copy.is_new, copy.conversation, len(store.all())) == (True, first.conversation, 1)
    copy.rename("a branch")
    assert store.open(copy.path).conversation.title == "a branch"
    assert store.open(first.path).conversation == first.conversation


def test_what_is_not_kept_never_has_a_file(store: ConversationStore) -> None:
    log = store.new("model")
    log.is_kept = False
    log.say("user", "Hi")
    log.end("complete")
    assert [turn.text for turn in log.conversation.turns] == ["Hi"]
    assert not store.folder.exists()


def test_each_is_listed_with_the_time_it_was_last_used(store: ConversationStore) -> None:
    old, new = talked(store), talked(store)
    os.utime(old.path, (NOON, NOON))
    os.utime(new.path, (NOON + 60, NOON + 60))
    assert [(one.path, one.used) for one in store.listed()] == [(new.path, NOON + 60), (old.path, NOON)]


def test_the_one_used_last_is_the_last_whatever_a_clock_has_dated(store: ConversationStore) -> None:
    ahead, now = talked(store), talked(store)
    os.utime(ahead.path, (4e9, 4e9))  # the clock was decades ahead, and was put right
    now.say("user", "And now?")
    (last, _) = store.listed()
    assert last.path == now.path and store.last() == last
    ahead.end("")
    assert store.listed()[0].path == ahead.path


def test_what_another_holds_is_not_written(store: ConversationStore) -> None:
    log = talked(store)
    with pytest.raises(BlockingIOError, match="it is open elsewhere"):
        store.open(log.path).rename("x")
    assert not store.open(log.path).conversation.name


def test_writing_goes_on_after_a_cut_line(store: ConversationStore) -> None:
    log = talked(store)
    whole = log.path.read_bytes()
    log.close()
    log.path.write_bytes(whole + b'{"event": "message", "role": "us')
    again = store.open(log.path)
    again.say("user", "Still there?")
    assert [turn.text for turn in store.open(log.path).conversation.turns[1:]] == [
        "A container for weights.",
        "Still there?",
    ]


def test_cut_at_every_byte_keeps_all_but_the_last_line(store: ConversationStore) -> None:
    log = talked(store)
    whole = log.path.read_bytes()
    for size in range(len(whole) + 1):
        log.path.write_bytes(whole[:size])
        lines = whole[:size].decode("utf-8", "replace").split("\n")
        complete = [line for line in lines if _is_json(line)]
        assert store.open(log.path).conversation == read(complete)
        assert len(complete) >= len(lines) - 1


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("line", MEANINGLESS)
def test_a_line_of_no_meaning_is_counted_and_kept(store: ConversationStore, line: str) -> None:
    log = talked(store)
    log.close()
    with log.path.open("ab") as file:
        file.write(line.encode("utf-8", "surrogatepass") + b"\n")
    damaged = log.path.read_bytes()
    again = store.go_on(log.path)
    assert again.damaged == 1
    again.say("user", "Still there?")
    assert log.path.read_bytes().startswith(damaged)


@pytest.mark.parametrize("line", ["", '{"event": "delta", "text": "no message before"}', *MEANINGLESS])
def test_a_line_of_no_meaning_is_skipped(line: str) -> None:
    said = '{"event": "message", "role": "user", "text": "Hi"}'
    assert read([line, said]) == read([said])


@pytest.mark.parametrize(
    ("change", "texts", "messages"),
    [
        (lambda log: log.keep(1), ["What is a\nGGUF file?"], 2),
        (lambda log: log.keep(0), [], 1),
        (lambda log: log.keep(-3), [], 1),
        (lambda log: log.keep(9), ["What is a\nGGUF file?", "A container for weights."], 3),
        (lambda log: log.skip(2), ["What is a\nGGUF file?", "A container for weights."], 1),
        (lambda log: log.skip(99), ["What is a\nGGUF file?", "A container for weights."], 1),
        (lambda log: log.set_system(""), ["What is a\nGGUF file?", "A container for weights."], 2),
    ],
)
def test_changes_survive(
    store: ConversationStore, change: Callable[[ConversationLog], None], texts: list[str], messages: int
) -> None:
    log = talked(store)
    change(log)
    again = store.open(log.path).conversation
    assert [turn.text for turn in again.turns] == texts
    assert len(again.messages) == messages
    assert again == log.conversation


def test_messages_carry_the_system_prompt_first_and_reasoning_apart(store: ConversationStore) -> None:
    assert talked(store).conversation.messages == (
        Message("system", "Be brief."),
        Message("user", "What is a\nGGUF file?"),
        Message("assistant", "A container for weights.", "They ask about a format."),
    )


def test_a_name_of_its_own_and_back(store: ConversationStore) -> None:
    log = talked(store)
    log.rename("About files")
    assert store.open(log.path).conversation.title == "About files"
    log.rename("")
    assert log.conversation.title == "What is a GGUF file?"
    assert len(Conversation(name="x" * 200).title) == 48


def test_a_full_disk_loses_nothing_that_can_still_be_written(store: ConversationStore) -> None:
    log = talked(store)
    text = log.path.read_bytes()
    log.path.unlink()
    log.path.mkdir()
    with pytest.raises(OSError):
        log.say("user", "Where does this go?")
    log.path.rmdir()
    log.path.write_bytes(text)
    log.say("assistant", "Here.")
    assert [turn.text for turn in store.open(log.path).conversation.turns[2:]] == ["Where does this go?", "Here."]


@pytest.mark.parametrize("room", [0, 1, 20, 60, 90])
def test_a_disk_that_is_full_for_a_moment_says_nothing_twice(store: ConversationStore, room: int) -> None:
    log = talked(store)
    with full_at(log.path.stat().st_size + room):
        for word in ("An answer ", "in pieces, ", "of some length."):
            with suppress(OSError):  # some room takes the first of them
                log.grow(word)
    log.end("complete")
    again = store.open(log.path).conversation
    assert again == log.conversation
    assert again.turns[-1].text == "A container for weights.An answer in pieces, of some length."
    assert all(_is_json(line) for line in log.path.read_text().splitlines())


def test_markdown(store: ConversationStore) -> None:
    assert to_markdown(talked(store).conversation) == (
        "# What is a GGUF file?\n\n*smollm2-135m Q4_1*\n\n**System prompt**\n\n> Be brief.\n\n"
        "## You\n\nWhat is a\nGGUF file?\n\n"
        "## Model\n\n<details><summary>Thinking</summary>\n\nThey ask about a format.\n\n</details>\n\n"
        "A container for weights.\n\n*7 tokens*\n"
    )


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(st.characters(codec="utf-8")))))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, str]]) -> None:
    log = ConversationStore(tmp_path_factory.mktemp("store")).new("model")
    for role, text in said:
        log.say(role, "")
        log.grow(text)
    if said:
        assert read(log.path.read_bytes().decode().split("\n")) == log.conversation


def test_what_is_changed_stays_as_a_branch(store: ConversationStore) -> None:
    log = store.new("m")
    for role, text in (("user", "one"), ("assistant", ""), ("user", "two")):
        log.say(role, text)
    log.keep(1)
    assert not log.conversation.branches  # nothing was answered
    log.say("assistant", "")
    log.grow("1")
    log.end("")
    log.name_branch("first")
    log.keep(1)
    log.say("assistant", "")
    log.grow("I")
    log.end("")
    log.close()
    again = store.go_on(log.path)
    assert again.conversation == log.conversation
    assert [(one.name, [turn.text for turn in one.turns]) for one in again.conversation.branches] == [
        ("first", ["one", "1"])
    ]
    again.switch(0)
    assert [turn.text for turn in again.conversation.turns] == ["one", "1"]
    assert again.conversation.branch == "first"
    assert [turn.text for turn in again.conversation.branches[0].turns] == ["one", "I"]
    again.close()
