"""The way to a loaded model: planned, asked, downloaded, loaded; and what goes wrong on it."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DownloadError, EngineError, ModelNotFound
from models.weights import Progress
from runner.types.engine import LoadProgress
from runner.types.reasons import Noted
from runner.types.wish import Wish
from scripts.draw.plans import large_plan
from tests.support.screens import running, scripted
from tui.screens.chat import Chat
from tui.screens.dialogs import LineDialog
from tui.screens.picker import Picker
from tui.screens.start import Start
from tui.widgets.candidates import CandidateTable

SHARD = Progress("part-1-of-2.gguf", 4_000_000_000, 16_000_000_000, 50e6)


async def test_what_is_here_runs_without_a_question(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), wish=Wish(threads=3)) as app:
        await app.until_screen(Chat)
        assert app.service.wishes == [Wish(threads=3)]
        assert app.service.fetched == []


async def test_a_download_is_asked_for_with_size_place_time_and_licence(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b") as app:
        await app.until_screen(Start)
        await app.until_words("Enter goes on.")
        assert app.shown("#status") == (
            "To download: Llama 3.3 70B Instruct Q4_K_M, 42.5 GB, about 12 min 20 s, to ~/.cache/huggingface/hub, "
            "licence llama3.3. Enter goes on."
        )
        assert "Q4_K_M is the best quality that stays on" in app.shown("#reasons")
        assert "2 × RTX 3090 (23.3 GiB free each) · Ryzen 9 5900X · 56.0 GiB of RAM" in app.words()
        assert app.service.fetched == []
        await app.pilot.press("enter")
        await app.until_screen(Chat)
        assert app.service.fetched == ["Q4_K_M"]


async def test_another_candidate_can_be_taken(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b") as app:
        await app.until_words("Enter goes on.")
        await app.pilot.press("up")
        await app.until_words("Q5_K_M, 50.0 GB")
        assert "about 2.8x slower" in app.shown("#reasons")
        await app.pilot.press("up", "up")
        await app.until_words("Q8_0 does not fit.")
        await app.pilot.press("enter")
        await app.pilot.pause()
        assert app.service.fetched == []
        await app.pilot.press("down", "enter")
        await app.until_screen(Chat)
        assert app.session.candidate.quant == "Q6_K"


async def test_yes_skips_the_question(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "llama-3.3-70b", ask=False) as app:
        await app.until_screen(Chat)
        assert app.service.fetched == ["Q4_K_M"]


async def test_shards_show_rate_and_time_left_and_can_be_left(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.downloads, service.hold_download = [SHARD], threading.Event()
    async with running(service, "llama-3.3-70b", ask=False) as app:
        await app.until_words("part-1-of-2.gguf")
        assert "4.0 GB of 16.0 GB · 25% · 50 MB/s · 4 min 00 s left" in app.words()
        await app.pilot.press("c")
        await app.until_words("Enter goes on.")
        assert "part-1-of-2.gguf" not in app.words()
        service.hold_download.set()
        service.hold_download, service.downloads = None, []
        await app.pilot.press("enter")
        await app.until_screen(Chat)
        assert service.fetched == ["Q4_K_M", "Q4_K_M"]


async def test_a_load_shows_how_far_it_is(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.loads, service.hold_load = [LoadProgress(0.42)], threading.Event()
    async with running(service) as app:
        await app.until_words("42%")
        service.hold_load.set()
        await app.until_screen(Chat)


@pytest.mark.parametrize(
    ("error", "kind"), [(DownloadError("The disk is full."), "downloads"), (EngineError("Out of memory."), "loads")]
)
async def test_a_failure_is_a_sentence_and_can_be_tried_again(
    tmp_path: Path, error: DownloadError | EngineError, kind: str
) -> None:
    service = scripted(tmp_path)
    setattr(service, kind, [error])
    async with running(service, "llama-3.3-70b", ask=False) as app:
        await app.until_words(f"{error} Enter tries again.")
        setattr(service, kind, [])
        await app.pilot.press("enter")
        await app.until_screen(Chat)


async def test_an_unknown_model_is_a_sentence(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), "no-such-model") as app:
        await app.until_words("There is no model no-such-model")
        await app.pilot.press("escape")
        await app.until(lambda: not app.pilot.app.is_running)


async def test_nothing_fits(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    plan = large_plan()
    nothing = replace(
        plan, candidates=plan.candidates[:1], chosen=None, why=(Noted("Nothing fits: the smallest needs 72.1 GiB."),)
    )
    service.plans["llama-3.3-70b"] = lambda wish: nothing
    async with running(service, "llama-3.3-70b") as app:
        await app.until_words("does not fit")
        await app.until_words("does not fit. It needs 72.1 GiB")
        await app.until_words("localrun llama-3.1-8b")
        assert app.screen.query_one(CandidateTable).row_count == 1
        await app.pilot.press("enter")
        await app.pilot.pause()
        assert service.fetched == []


async def test_control_characters_of_a_file_name_are_shown(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    plan = large_plan()
    evil = replace(plan.candidates[3], quant="Q4\x1b[31m", files=("a\x1b]0;x\x07.gguf",))
    service.plans["evil\x1b[2J"] = lambda wish: replace(plan, candidates=(evil,), chosen=0)
    async with running(service, "evil\x1b[2J") as app:
        await app.until_words("Q4␛[31m")
        assert "a␛]0;x␇.gguf" in app.words()
        assert "\x1b" not in app.words()


async def test_two_keys_that_leave_a_screen_take_no_other_along(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.hold_load = threading.Event()
    async with running(service) as app:
        await app.until_screen(Start)
        start = app.screen
        service.hold_load.set()
        await app.until_screen(Chat)
        start.dismiss(None)  # as an Enter does that was typed a moment before
        app.pilot.app.push_screen(dialog := LineDialog("Name", ""))
        await app.until_screen(LineDialog)
        for name in ("one", "two"):
            dialog.dismiss(name)
        await app.pilot.pause()
        assert isinstance(app.screen, Chat)


async def test_the_picker_leads_to_a_chat(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), None) as app:
        await app.until_screen(Picker)
        await app.until_words("half its experts in RAM")
        assert "is here" in app.words()
        await app.pilot.press("enter")
        await app.until_screen(Chat)
        assert app.session.plan.model.name == "SmolLM2 135M Instruct"


async def test_the_picker_takes_any_name_and_comes_back(tmp_path: Path) -> None:
    async with running(scripted(tmp_path), None) as app:
        await app.until_words("half its experts in RAM")
        await app.pilot.press("tab", *"org/none", "enter")
        await app.until_words("There is no model org/none")
        await app.pilot.press("escape")
        await app.until_screen(Picker)
        await app.pilot.press("escape")
        await app.until(lambda: not app.pilot.app.is_running)


async def test_the_picker_says_what_went_wrong(tmp_path: Path) -> None:
    service = scripted(tmp_path)
    service.choices_error = ModelNotFound("The cache cannot be read.")
    async with running(service, None) as app:
        await app.until_words("The cache cannot be read.")
