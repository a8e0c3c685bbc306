"""What a name leads to is used for what it is made for; and a session for vectors outlives its engine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from models.errors import BadFile, EngineError, ExitCode, UsageError
from models.headers.pooling import Pooling
from runner.client.vectors import VectorSession
from runner.service.service import LocalService
from runner.types.commands import Embed
from runner.types.vectors import Made, Purpose
from runner.types.wish import Wish
from scripts.synthetic.embedders import write
from tests.support.homes import own_home

NOT = {
    Purpose.CHAT: "not a model that answers prompts",
    Purpose.EMBED: "not an embedding model",
    Purpose.RANK: "not a model that ranks texts",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[None]:
    with own_home(tmp_path / "home"):
        yield


@pytest.fixture
def service() -> Iterator[LocalService]:
    with closing(LocalService()) as local:
        yield local


def made(session: VectorSession, command: Embed) -> list[Made]:
    return [one for step in session.made(command) for one in step]


@pytest.mark.parametrize(
    ("name", "use"),
    [("nomic-bert", Purpose.EMBED), ("qwen3-embedding", Purpose.EMBED), ("bert-reranker", Purpose.RANK)],
)
def test_a_model_is_planned_for_what_it_is_made_for_alone(
    service: LocalService, tmp_path: Path, name: str, use: Purpose
) -> None:
    path = str(write(tmp_path / "m-F16.gguf", name))
    assert service.use_of(path, Wish()) is use
    plan = service.plan(path, Wish(use=use))
    assert plan.candidates[service.chosen(plan)].confirmed_by.value == "rehearsal"
    for other in set(Purpose) - {use}:
        with pytest.raises(BadFile, match=NOT[other]) as refused:
            service.plan(path, Wish(use=other))
        assert refused.value.exit_code is ExitCode.MODEL


def test_a_model_that_answers_makes_vectors_only_by_command(service: LocalService, smollm2: Path) -> None:
    with pytest.raises(BadFile, match="not an embedding model; localrun answers with it"):
        service.plan(str(smollm2), Wish(use=Purpose.EMBED))
    plan = service.plan(str(smollm2), Wish(use=Purpose.EMBED, pooling=Pooling.MEAN, ctx=256))
    *_, session = service.load_vectors(plan, service.chosen(plan))
    assert isinstance(session, VectorSession)
    (one,) = made(session, Embed(("The sea.",)))
    assert len(one.values) == 576 and sum(value * value for value in one.values) == pytest.approx(1)


def test_a_head_that_is_not_there_is_refused(service: LocalService, tmp_path: Path) -> None:
    path = str(write(tmp_path / "m-F16.gguf", "bert-headless"))
    with pytest.raises(BadFile, match="has no head that makes a score"):
        service.plan(path, Wish(use=Purpose.RANK))


def test_a_header_that_does_not_say_how_it_pools_is_asked_about(service: LocalService, tmp_path: Path) -> None:
    path = str(write(tmp_path / "m-F16.gguf", "nomic-bert", without=("nomic-bert.pooling_type",)))
    with pytest.raises(UsageError, match="--pooling does"):
        service.plan(path, Wish(use=Purpose.EMBED))
    assert service.plan(path, Wish(use=Purpose.EMBED, pooling=Pooling.MEAN)).chosen is not None


def test_what_was_planned_is_held_and_an_engine_that_died_is_started_again(
    service: LocalService, tmp_path: Path
) -> None:
    plan = service.plan(str(write(tmp_path / "m-F16.gguf", "nomic-bert")), Wish(use=Purpose.EMBED))
    *_, session = service.load_vectors(plan, service.chosen(plan))
    assert isinstance(session, VectorSession)
    (held,), (planned,) = session.running.loaded.memory, session.running.candidate.memory
    assert (held.weights, held.kv, held.compute) == (planned.weights, planned.kv, planned.compute)
    first = made(session, Embed(("a", "b")))
    engine = psutil.Process(service.engine.pid)
    os.kill(engine.pid, signal.SIGKILL)
    engine.wait(10)
    assert made(session, Embed(("a", "b"))) == first
    assert any("started again" in note for note in session.running.loaded.notes)


def test_an_engine_that_dies_at_work_is_an_error_once(service: LocalService, tmp_path: Path) -> None:
    plan = service.plan(str(write(tmp_path / "m-F16.gguf", "nomic-bert")), Wish(use=Purpose.EMBED))
    *_, session = service.load_vectors(plan, service.chosen(plan))
    assert isinstance(session, VectorSession)
    steps = session.made(Embed(("a b c " * 80,) * 300))
    assert next(steps)
    os.kill(service.engine.pid, signal.SIGKILL)
    with pytest.raises(EngineError):
        list(steps)
    assert len(made(session, Embed(("a",)))) == 1
