"""The way to a loaded model: planned, asked, downloaded, loaded; and what goes wrong on it."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DownloadError, EngineError, ModelNotFound
from models.weights import Progress
from runner.types.engine import LoadProgress
from runner.types.plan import Wish
from runner.types.reasons import Noted
from scripts.draw.scripted import large_plan
from tests.support.stage import backend, stage
from tui.screens.chat import Chat
from tui.screens.picker import Picker
from tui.screens.start import Start
from tui.widgets.candidates import CandidateTable
from tui.widgets.steps import download_step

SHARD = Progress("part-1-of-2.gguf", 4_000_000_000, 16_000_000_000, 50e6)


async def test_what_is_here_runs_without_a_question(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), wish=Wish(threads=3)) as play:
        await play.until_screen(Chat)
        assert play.backend.wishes == [Wish(threads=3)]
        assert play.backend.fetched == []


async def test_a_download_is_asked_for_with_size_place_time_and_licence(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b") as play:
        await play.until_screen(Start)
        await play.until_words("Enter goes on.")
        assert play.shown("#status") == (
            "Download 42.5 GB to ~/.cache/huggingface/hub · about 12 min 20 s · licence llama3.3? Enter goes on."
        )
        assert "Q4_K_M is the best quality that stays on" in play.words()
        assert "2 × RTX 3090 24.0 GiB" in play.words()
        assert play.backend.fetched == []
        await play.pilot.press("enter")
        await play.until_screen(Chat)
        assert play.backend.fetched == ["Q4_K_M"]


async def test_another_candidate_can_be_taken(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b") as play:
        await play.until_words("Enter goes on.")
        await play.pilot.press("up")
        await play.until_words("Download 50.0 GB")
        assert "about 2.8x slower" in play.shown("#reasons")
        await play.pilot.press("up", "up")
        await play.until_words("Q8_0 does not fit.")
        await play.pilot.press("enter")
        await play.pilot.pause()
        assert play.backend.fetched == []
        await play.pilot.press("down", "enter")
        await play.until_screen(Chat)
        assert play.session.candidate.quant == "Q6_K"


async def test_yes_skips_the_question(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "llama-3.3-70b", ask=False) as play:
        await play.until_screen(Chat)
        assert play.backend.fetched == ["Q4_K_M"]


async def test_shards_show_rate_and_time_left_and_can_be_left(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.downloads, fake.hold_download = [SHARD], threading.Event()
    async with stage(fake, "llama-3.3-70b", ask=False) as play:
        await play.until_words("part-1-of-2.gguf")
        assert "4.0 GB of 16.0 GB · 50 MB/s · 4 min 00 s left" in play.words()
        await play.pilot.press("c")
        await play.until_words("Enter goes on.")
        assert "part-1-of-2.gguf" not in play.words()
        fake.hold_download.set()
        fake.hold_download, fake.downloads = None, []
        await play.pilot.press("enter")
        await play.until_screen(Chat)
        assert fake.fetched == ["Q4_K_M", "Q4_K_M"]


async def test_a_load_shows_how_far_it_is(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.loads, fake.hold_load = [LoadProgress(0.42)], threading.Event()
    async with stage(fake) as play:
        await play.until_words("42%")
        fake.hold_load.set()
        await play.until_screen(Chat)


@pytest.mark.parametrize(
    ("error", "kind"), [(DownloadError("The disk is full."), "downloads"), (EngineError("Out of memory."), "loads")]
)
async def test_a_failure_is_a_sentence_and_can_be_tried_again(
    tmp_path: Path, error: DownloadError | EngineError, kind: str
) -> None:
    fake = backend(tmp_path)
    setattr(fake, kind, [error])
    async with stage(fake, "llama-3.3-70b", ask=False) as play:
        await play.until_words(f"{error} Enter tries again.")
        setattr(fake, kind, [])
        await play.pilot.press("enter")
        await play.until_screen(Chat)


async def test_an_unknown_model_is_a_sentence(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), "no-such-model") as play:
        await play.until_words("There is no model no-such-model")
        await play.pilot.press("escape")
        await play.until(lambda: not play.pilot.app.is_running)


async def test_nothing_fits(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    plan = large_plan()
    nothing = replace(
        plan, candidates=plan.candidates[:1], chosen=None, why=(Noted("Nothing fits: the smallest needs 72.1 GiB."),)
    )
    fake.plans["llama-3.3-70b"] = lambda wish: nothing
    async with stage(fake, "llama-3.3-70b") as play:
        await play.until_words("too large")
        await play.until_words("does not fit. It needs 72.1 GiB")
        await play.until_words("localrun llama-3.1-8b")
        assert play.screen.query_one(CandidateTable).row_count == 1
        await play.pilot.press("enter")
        await play.pilot.pause()
        assert fake.fetched == []


async def test_control_characters_of_a_file_name_are_shown(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    plan = large_plan()
    evil = replace(plan.candidates[3], quant="Q4\x1b[31m", files=("a\x1b]0;x\x07.gguf",))
    fake.plans["evil\x1b[2J"] = lambda wish: replace(plan, candidates=(evil,), chosen=0)
    async with stage(fake, "evil\x1b[2J") as play:
        await play.until_words("Q4␛[31m")
        assert "a␛]0;x␇.gguf" in play.words()
        assert "\x1b" not in play.words()


async def test_the_picker_leads_to_a_chat(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), None) as play:
        await play.until_screen(Picker)
        await play.until_words("half its experts in RAM")
        assert "is here" in play.words()
        await play.pilot.press("enter")
        await play.until_screen(Chat)
        assert play.session.plan.model.name == "SmolLM2 135M Instruct"


async def test_the_picker_takes_any_name_and_comes_back(tmp_path: Path) -> None:
    async with stage(backend(tmp_path), None) as play:
        await play.until_words("half its experts in RAM")
        await play.pilot.press("tab", *"org/none", "enter")
        await play.until_words("There is no model org/none")
        await play.pilot.press("escape")
        await play.until_screen(Picker)
        await play.pilot.press("escape")
        await play.until(lambda: not play.pilot.app.is_running)


async def test_the_picker_says_what_went_wrong(tmp_path: Path) -> None:
    fake = backend(tmp_path)
    fake.choices_error = ModelNotFound("The cache cannot be read.")
    async with stage(fake, None) as play:
        await play.until_words("The cache cannot be read.")


@pytest.mark.parametrize(
    ("progress", "words", "fraction"),
    [
        (SHARD, "4.0 GB of 16.0 GB · 50 MB/s · 4 min 00 s left", 0.25),
        (Progress("x", 0, 10**9), "0 MB of 1.0 GB", 0.0),
        (Progress("x", 10**9, 10**9, 5e6), "1.0 GB of 1.0 GB", 1.0),
        (Progress("x", 0, 0), "0 MB of 0 MB", 0.0),
    ],
)
def test_download_words(progress: Progress, words: str, fraction: float) -> None:
    step = download_step(progress)
    assert (step.words, step.fraction) == (words, fraction)
