"""The benchmark, on the real small model, cut short."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import ExitCode, UsageError
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.subcommands import bench
from runner.client.session import EngineSession
from runner.report.benchmark import benchmark_table
from runner.report.contract import bench_json
from runner.service import benchmark, sharing
from runner.service.service import LocalService
from runner.types.drafts import Drafted, DraftKind
from runner.types.generation import Chunk, Request
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from scripts.checks.fit_speed import main as fit_speed
from scripts.checks.speed_rows import recorded
from tests.support.sessions import loaded


@pytest.fixture(scope="module")
def session(a_user_of_their_own: None) -> Iterator[EngineSession]:
    service = LocalService()
    plan = service.plan("smollm2-135m", Wish(ctx=768, threads=1))
    *_, session = service.load(plan, service.chosen(plan))
    assert isinstance(session, EngineSession)
    yield session
    service.close()


def test_it_measures_what_llama_bench_measures(session: EngineSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "DECODE_TOKENS", 24)
    monkeypatch.setattr(benchmark, "WORDS_AGAIN", 12)
    told: list[str] = []
    measured = benchmark.measure(session, runs=2, told=told.append)
    assert told == ["Run 1 of 2", "Run 2 of 2"]
    assert measured.last.completion_tokens == 25
    assert measured.decode_range[0] <= measured.decode_tps <= measured.decode_range[1]
    assert measured.last.draft is None, "decode is a token at a time, whatever the text"
    assert measured.prefill_tps > measured.decode_tps > 0 < measured.ttft_s
    said = bench_json(measured, session.candidate, session.loaded, 2)
    assert json.loads(json.dumps(said)) == said
    assert {"decode_tps", "decode_tps_range", "prefill_tps", "ttft_s", "load_s", "predicted", "memory", "runs"} <= set(
        said
    )


def heard(monkeypatch: pytest.MonkeyPatch, guessed: Callable[[str], Drafted]) -> list[tuple[str, bool]]:
    """(prompt, with guesses) of each turn of a short benchmark; what was `guessed` depends on no machine."""
    monkeypatch.setattr(benchmark, "DECODE_TOKENS", 8)
    monkeypatch.setattr(benchmark, "WORDS_AGAIN", 12)
    asked: list[tuple[str, bool]] = []
    turn = benchmark.turn

    def hear(session: EngineSession, prompt: str, tokens: int, *, drafts: bool = False) -> Chunk:
        asked.append((prompt, drafts))
        last = turn(session, prompt, tokens, drafts=drafts)
        return replace(last, draft=guessed(prompt)) if drafts else last

    monkeypatch.setattr(benchmark, "turn", hear)
    return asked


def test_a_text_is_said_again_with_guesses_and_without_in_turns(
    session: EngineSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same prompt each time, which nobody remembers; what was guessed is counted over all of it."""
    asked = heard(monkeypatch, lambda _prompt: Drafted(DraftKind.LOOKUP, 8, 5))
    measured = benchmark.measure(session, runs=1)
    again = asked[-4:]
    assert [drafts for _, drafts in again] == [True, False, True, False] and len({prompt for prompt, _ in again}) == 1
    assert not any(drafts for _, drafts in asked[:-4]), "decode is a token at a time"
    found = measured.draft
    assert found is not None and (found.kind, found.drafted, found.accepted) == (DraftKind.LOOKUP, 16, 10)
    assert found.decode_tps > 0 < found.plain_decode_tps and measured.companion is None
    lines = benchmark_table(measured, None).lines()
    assert "10 of 16 guesses right" in next(line for line in lines if line.startswith("a text again"))
    said = bench_json(measured, session.candidate, session.loaded, 1)["draft"]
    assert (said["kind"], said["drafted"], said["accepted"]) == ("lookup", 16, 10)


def test_with_a_companion_free_prose_is_decoded_with_guesses_and_without(
    a_user_of_their_own: None, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In turns, as a text that says itself again, which is measured before it and apart from it."""
    guesses = {True: Drafted(DraftKind.MODEL, 6, 4), False: Drafted(DraftKind.LOOKUP, 6, 2)}
    asked = heard(monkeypatch, lambda prompt: guesses["sailor" in prompt])
    service = LocalService()
    try:
        session = loaded(service, service.plan(str(smollm2), Wish(ctx=768, threads=1, draft=str(smollm2))))
        measured = benchmark.measure(session, runs=1)
        said = bench_json(measured, session.candidate, session.loaded, 1)
    finally:
        service.close()
    again, prose = asked[-8:-4], asked[-4:]
    for turns in (again, prose):
        assert [drafts for _, drafts in turns] == [True, False, True, False] and len({one for one, _ in turns}) == 1
    assert "sailor" in prose[0][0] and "sailor" not in again[0][0]
    assert not any(drafts for _, drafts in asked[:-8])
    found = measured.companion
    assert found is not None and (found.kind, found.drafted, found.accepted) == (DraftKind.MODEL, 12, 8)
    assert found.decode_tps > 0 < found.plain_decode_tps
    (line,) = [line for line in benchmark_table(measured, None).lines() if line.startswith("free prose")]
    assert "8 of 12 guesses right" in line and "plain" in line
    assert (said["companion"]["kind"], said["companion"]["drafted"], said["companion"]["accepted"]) == ("model", 12, 8)
    assert said["draft"]["accepted"] == 4


def test_the_prompt_has_512_tokens_of_different_words(session: EngineSession) -> None:
    prompt = benchmark.prompt_for(session)
    last = list(session.ask(Request((), prompt, Sampling(max_tokens=1), reuse=False)))[-1]
    assert last.prompt_tokens == 512 == len(prompt.split())
    assert len(set(prompt.split())) > 200


def test_a_prompt_of_words_that_take_several_tokens_each_is_as_long_as_it_may(
    session: EngineSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "varied", lambda count: " flibbertigibbet" * count)
    assert 490 <= session.count_text(benchmark.prompt_for(session)) <= 512
    assert session.count_text(benchmark.prompt_for(session, 1000)) <= session.loaded.ctx - 2


def test_a_benchmark_as_a_record_that_the_speed_model_is_held_against(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(benchmark, "DECODE_TOKENS", 8)
    monkeypatch.setattr(benchmark.prompt_for, "__defaults__", (64,))
    path = tmp_path / "mine.json"
    options = Options("bench", "smollm2-135m", Wish(ctx=768, threads=1), share=path)
    assert bench.run(options, Output()) is ExitCode.OK
    told = capsys.readouterr()
    assert f"{path} holds this machine's hardware" in told.err and "decode" in told.out
    for private in (str(tmp_path), "127.0.0.1", "uid", ".gguf", "SmolLM", str(Path.home()), "Instruct"):
        assert private.casefold() not in path.read_text().casefold()
    decode, prefill = [case for case in recorded(path) if case.source == "mine"]
    assert (decode.tokens, decode.depth, prefill.tokens) == (8, 1, 64)
    assert f"{decode.tps:.1f}" in told.out
    monkeypatch.setattr(sys, "argv", ["fit_speed", str(path)])
    assert fit_speed() == 0
    assert "mine                         decode      1 numbers" in capsys.readouterr().out


def test_a_record_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        bench.run(Options("bench", "smollm2-135m", share=tmp_path), Output())
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        sharing.write(tmp_path / "file" / "mine.json", {})
