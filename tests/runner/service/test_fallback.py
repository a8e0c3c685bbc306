"""Memory that really runs out: limits on the engine's process, a device that lies, a kernel that kills."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DoesNotFit, OutOfMemory
from runner.client.session import EngineSession
from runner.cost.ledger import host_reserve
from runner.hardware import host
from runner.service.service import LocalService
from runner.storage import history
from runner.storage.paths import paths
from runner.types.generation import Chunk, Finish, Message
from runner.types.sampling import Sampling
from runner.types.units import GIB, MIB
from runner.types.wish import Wish
from scripts.checks.loopback import grow_no_more_than, lent
from tests.support.homes import own_home
from tests.support.sessions import loaded, told
from tests.support.waiting import COMMAND_S, PATIENCE_S, line_of, short_lived

GROUPS = Path("/sys/fs/cgroup/memory")
GREEDY = Sampling(temperature=0, max_tokens=12)
ASKED = [Message("user", "Tell me about the sea.")]
# An engine needs 391 MiB of address space for a context of 512 in q8_0, 585 for one of 8192 in f16.
TIGHT, HOPELESS = 460, 300


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    with own_home(tmp_path) as cache:
        yield cache


Start = Callable[[str], LocalService]


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """A service whose engines run a line of shell before they start."""
    services: list[LocalService] = []
    real = sys.executable

    def start(line: str) -> LocalService:
        program = tmp_path / "python"
        program.write_text(f'#!/bin/sh\n{line}\nexec "{real}" "$@"\n')
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        services.append(LocalService())
        return services[-1]

    yield start
    for service in services:
        service.close()


def answer(session: EngineSession, sampling: Sampling = GREEDY) -> list[Chunk]:
    return list(session.generate(ASKED, sampling))


# ---- while loading


def test_a_limit_on_the_address_space_leads_to_what_fits_it(started: Start, smollm2: Path) -> None:
    service = started(f"ulimit -v {TIGHT * 1024}")
    plan = service.plan(str(smollm2), Wish())
    session = loaded(service, plan)
    first = plan.candidates[0].placement
    assert first is not None and session.placement != first and session.placement.ctx <= first.ctx
    (note,) = session.loaded.notes
    assert note.startswith("Out of memory, though ") and " of RAM is said to be free. It runs with " in note
    assert told(answer(session))
    assert session.candidate.placement == session.placement
    assert session.plan.wish == plan.wish and session.plan.candidates[0] == session.candidate
    (load, *_) = history.read(paths().history)
    assert (load.ctx, load.measured) == (session.placement.ctx, session.loaded.memory)


def test_what_was_asked_is_not_cut_and_four_loads_are_enough(started: Start, smollm2: Path) -> None:
    service = started(f"ulimit -v {HOPELESS * 1024}")
    with pytest.raises(DoesNotFit) as raised:
        loaded(service, service.plan(str(smollm2), Wish(ctx=4096)))
    said = str(raised.value)
    assert isinstance(raised.value.__cause__, OutOfMemory)
    assert said.startswith("3 placements ran out of memory") and "4k context in q8_0" in said
    assert "Free now: " in said and " is left to other programs" in said
    assert service.engine.is_alive()


def test_as_a_command_it_is_exit_5_and_names_the_limit(environment: dict[str, str], smollm2: Path) -> None:
    line = f'ulimit -v {HOPELESS * 1024}; exec "{sys.executable}" -P -m localrun "{smollm2}" -p hi --json'
    done = subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 5, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "DoesNotFit"
    assert "4 placements ran out of memory" in error["message"]
    assert f"a process may address no more than {HOPELESS} MiB (ulimit -v)" in error["message"]


def test_memory_that_is_taken_between_plan_and_load_is_planned_around(
    started: Start, smollm2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit on the engine is real; that the system has no more is what it says from then on."""
    service = started(f"ulimit -v {540 * 1024}")
    plan = service.plan(str(smollm2), Wish())
    now = replace(host.memory(), available=host_reserve(plan.machine) + 250 * MIB)
    monkeypatch.setattr(host, "memory", lambda: now)
    session = loaded(service, plan)
    (note,) = session.loaded.notes
    was, left = plan.machine.ram_available / GIB, now.available / GIB
    assert note.startswith(f"Out of memory, as RAM has {left:.1f} GiB free where the plan counted on {was:.1f} GiB. ")
    assert "It runs as planned anew for what is free: all 31 layers on the CPU" in note
    assert session.plan.machine.ram_available == now.available


def test_a_lent_device_that_claims_more_than_it_has(started: Start, smollm2: Path, tmp_path: Path) -> None:
    with lent(tmp_path / "lender.log", 1, really=85 * MIB) as endpoint:
        service = started("")
        plan = service.plan(str(smollm2), Wish(rpc=(endpoint,), ram_limit=1264 * MIB))  # of which 240 MiB may be used
        first = plan.candidates[0].placement
        assert first is not None and first.devices == ("RPC0",)
        session = loaded(service, plan)
        assert session.placement.gpu_layers < first.gpu_layers
        (note,) = session.loaded.notes
        assert note.startswith("Out of memory, though ") and " on RPC0 and " in note
        assert told(answer(session))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    """A control group for memory, of version 1, for one test."""
    folder = GROUPS / f"localrun-{os.getpid()}-{tmp_path.name}"
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no control group can be made here")
    yield folder
    deadline = time.monotonic() + PATIENCE_S
    while folder.exists() and time.monotonic() < deadline:  # it is busy while the last process ends
        with suppress(OSError):
            folder.rmdir()
        time.sleep(0.02)


def test_an_engine_that_the_kernel_ends_is_told_apart_and_climbs_down(
    group: Path, started: Start, smollm2: Path
) -> None:
    (group / "memory.limit_in_bytes").write_text(str(280 * MIB))
    service = started(f"echo $$ > {group}/cgroup.procs")
    plan = service.plan(str(smollm2), Wish())
    session = loaded(service, plan)
    assert session.placement != plan.candidates[0].placement
    assert told(answer(session))
    (note,) = session.loaded.notes
    assert note.startswith("Out of memory, though ")
    assert "oom_kill 0" not in (group / "memory.oom_control").read_text().splitlines(), "the kernel has not ended any"


def test_what_does_not_fit_a_control_group_is_refused_with_numbers_before_it_is_loaded(
    group: Path, environment: dict[str, str], smollm2: Path
) -> None:
    (group / "memory.limit_in_bytes").write_text(str(GIB + 80 * MIB))  # of which 1 GiB is left to other programs
    line = f'echo $$ > {group}/cgroup.procs; exec "{sys.executable}" -P -m localrun "{smollm2}" -p hi --json'
    done = subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["kind"]) == (5, "DoesNotFit"), done.stderr
    assert re.search(r"this machine has \d+ MiB of RAM to give: \d+ MiB too little", error["message"])
    assert "oom_kill 0" in (group / "memory.oom_control").read_text().splitlines()


# ---- while answering


def test_an_allocation_that_fails_while_answering_goes_on_with_less(started: Start, smollm2: Path) -> None:
    service = started("")
    plan = service.plan(str(smollm2), Wish())
    session = loaded(service, plan)
    before = session.placement
    grow_no_more_than(service.engine.pid, MIB)
    chunks = answer(session)
    assert told(chunks) and chunks[-1].completion_tokens == GREEDY.max_tokens
    (note,) = [chunk.happened for chunk in chunks if chunk.happened]
    assert note.startswith("Out of memory while answering, though ") and "The answer goes on with " in note
    assert session.loaded.notes == (note,) and session.placement != before
    assert session.placement.ctx == before.ctx  # the answer would not be cut for it
    assert told(answer(session)) == told(chunks)


HOG = """
import sys
held = bytearray(int(sys.argv[1]))
held[::4096] = bytes(len(held) // 4096)
print(1, flush=True)
input()
"""


@contextmanager
def hog(group: Path, size: int) -> Iterator[None]:
    """Another program in the control group, which takes so much memory and keeps it."""
    line = f'echo $$ > {group}/cgroup.procs; exec "$0" -c "$1" "$2"'
    words = ["sh", "-c", line, sys.executable, HOG, str(size)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with short_lived(process):
        assert line_of(process) == b"1\n"
        yield


def test_another_program_takes_the_memory_in_the_midst_of_an_answer(started: Start, smollm2: Path, group: Path) -> None:
    """Both live in one control group, where the kernel ends the engine; the answer goes on where it was."""
    service = started("")
    plan = service.plan(str(smollm2), Wish(ctx=2048))
    session, asked = loaded(service, plan), replace(GREEDY, max_tokens=60)
    whole = told(answer(session, asked))
    (group / "memory.limit_in_bytes").write_text(str(300 * MIB))
    engine = service.engine.pid
    (group / "cgroup.procs").write_text(str(engine))
    chunks: list[Chunk] = []
    with ExitStack() as stack:
        for chunk in session.generate(ASKED, asked):
            if told(chunks) and service.engine.pid == engine:
                stack.enter_context(hog(group, 280 * MIB))
            chunks.append(chunk)
    assert service.engine.pid != engine
    before = told(chunks[: [chunk.happened for chunk in chunks].index(session.loaded.notes[-1])])
    assert before and whole.startswith(before) and told(chunks).startswith(before)
    assert (chunks[-1].completion_tokens, chunks[-1].finish) == (60, Finish.LENGTH)
    assert len(session.loaded.notes) == 1
