"""A small model beside the model: planned, loaded, measured, and given up where memory lacks."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import UsageError
from models.headers.gguf_bytes import STRING
from runner.client.session import EngineSession
from runner.report.contract import plan_json
from runner.report.download import download_question
from runner.report.words import file_size
from runner.service.service import LocalService
from runner.storage import history
from runner.storage.paths import paths
from runner.types.drafts import Drafted, DraftKind
from runner.types.generation import Message
from runner.types.measurement import Guessed, Measurement
from runner.types.plan import Plan, Source
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from scripts.synthetic import headers
from scripts.synthetic.geometries import qwen35
from scripts.synthetic.geometry import Attention, Dense
from scripts.synthetic.random_weights import GEOMETRIES, write
from scripts.synthetic.typed import U32, Typed
from tests.support.headers import EMBEDDING, PLAIN
from tests.support.homes import own_home, put
from tests.support.hub import Hub
from tests.support.sessions import loaded, told

ASKED = [Message("user", "Tell me about the sea.")]
GREEDY = Sampling(temperature=0, max_tokens=12)
SMALL = Wish(ctx=512, threads=1)
LIMIT = 720  # MiB of address space; engines need 585 and 520 for what is loaded here without a companion, 860 with


@pytest.fixture
def home(tmp_path: Path) -> Iterator[None]:
    with own_home(tmp_path):
        yield


@pytest.fixture
def service(home: None) -> Iterator[LocalService]:
    found = LocalService()
    yield found
    found.close()


def named(smollm2: Path, wish: Wish = SMALL) -> Wish:
    return replace(wish, draft=str(smollm2))


def test_it_is_planned_loaded_and_counted_with_the_model(service: LocalService, smollm2: Path) -> None:
    plan = service.plan(str(smollm2), named(smollm2))
    (said,) = plan_json(plan)["candidates"]
    (beside,) = said["companions"]
    assert (beside["kind"], beside["file"], beside["download_bytes"]) == ("model", smollm2.name, 0)
    assert beside["placement"]["drafts"] == 0 and said["placement"]["drafts"] > 0
    assert said["predicted"]["draft"]["acceptance"] == pytest.approx(0.55)
    assert not said["predicted"]["draft"]["measured"]
    (part,), (whole,) = beside["memory"], said["memory"]
    assert 0 < part["weights"] == whole["weights"] - part["weights"] and 0 < part["kv"] < whole["kv"]
    assert set(said["reasons"]) > set(plan_json(service.plan(str(smollm2), SMALL))["candidates"][0]["reasons"])

    session = loaded(service, plan)
    assert session.loaded.companion, "the engine has it"
    assert [(row.device, row.held) for row in session.loaded.held] == [
        (row.device, row.held) for row in session.candidate.memory
    ], "what it holds is what was planned"
    assert told(session.generate(ASKED, GREEDY))
    (load, *_) = history.read(paths().history)
    assert load.measured == session.loaded.held


def test_without_a_name_nothing_is_beside_and_a_plan_is_as_ever(service: LocalService, smollm2: Path) -> None:
    (plain,) = service.plan(str(smollm2), SMALL).candidates
    (lookup,) = service.plan(str(smollm2), replace(SMALL, draft="lookup")).candidates
    assert plain == lookup and not plain.companions
    assert plain.placement is not None and plain.placement.companion is None
    assert plain.predicted is not None and plain.predicted.guesses is None


def test_heads_of_its_own_are_rehearsed_loaded_and_counted(service: LocalService, tmp_path: Path) -> None:
    path = write(tmp_path / "tiny-qwen35-Q8_0.gguf", GEOMETRIES["tiny-qwen35"], "Q8_0")
    plan = service.plan(str(path), replace(SMALL, draft="mtp"))
    (candidate,) = plan.candidates
    (heads,) = candidate.companions
    assert (heads.kind, heads.files) == (DraftKind.MTP, ()) and heads.bytes > 0
    assert candidate.confirmed_by is Source.REHEARSAL
    session = loaded(service, plan)
    assert session.loaded.companion, "the engine has them"
    held = {row.device: (row.weights, row.kv, row.compute) for row in session.loaded.held}
    assert held == {row.device: (row.weights, row.kv, row.compute) for row in candidate.memory}
    (unasked,) = service.plan(str(path), SMALL).candidates
    assert not unasked.companions, "on a CPU they gain little"


@pytest.mark.parametrize(("ubatch", "sequences"), [(4, 1), (5, 1), (4, 8), (64, 8)])
def test_the_smallest_ubatches_load_and_answer(
    service: LocalService, tmp_path: Path, ubatch: int, sequences: int
) -> None:
    """A recurrent model, whose states on the way llama.cpp keeps only within an ubatch: it aborts in a smaller one."""
    path = write(tmp_path / "tiny-qwen35-Q8_0.gguf", GEOMETRIES["tiny-qwen35"], "Q8_0")
    for draft in ("mtp", None):
        plan = service.plan(str(path), replace(SMALL, ubatch=ubatch, sequences=sequences, draft=draft))
        session = loaded(service, plan)
        assert session.placement.ubatch == ubatch and session.placement.sequences == sequences
        assert session.placement.rollback == (3 if ubatch > 4 else 0)
        assert told(session.generate(ASKED, GREEDY))


def test_it_is_downloaded_with_the_model_after_the_plan(tmp_path: Path) -> None:
    """Only headers come before: both are asked for in one question, then both are fetched."""
    large, small = "org/large-GGUF", "org/small-GGUF"
    for repo, kind in ((large, "tiny-moe"), (small, "tiny-dense")):
        write(tmp_path / "root" / repo / f"{kind}-Q8_0.gguf", GEOMETRIES[kind], "Q8_0")
    with Hub(tmp_path / "root") as hub, own_home(tmp_path / "home", hub.endpoint):
        service = LocalService()
        try:
            plan = service.plan(large, replace(SMALL, draft=small))
            (candidate,) = plan.candidates
            (beside,) = candidate.companions
            assert candidate.download_bytes == candidate.file_bytes + beside.download_bytes > candidate.file_bytes > 0
            question = download_question(plan, candidate, service.terms(plan, 0))
            assert f"{file_size(beside.download_bytes)} for {small}" in question
            assert service.paths_of(plan, 0) == ()
            fetched = {progress.file for progress in service.fetch(plan, 0)}
            assert (
                fetched
                == {"tiny-moe-Q8_0.gguf", "tiny-dense-Q8_0.gguf"}
                == {one.name for one in service.paths_of(plan, 0)}
            )
            assert loaded(service, plan).loaded.companion
        finally:
            service.close()


def guessed_before(file: Path) -> None:
    brought = Guessed(file.name, file.name, Drafted(DraftKind.MODEL, 210, 147, 1.25))
    history.add(paths().history, Measurement("", 512, (), at=time.time(), guessed=brought))


def test_what_guesses_brought_here_counts_before_what_was_published(service: LocalService, smollm2: Path) -> None:
    guessed_before(smollm2)
    said = plan_json(service.plan(str(smollm2), named(smollm2)))["candidates"][0]
    draft = said["predicted"]["draft"]
    assert (draft["measured"], draft["acceptance"], draft["gain"], draft["guessed"]) == (True, 0.7, 1.25, None)
    assert "as measured here (70% of the guesses came true)" in said["reasons"][0]


def other_vocabulary(path: Path) -> Path:
    numbers = {f"llama.{key}": Typed(U32, value) for key, value in PLAIN.items()}
    words = {"tokenizer.ggml.model": Typed(STRING, "llama")}
    kv = {"general.architecture": Typed(STRING, "llama"), **words, **numbers}
    return put(path, headers.header_bytes(kv, [EMBEDDING]) + bytes(EMBEDDING.bytes + 64))


def test_what_cannot_guess_is_refused_in_a_sentence(service: LocalService, smollm2: Path, tmp_path: Path) -> None:
    other = other_vocabulary(tmp_path / "other-Q8_0.gguf")
    with pytest.raises(UsageError, match=r"other-Q8_0.* cannot guess for .*: their tokenizers are of two kinds"):
        service.plan(str(smollm2), named(other))
    with pytest.raises(UsageError, match="has no heads that predict further tokens"):
        service.plan(str(smollm2), replace(SMALL, draft="mtp"))


@pytest.fixture
def narrow(home: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalService]:
    """A service whose engine has no more address space than LIMIT: that is real, and nobody knows of it."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nulimit -v {LIMIT * 1024}\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    found = LocalService()
    yield found
    found.close()


def test_where_only_it_lacks_memory_the_model_runs_without(narrow: LocalService, smollm2: Path) -> None:
    """The limit holds the model with its cache, but not two of them."""
    check_runs_without(narrow, narrow.plan(str(smollm2), named(smollm2, Wish(ctx=8192, threads=1))))


def test_where_only_its_own_heads_lack_memory_the_model_runs_without(narrow: LocalService, tmp_path: Path) -> None:
    """The limit holds the cache of the one layer that has one, but not that of the heads beside it, as large."""
    geometry = qwen35("deep-qwen35", Dense(256, 4, Attention(8, 8, 256), 512, 512))
    path = write(tmp_path / "deep-qwen35-Q8_0.gguf", geometry, "Q8_0")
    plan = narrow.plan(str(path), Wish(ctx=32768, ubatch=64, threads=1, draft="mtp"))
    (heads,) = plan.candidates[0].companions
    assert heads.kind is DraftKind.MTP and heads.memory[-1].kv == 256 << 20
    session = check_runs_without(narrow, plan)
    assert not session.placement.has_heads
    assert 0 < session.loaded.held[-1].weights == plan.candidates[0].memory[-1].weights - heads.memory[-1].weights


def check_runs_without(service: LocalService, plan: Plan) -> EngineSession:
    """What is planned with a companion answers without, with all else that was wished, and says so in a sentence."""
    (planned,) = plan.candidates
    assert planned.companions and planned.placement
    session = loaded(service, plan)
    assert not session.loaded.companion and not session.candidate.companions
    assert session.placement.companion is None and session.placement.ctx == planned.placement.ctx
    held = {row.device: row.held for row in session.loaded.held}
    assert held == {row.device: row.held for row in session.candidate.memory}
    assert sum(held.values()) < sum(row.held for row in planned.memory)
    (note,) = session.loaded.notes
    assert "It runs without the companion that was to guess: " in note
    assert told(session.generate(ASKED, GREEDY))
    return session
