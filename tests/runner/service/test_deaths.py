"""An engine that died: the next message starts it again, on what the machine has by then."""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models.errors import BadFile, DeviceLost, DoesNotFit, EngineError, EngineKilled
from runner.client.session import EngineSession
from runner.service import kept_states
from runner.service.service import LocalService
from runner.storage.paths import paths
from runner.types.engine import LoadProgress
from runner.types.generation import Chunk, Message
from runner.types.plan import Verdict
from runner.types.sampling import Sampling
from runner.types.units import MIB
from runner.types.wish import Wish
from scripts.checks.loopback import lending
from tests.support.homes import own_home
from tests.support.sessions import opened, told
from tests.support.waiting import PATIENCE_S, until

GREEDY = Sampling(temperature=0, max_tokens=12)
ASKED = [Message("user", "Tell me about the sea.")]
AGAIN = "The engine was started again: all 31 layers on the CPU, 1k context in f16."


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[None]:
    with own_home(tmp_path):
        yield


@pytest.fixture
def service() -> Iterator[LocalService]:
    with closing(LocalService()) as local:
        yield local


def happened(chunks: list[Chunk]) -> list[str]:
    return [chunk.happened for chunk in chunks if chunk.happened]


def _replace(path: Path) -> None:
    other = path.with_suffix(".other")
    shutil.copy(path, other)
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_replace, "has changed since it was planned"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "has changed since it was planned"),
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), "has changed since it was planned"),
        (Path.unlink, "is not here any more"),
    ],
)
def test_weights_that_change_between_plan_and_load_are_not_run(
    service: LocalService, smollm2: Path, tmp_path: Path, change: Callable[[Path], object], sentence: str
) -> None:
    path = tmp_path / "tiny-Q4_1.gguf"
    shutil.copy(smollm2, path)
    plan = service.plan(str(path), Wish(ctx=256))
    change(path)
    with pytest.raises(BadFile, match=sentence):
        list(service.load(plan, service.chosen(plan)))


def test_what_llama_cpp_refuses_is_no_matter_of_memory(service: LocalService, smollm2: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny-Q4_1.gguf"
    path.write_bytes(smollm2.read_bytes().replace(b"blk.3.attn_q.weight", b"blk.3.attn_z.weight"))
    plan = service.plan(str(path), Wish(ctx=256))
    with pytest.raises(BadFile, match=r"llama\.cpp refuses it: .*'blk\.3\.attn_q\.weight' not found") as refused:
        service.chosen(plan)
    assert " fit" not in str(refused.value)


def test_weights_that_change_while_they_are_loaded_are_not_run(
    service: LocalService, smollm2: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tiny-Q4_1.gguf"
    shutil.copy(smollm2, path)
    plan = service.plan(str(path), Wish(ctx=256))
    loading = service.load(plan, service.chosen(plan))
    assert isinstance(next(loading), LoadProgress)
    _replace(path)
    with pytest.raises(BadFile, match="has changed since it was planned"):
        list(loading)


def test_weights_that_are_cut_while_they_are_mapped(service: LocalService, smollm2: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny-Q4_1.gguf"
    shutil.copy(smollm2, path)
    plan = service.plan(str(path), Wish(ctx=256))
    (one,) = plan.candidates
    assert one.placement is not None
    mapped = replace(plan, candidates=(replace(one, placement=replace(one.placement, load_mode="mmap")),))
    *_, session = service.load(mapped, 0)
    assert isinstance(session, EngineSession)
    usual, state = told(list(session.generate(ASKED, GREEDY))), path.stat()
    os.truncate(path, state.st_size // 2)
    with pytest.raises(BadFile, match="was cut while it was in use"):
        list(session.generate(ASKED, GREEDY))
    with pytest.raises(BadFile, match="has changed since it was planned"):
        list(session.generate(ASKED, GREEDY))
    shutil.copy(smollm2, path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert told(list(session.generate(ASKED, GREEDY))) == usual, "the file is what it was"


def test_the_next_message_starts_a_killed_engine_again(service: LocalService, smollm2: Path) -> None:
    session = opened(service, smollm2, Wish(ctx=1024))
    whole, said, engine = told(list(session.generate(ASKED, GREEDY))), "", service.engine.pid
    with pytest.raises(EngineKilled):
        for chunk in session.generate(ASKED, GREEDY):
            said += chunk.text
            if said:
                os.kill(engine, signal.SIGKILL)
    assert said and whole.startswith(said)
    again = list(session.generate(ASKED, GREEDY))
    assert (told(again), happened(again), service.engine.pid != engine) == (whole, [AGAIN], True)
    psutil.Process(service.engine.pid).kill()
    until(lambda: not service.engine.is_alive(), lambda: service.engine.pid)
    assert happened(list(session.generate(ASKED, GREEDY))) == [AGAIN], "also if it died between two answers"
    assert happened(list(session.generate(ASKED, GREEDY))) == []
    session.close()
    with pytest.raises(EngineError, match="The engine was closed"):
        next(session.generate(ASKED, GREEDY))


def test_an_engine_that_died_unseen_answers_the_next_question_all_the_same(
    service: LocalService, smollm2: Path
) -> None:
    """It stands still when it is asked, and dies before it has read the question; so do two questions at once."""
    session = opened(service, smollm2, Wish(ctx=1024, sequences=2))
    usual = told(list(session.generate(ASKED, GREEDY)))
    os.kill(service.engine.pid, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(lambda: list(session.generate(ASKED, GREEDY))) for _ in range(2)]
        until(lambda: any(one.name == "engine" for one in threading.enumerate()), threading.enumerate)
        os.kill(service.engine.pid, signal.SIGKILL)
        answers = [one.result(PATIENCE_S) for one in asked]
    assert [told(one) for one in answers] == [usual, usual]
    assert [AGAIN] in [happened(one) for one in answers], [happened(one) for one in answers]


def lost_while_answering(session: EngineSession, lender: int) -> None:
    with pytest.raises(DeviceLost):
        for _chunk in session.generate(ASKED, GREEDY):
            os.kill(lender, signal.SIGKILL)


def test_after_a_device_is_lost_the_plan_is_made_anew(service: LocalService, smollm2: Path, tmp_path: Path) -> None:
    with lending(tmp_path / "lender.log", 1) as (endpoint, pid):
        session = opened(service, smollm2, Wish(ctx=1024, gpu_layers=31, rpc=(endpoint,)))
        assert session.placement.devices == ("RPC0",)
        lost_while_answering(session, pid)
        chunks = list(session.generate(ASKED, GREEDY))
    assert happened(chunks) == [
        f"The engine was started again without {endpoint}: all 31 layers on the CPU, 1k context in f16."
    ]
    assert told(chunks) and not session.plan.machine.devices and session.candidate.verdict is Verdict.CPU


def test_what_does_not_fit_without_the_lost_device(service: LocalService, smollm2: Path, tmp_path: Path) -> None:
    with lending(tmp_path / "lender.log", 1) as (endpoint, pid):
        wish = Wish(ctx=8192, kv_type="f16", rpc=(endpoint,), ram_limit=1264 * MIB)  # of which 240 MiB may be used
        session = opened(service, smollm2, wish)
        lost_while_answering(session, pid)
        with pytest.raises(DoesNotFit, match=f"started again without {endpoint}, and Q4_1 does not fit what is left"):
            list(session.generate(ASKED, GREEDY))


def test_an_engine_that_is_started_again_goes_on_with_what_was_read(
    service: LocalService, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversation that has a name is on the disk soon after a long answer; one without leaves nothing there."""
    monkeypatch.setattr(kept_states, "WORTH_S", 0.0)
    session, states = opened(service, smollm2, Wish(ctx=1024, threads=1)), paths().states
    assert told(list(session.generate(ASKED, GREEDY)))
    service.recall(session, "a conversation")
    history = [Message("user", "List some animals: " + "cat, dog, cow, hen, " * 20)]
    history += [Message("assistant", told(list(session.generate(history, GREEDY)))), Message("user", "And plants?")]
    until(lambda: any(states.glob("*.state")), lambda: list(states.glob("*")))
    os.kill(service.engine.pid, signal.SIGKILL)
    until(lambda: not service.engine.is_alive(), lambda: service.engine.pid)
    chunks = list(session.generate(history, GREEDY))
    assert happened(chunks) == [AGAIN]
    assert chunks[-1].cached_tokens > 0.8 * chunks[-1].prompt_tokens
    assert len(list(states.glob("*.state"))) == 1
