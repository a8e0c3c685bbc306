"""A chat line by line where the context is full: what is offered, and what each way out does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

import pytest

from models.errors import DoesNotFit, EngineError, ExitCode
from runner.cli.chat import chat
from runner.cli.options import parse
from runner.cli.output import Output
from runner.service.service import LocalService
from runner.storage.conversations import ConversationStore
from runner.types.attachment import Attachment
from runner.types.conversation import Conversation
from runner.types.plan import Plan
from runner.types.wish import Wish
from scripts.draw.scripted import turn
from tests.support.command_line import CommandLineService, Terminal

MODEL = "llama-3.3-70b"
FIRST, SECOND = "a" * 20_000, "b" * 20_000  # about 5,000 tokens each; the context holds 8,192
NEED = "needs 10,013 tokens and room for an answer; the context holds 8,192."


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLineService:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("TERM", "dumb")
    return CommandLineService(tmp_path / "localrun" / "conversations")


class Chat:
    """A chat that is over: its code, and what it wrote to stderr."""

    def __init__(
        self,
        service: CommandLineService,
        patch: pytest.MonkeyPatch,
        *lines: str,
        typed: bool = True,
        flags: str = "",
        files: tuple[Attachment, ...] = (),
    ) -> None:
        kind = Terminal if typed else io.StringIO
        patch.setattr("sys.stdin", kind("".join(f"{line}\n" for line in lines)))
        err = kind()
        options = parse([MODEL, "--plain", "--yes", *flags.split()], {}, {})
        self.code = chat(cast(LocalService, service), options, Output(kind(), err), files)
        self.err = err.getvalue()


def asked(service: CommandLineService) -> list[list[str]]:
    """The first letter of every message of every request."""
    return [[one.content[0] for one in messages] for session in service.sessions for messages, _, _ in session.asked]


def kept(service: CommandLineService) -> list[Conversation]:
    return [log.conversation for log in ConversationStore(service.folder).all()]


def test_off_a_terminal_the_oldest_turns_are_dropped_and_it_is_said(
    service: CommandLineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = Chat(service, monkeypatch, FIRST, SECOND, typed=False)
    assert asked(service) == [["a"], ["b"]]
    assert "The context of 8,192 tokens is full: the 2 oldest turns count no longer." in over.err
    assert (over.code, kept(service)) == (ExitCode.OK, []), "nobody typed it, and nobody gave it a name"


def test_why_much_was_read_anew_is_said_below_the_answer_and_kept(
    service: CommandLineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.script = [turn([word], prompt=tokens) for word, tokens in (("One.", 5000), ("Two.", 40), ("Three.", 5000))]
    over = Chat(service, monkeypatch, FIRST, "b", SECOND, "2")
    reasons = ["5,000 prompt tokens read (the engine had read nothing of it)", "40 prompt tokens read ·"]
    reasons += ["5,000 prompt tokens read (the oldest turns were left out)"]
    answers = [one for each in kept(service) for one in each.turns if one.role == "assistant"]
    assert len(answers) == 3
    for reason, answer in zip(reasons, answers, strict=True):
        assert reason in over.err and reason in answer.note


def test_what_is_too_long_by_itself_is_left_to_the_engine(
    service: CommandLineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    Chat(service, monkeypatch, "c" * 40_000, typed=False)
    assert asked(service) == [["c"]]


@pytest.mark.parametrize(
    ("answer", "requests", "turns", "skipped"),
    [
        ("1", [["a"], ["a", "Y", "b"]], [4], [0]),
        ("2", [["a"], ["b"]], [4], [2]),
        ("3", [["a"], ["b"]], [2, 2], [0, 0]),
        ("", [["a"]], [2], [0]),
        ("4", [["a"]], [2], [0]),
        ("no", [["a"]], [2], [0]),
    ],
)
def test_on_a_terminal_it_is_asked(
    answer: str,
    requests: list[list[str]],
    turns: list[int],
    skipped: list[int],
    service: CommandLineService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = Chat(service, monkeypatch, FIRST, SECOND, answer)
    assert NEED in over.err and "  2  Drop the 2 oldest turns. The system prompt stays" in over.err
    assert asked(service) == requests
    assert [len(one.turns) for one in kept(service)] == turns
    assert [one.skipped for one in kept(service)] == skipped
    assert service.wishes[-1].ctx == (16_384 if answer == "1" else None)


@pytest.mark.parametrize("answer", ["1", "3"])
def test_what_was_read_is_kept_by_its_name_before_another_engine_or_conversation(
    answer: str, service: CommandLineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    Chat(service, monkeypatch, FIRST, SECOND, answer)
    paths = [str(log.path) for log in reversed(ConversationStore(service.folder).all())]
    assert len(paths) == (1 if answer == "1" else 2)
    assert service.recalled == service.remembered == [paths[0], paths[-1]]


def test_more_context_that_does_not_fit_is_said_and_asked_again(
    service: CommandLineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = service.plans[MODEL]

    def refuse_more(wish: Wish) -> Plan:
        if wish.ctx:
            raise DoesNotFit("It needs more than there is.")
        return plan(wish)

    service.plans[MODEL] = refuse_more
    over = Chat(service, monkeypatch, FIRST, SECOND, "1", "2")
    assert "It needs more than there is." in over.err and over.err.count(NEED) == 2
    assert asked(service) == [["a"], ["b"]]


def test_no_way_out_is_said_with_the_reasons(service: CommandLineService, monkeypatch: pytest.MonkeyPatch) -> None:
    over = Chat(service, monkeypatch, "c" * 600_000, "Hi")
    assert "More context: The model was trained for 131,072 tokens; that is not enough." in over.err
    assert asked(service) == [["H"]]


def test_a_turn_that_fails_before_a_word_takes_its_question_back(
    service: CommandLineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.script = [EngineError("It failed.")]
    over = Chat(service, monkeypatch, "one", "two")
    assert "It failed." in over.err
    assert [[turn.text for turn in one.turns] for one in kept(service)] == [["two", "Yes."]]
    assert over.code == ExitCode.OK, "the code is that of the last turn"


def test_a_chat_gets_a_name(service: CommandLineService, monkeypatch: pytest.MonkeyPatch) -> None:
    Chat(service, monkeypatch, "one", typed=False, flags="--save mine")
    assert [one.title for one in kept(service)] == ["mine"]


def test_a_folder_that_refuses_costs_no_turn_and_is_said_once(
    service: CommandLineService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.folder.parent.write_text("no folder")
    over = Chat(service, monkeypatch, "one", "two")
    assert asked(service) == [["o"], ["o", "Y", "t"]]
    assert over.err.count("The conversation could not be saved: ") == 1
    assert over.code == ExitCode.ENGINE


def test_files_go_before_the_first_question(
    service: CommandLineService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Attachment("notes.txt", "Salt.")
    over = Chat(service, monkeypatch, "why?", "and?", files=(notes,))
    (first, second) = [messages for messages, _, _ in service.sessions[0].asked]
    assert [message.content for message in first] == ["notes.txt:\n```\nSalt.\n```\n\nwhy?"]
    assert second[-1].content == "and?"
    assert "notes.txt: 6 tokens" in over.err
