"""The panel beside a chat, and how a chat looks in terminals of any size."""

import threading
from pathlib import Path
from unittest.mock import patch

import pytest

from runner.types.notice import Notice
from runner.types.slowness import CoresTaken, Slowness
from scripts.draw.scripted import turn
from tests.support.screens import answered, running, scripted
from tui.screens.chat import Chat
from tui.widgets.turn import AnswerView


async def test_the_panel_measures_and_predicts(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.gate = threading.Semaphore(3)
    service.script = [turn(["w "] * 40, tps=160.0)]
    async with running(service) as app:
        await app.until_screen(Chat)
        chat = app.screen
        assert isinstance(chat, Chat)
        await app.until_words("weights 0.09")
        assert "31/31 layers" in app.words()
        assert "There is no GPU here" in app.words()
        await app.say("Hi")
        await app.until_words("1 token ")
        chat.tick()
        service.gate.release(20)
        await app.until_words("21 tokens")
        app.clock.seconds += 0.125
        chat.tick()
        await app.until_words("decode 160 tok/s")
        assert "predicted 165 (-3%)" in app.words()
        assert "context 61 of 8,192" in app.words()
        service.gate.release(100)
        await app.until_words("complete")


async def test_two_cards_with_what_the_driver_says(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        await app.until_words("71°C 338 W")
        for words in (
            "CUDA0  41/81 layers",
            "CUDA1  40/81 layers",
            "81 of 81 layers on GPUs",
            "KV 1.2",
            "attn+KV",
            "FFN",
        ):
            assert words in app.words()
        assert "F2 opens the plan" not in app.words()


async def test_a_narrow_screen_collapses_the_panel(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), size=(80, 24)) as app:
        await app.until_screen(Chat)
        await app.until_words("6.4/24.0")
        assert "PLACEMENT" not in app.words()
        await app.pilot.press("f4")
        await app.until_words("PLACEMENT")
        await app.pilot.press("f4")
        await app.until(lambda: "PLACEMENT" not in app.words())


async def test_the_panel_can_be_hidden(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await app.until_words("PLACEMENT")
        await app.pilot.press("f4")
        await app.until(lambda: "PLACEMENT" not in app.words())


async def test_a_reply_of_100_kb_is_cut_into_pieces(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "Talk", ["lorem ipsum "] * 8500)
        answer = app.screen.query_one(AnswerView)
        pieces = [piece.source for piece in answer.query(".piece").results() if hasattr(piece, "source")]
        assert "".join(pieces) == "lorem ipsum " * 8500
        assert max(map(len, pieces)) <= 1200


async def test_forty_columns_and_ten_lines_leave_room_to_write_and_to_read(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), size=(40, 10)) as app:
        await app.until_screen(Chat)
        chat = app.screen
        assert isinstance(chat, Chat)
        app.session.slowness = Slowness(0.61, CoresTaken("another localrun", 23880, 1.6))
        chat.tick()
        await app.until_words("Decode is")
        await app.pilot.press(*"Hello")
        await app.until_words("│ Hello")
        assert "f1 Help" in app.words().splitlines()[-1]


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_why_it_is_slow_stands_beside_the_speed(tmp_path: Path, size: tuple[int, int]) -> None:
    async with running(scripted(tmp_path), size=size) as app:
        await app.until_screen(Chat)
        chat = app.screen
        assert isinstance(chat, Chat)
        app.session.slowness = Slowness(0.38, CoresTaken("ffmpeg", 812, 1.5))
        chat.tick()
        await app.pilot.pause()
        shown = " ".join(app.words().replace("│", " ").split())
        assert "! Decode is 38% below its prediction: other programs" in shown
        assert "Ending it would help." in shown
        app.session.slowness = None
        chat.tick()
        await app.until(lambda: "below its prediction" not in app.words())


async def test_a_reason_stands_where_much_was_read_anew(tmp_path: Path) -> None:
    async with running(scripted(tmp_path)) as app:
        await app.until_screen(Chat)
        await answered(app, "one", ["1"])
        app.session.script = [turn(["2"], prompt=4000)]
        await app.say("/system Be brief.")
        await app.say("two")
        await app.until(lambda: "4,000 prompt tokens read (the system prompt is another)" in app.shown(".note"))


@pytest.mark.parametrize("notice", [Notice.BELL, Notice.DESKTOP])
async def test_a_bell_ends_a_long_answer(tmp_path: Path, notice: Notice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no desktop is known to hear of it, too."""
    monkeypatch.setattr("os.environ", {"TERM": "xterm", "PATH": str(tmp_path)})
    async with running(scripted(tmp_path), notice=notice) as app:
        await app.until_screen(Chat)
        with patch.object(app.pilot.app, "bell") as bell:
            await answered(app, "one", ["1"])
            bell.assert_not_called()
            app.session.gate = threading.Semaphore(1)
            app.session.script = [turn(["2"])]
            await app.say("two")
            await app.until_words("Reading the prompt")
            app.clock.seconds += 10
            app.session.gate.release(9)
            await app.until(lambda: bell.called)
