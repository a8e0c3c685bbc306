"""The same facts through every front end: the command line, the chat without a screen, and the screens."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest
from textual.widgets import DataTable, Static

from models.errors import ModelNotFound
from models.weights import Progress
from runner.cli import chat
from runner.cli.options import Options, parse
from runner.cli.output import Output
from runner.cli.subcommands import plan as plan_command
from runner.report.comparison import stats_lines
from runner.service.service import LocalService
from runner.types.plan import Plan
from runner.types.wish import Wish
from scripts.draw.scripted import turn
from tests.support.command_line import CommandLineService, Terminal
from tests.support.screens import RunningApp, running
from tui.screens.chat import Chat
from tui.screens.dialogs import TextDialog
from tui.widgets.drawing import Drawing

MODEL = "llama-3.3-70b"
SHARD = Progress("part-1-of-2.gguf", 4_000_000_000, 16_000_000_000, 50e6)
ANSWER = turn(["Yes", "."], prompt=412)
HOSTILE = "There is no model \x1b[2J\u202ename\u200b."
SHOWN = "There is no model ␛[2J⟨202E⟩name⟨200B⟩."

MODEL_AND_MACHINE = ("70.6B parameters", "80 layers", "trained to 128k", "2 × RTX 3090 (23.3 GiB free each)")
REFUSED = ("does not fit", "It needs 72.1 GiB and there are 46.6 GiB on the GPUs")
CHOSEN = ("Q4_K_M is the best quality that stays on the GPUs", "8k", "17.3")
GOES = ("all 81 layers on CUDA0 and CUDA1, 8k context in f16", "about 17.3 tok/s")
DOWNLOAD = (
    "To download: Llama 3.3 70B Instruct Q4_K_M, 42.5 GB, about 12 min 20 s, "
    "to ~/.cache/huggingface/hub, licence llama3.3."
)
PROGRESS = ("part-1-of-2.gguf", "4.0 GB of 16.0 GB · 25% · 50 MB/s · 4 min 00 s left")
TURN = ("2 tokens · 40.0 tok/s · first token 0.42 s · 412 prompt tokens read · complete",)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLineService:
    service = CommandLineService(tmp_path / "conversations", downloads=[SHARD], script=[ANSWER])
    monkeypatch.setattr("runner.service.service.LocalService", lambda *_: service)
    return service


def options(*flags: str) -> Options:
    return parse([MODEL, *flags], {}, {})


def said(streams: Iterable[io.StringIO]) -> str:
    """Everything on both streams, with lines that were wrapped for a terminal as one."""
    return one_line(" ".join(stream.getvalue().replace("\r\x1b[2K", "\n") for stream in streams))


def one_line(text: str) -> str:
    return " ".join(text.split()).casefold()


def holds(text: str, *facts: str) -> None:
    missing = [fact for fact in facts if one_line(fact) not in text]
    assert not missing, text


def screen(app: RunningApp) -> str:
    """All that the widgets of a screen say, at no particular width."""
    told = [str(widget.render()) for widget in app.screen.query(Static)]
    told += [line.plain for widget in app.screen.query(Drawing) for line in widget.lines(200)]
    for table in app.screen.query(DataTable):
        told += [str(cell) for row in range(table.row_count) for cell in table.get_row_at(row)]
    return one_line("\n".join(told))


def test_a_plan_on_the_command_line(service: CommandLineService) -> None:
    streams = Terminal(), Terminal()
    plan_command.run(parse(["plan", MODEL], {}, {}), Output(*streams))
    holds(said(streams), *MODEL_AND_MACHINE, *REFUSED, *CHOSEN)


def test_a_chat_without_a_screen(service: CommandLineService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Really?\n"))
    streams = io.StringIO(), Terminal()
    chat.chat(cast(LocalService, service), options("--plain", "--stats"), Output(*streams))
    holds(said(streams), *GOES, DOWNLOAD, *PROGRESS, *TURN, *stats_lines(service.sessions[0], ANSWER[-1]))


async def test_the_way_to_a_chat_on_the_screen(service: CommandLineService) -> None:
    async with running(service, MODEL) as app:
        await app.until_words("Enter goes on.")
        holds(screen(app), *MODEL_AND_MACHINE, *CHOSEN, GOES[0], DOWNLOAD, "does not fit")
        await app.pilot.press("up", "up", "up")
        await app.until_words("Q8_0 does not fit.")
        holds(screen(app), *REFUSED)


async def test_a_download_on_the_screen(service: CommandLineService) -> None:
    service.hold_download = threading.Event()
    async with running(service, MODEL, ask=False) as app:
        await app.until_words("part-1-of-2.gguf")
        holds(screen(app), *PROGRESS)
        service.hold_download.set()
        await app.until_screen(Chat)  # what is under way ends before the screens do


async def test_a_chat_on_the_screen(service: CommandLineService) -> None:
    async with running(service, MODEL, ask=False) as app:
        await app.until_screen(Chat)
        holds(screen(app), GOES[0], CHOSEN[0])
        await app.say("Really?")
        await app.until_words("complete")
        holds(screen(app), *TURN)
        await app.say("/stats")
        await app.until_screen(TextDialog)
        holds(screen(app), *stats_lines(app.session, ANSWER[-1]))


async def test_an_error_with_text_that_would_steer_a_terminal(service: CommandLineService) -> None:
    streams = io.StringIO(), Terminal()
    Output(*streams).error(HOSTILE)
    holds(said(streams), SHOWN)

    def refuse(wish: Wish) -> Plan:
        raise ModelNotFound(HOSTILE)

    service.plans[MODEL] = refuse
    async with running(service, MODEL) as app:
        await app.until_words("There is no model")
        holds(screen(app), SHOWN)


async def test_the_look_of_a_picker_row_is_that_of_a_plan(service: CommandLineService) -> None:
    async with running(service, None) as app:
        await app.until_words("half its experts in RAM")
        holds(screen(app), "39.6 GiB", "17.3 tok/s", "GPU+CPU")
