"""From a name to a plan, to files, to an answer: the whole way, on the real small model and a Hub on the loopback."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from models.errors import DoesNotFit, ModelNotFound, OutOfMemory
from models.weights import Progress
from runner.client.process import EngineProcess
from runner.client.session import EngineSession
from runner.client.watch import Limits
from runner.hardware import host
from runner.service.service import LocalService
from runner.storage.paths import paths
from runner.storage.rates import keep_bandwidth
from runner.types.commands import Load
from runner.types.generation import Message
from runner.types.measurement import Bandwidth
from runner.types.pipe import LongCommand
from runner.types.placement import Placement
from runner.types.plan import Plan, Source, Verdict
from runner.types.sampling import Sampling
from runner.types.units import GIB
from runner.types.wish import Wish
from scripts.synthetic import headers
from tests.support.homes import cached, own_home, put
from tests.support.hub import Fault, Hub, environment

LAPTOP = "gpu=8g@256gbps,ram=28g"
REPO, LARGE, LOCKED = "org/tiny-GGUF", "bartowski/Llama-3.3-70B-Instruct-GGUF", "org/locked-GGUF"
PHI = "org/phi-GGUF"
SIZE = 98_362_432
SHORT = ("--temp", "0", "--max-tokens", "8", "--threads", "1")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> Iterator[Hub]:
    """One small model that is real, and headers of large ones."""
    root = tmp_path_factory.mktemp("root")
    for repo in (REPO, LOCKED):
        put(root / repo / ".hub.json", json.dumps({"license": "mit", "gated": repo == LOCKED and "auto"}).encode())
        shutil.copy(smollm2, root / repo / "tiny-Q4_1.gguf")
    for quant in ("Q4_K_M", "IQ2_M"):
        headers.make("llama-3.3-70b", quant, root / LARGE)
    headers.make("phi-3-mini", "Q4_0", root / PHI)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def home(tmp_path: Path, hub: Hub) -> Iterator[Path]:
    hub.forget()
    with own_home(tmp_path, hub.endpoint) as cache:
        yield cache


@pytest.fixture
def service(home: Path) -> Iterator[LocalService]:
    service = LocalService()
    yield service
    service.close()


def opened(service: LocalService, plan: Plan) -> EngineSession:
    *_, session = service.load(plan, service.chosen(plan))
    assert isinstance(session, EngineSession)
    return session


# ---- plan, download, load, remember


def test_plan_download_load_answer_and_the_next_plan_knows(service: LocalService, home: Path) -> None:
    plan = service.plan(REPO, Wish(ctx=1024))
    (one,) = plan.candidates
    assert (one.quant, one.download_bytes, one.verdict) == ("Q4_1", SIZE, Verdict.CPU)
    assert one.confirmed_by is Source.REHEARSAL and 0 < plan.fetched_bytes < 4_000_000
    assert service.terms(plan, 0).licence == "mit" and service.terms(plan, 0).seconds is None

    *_, last = service.fetch(plan, 0)
    assert isinstance(last, Progress) and last.done == last.total == SIZE
    assert home in service.paths_of(plan, 0)[0].parents
    session = opened(service, plan)
    turn = list(session.generate([Message("user", "Tell me about the sea.")], Sampling(temperature=0, max_tokens=40)))

    again = service.plan(REPO, Wish(ctx=1024))
    (known,) = again.candidates
    assert (known.download_bytes, known.confirmed_by) == (0, Source.HISTORY)
    assert turn[-1].decode_tps is not None and one.predicted and known.predicted
    expected = (one.predicted.decode_tps * turn[-1].decode_tps) ** 0.5  # a single turn counts half
    assert known.predicted.decode_tps == pytest.approx(expected)
    assert service.terms(again, 0).seconds is not None  # the rate of the download is remembered


def test_an_interrupted_download_goes_on_and_counts(service: LocalService, hub: Hub) -> None:
    plan = service.plan(REPO, Wish())
    hub.order(Fault("slow", path="*.gguf", rate=16e6))
    download = service.fetch(plan, 0)
    for progress in download:
        if progress.done > 8_000_000:
            break
    assert hasattr(download, "close")
    download.close()
    left = service.plan(REPO, Wish()).candidates[0].download_bytes
    assert SIZE - 30_000_000 < left < SIZE - 8_000_000
    hub.forget()
    list(service.fetch(plan, 0))
    assert left <= hub.bytes_sent("*.gguf") < left + 2_000_000
    assert service.plan(REPO, Wish()).candidates[0].download_bytes == 0


def test_what_is_loaded_must_be_here(service: LocalService) -> None:
    plan = service.plan(REPO, Wish())
    with pytest.raises(Exception, match="is not here any more"):
        list(service.load(plan, 0))


class Full(EngineProcess):
    """An engine that can allocate nothing; `tried` are the placements that it was asked to load."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self.tried: list[Placement] = []

    def stream(self, command: LongCommand[Any, Any], limits: Limits | None = None) -> Generator[Any, None, Any]:
        """Refuse to load; everything else goes on."""
        if isinstance(command, Load):
            self.tried.append(command.placement)
            raise OutOfMemory("There is no room.")
        return super().stream(command, limits)


def test_a_look_at_another_context_does_not_decide_what_is_loaded(home: Path, smollm2: Path, tmp_path: Path) -> None:
    engine = Full(tmp_path / "log")
    service = LocalService(engine=engine)
    try:
        taken = service.plan(str(smollm2), Wish(ctx=1024))
        looked_at = service.plan(str(smollm2), Wish(ctx=2048))
        for plan, ctx in ((taken, 1024), (looked_at, 2048), (taken, 1024)):
            engine.tried.clear()
            with pytest.raises(DoesNotFit, match="ran out of memory, and nothing smaller is left"):
                list(service.load(plan, service.chosen(plan)))
            assert {placement.ctx for placement in engine.tried} == {ctx}
            assert len(set(engine.tried)) == len(engine.tried) > 1
    finally:
        service.close()


def test_a_second_plan_asks_nobody(service: LocalService, hub: Hub) -> None:
    first = service.plan(LARGE, Wish(), LAPTOP)
    asked = len(hub.requests)
    second = service.plan(LARGE, Wish(ctx=2048), LAPTOP)
    third = service.plan(LARGE, Wish(quant="IQ2_M"), LAPTOP)
    assert len(hub.requests) == asked
    assert first.candidates[1].confirmed_by is Source.STAND_IN
    assert second.candidates[1].placement and second.candidates[1].placement.ctx == 2048
    assert [one.quant for one in third.candidates] == ["IQ2_M"]


def test_planning_goes_on_after_the_engine_died(service: LocalService) -> None:
    plan = service.plan(LARGE, Wish(), LAPTOP)
    os.kill(service.engine.pid, 9)
    service.engine.restart()
    assert service.plan(LARGE, Wish(), LAPTOP).candidates == plan.candidates


# ---- what is here, and what is not


def test_where_nothing_here_runs_the_hub_is_asked(service: LocalService, hub: Hub, home: Path) -> None:
    q4 = hub.store.root / LARGE / "Llama-3.3-70B-Instruct-Q4_K_M.gguf"
    folder = cached(home, LARGE, {})
    link = folder / "snapshots" / ("a" * 40) / q4.name
    link.parent.mkdir(parents=True)
    link.symlink_to(q4)
    assert len(service.plan(LARGE, Wish(), LAPTOP).candidates) == 2  # named hardware sees all of them
    plan = service.plan(LARGE, Wish(ram_limit=10 * GIB))
    assert plan.chosen is None and [(one.quant, one.download_bytes > 0) for one in plan.candidates] == [
        ("Q4_K_M", False),
        ("IQ2_M", True),
    ]


def test_the_verdict_no_comes_with_commands_to_type(service: LocalService) -> None:
    plan = service.plan("llama-3.3-70b", Wish(quant="Q4_K_M"), LAPTOP)
    with pytest.raises(DoesNotFit) as raised:
        service.chosen(plan)
    said = str(raised.value)
    assert "IQ2_M would run at " in said and "`localrun llama-3.3-70b --quant IQ2_M`" in said
    assert "would run well: `localrun llama-3." in said


def test_the_family_of_a_file_is_known_by_its_name(service: LocalService, hub: Hub) -> None:
    path = hub.store.root / LARGE / "Llama-3.3-70B-Instruct-Q4_K_M.gguf"
    plan = service.plan(str(path), Wish(), "cpu,ram=16g@50gbps")
    assert plan.chosen is None
    assert service.instead(plan).startswith("Llama 3.2 ")


def test_no_more_is_said_than_is_true(service: LocalService) -> None:
    plan = service.plan(REPO, Wish(ctx=8192), "cpu,ram=1g")
    assert plan.chosen is None and service.instead(plan) == ""


def test_descriptions(service: LocalService) -> None:
    (one,) = service.describe("smollm2-135m", Wish(quant="q4_1"))
    assert (one.quant, one.layers, one.is_here, one.context_trained) == ("Q4_1", 30, True, 8192)


def test_the_picker_shows_what_is_here_with_a_verdict_and_then_the_catalog(service: LocalService, home: Path) -> None:
    cached(home, "org/broken-GGUF", {"broken-Q4_0.gguf": b"not a model"})
    computer = f"{host.cpu_name()}, {host.cores()} cores"
    keep_bandwidth(paths().bandwidth, computer, Bandwidth(40e9, quiet=True))  # a busy one would run little well
    rows = service.choices()
    here = [row for row in rows if row.is_here]
    assert [(row.name, row.quant, row.verdict) for row in here] == [
        ("smollm2-135m", "Q4_1", Verdict.CPU),
        ("org/broken-GGUF", "Q4_0", Verdict.NO),
    ]
    assert "not a GGUF" in here[1].note
    assert here[0].decode_tps and here[0].bytes == SIZE
    catalog = rows[len(here) :]
    assert catalog and not any(row.is_here for row in catalog)
    assert "smollm2-135m" not in {row.name for row in catalog}
    assert all(row.decode_tps and row.decode_tps >= 10 for row in catalog)
    assert service.plan(here[0].name, Wish()).chosen == 0


# ---- as a command

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory, hub: Hub) -> dict[str, str]:
    home = tmp_path_factory.mktemp("user")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LOCALRUN_", "HF_", "XDG_"))}
    return {**kept, "HOME": str(home), **environment(home / "hf", hub.endpoint)}


def command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "localrun", *words]


@pytest.fixture(scope="module")
def localrun(variables: dict[str, str]) -> Run:
    def run(*words: str, **extra: str) -> subprocess.CompletedProcess[str]:
        env = {**variables, **extra}
        return subprocess.run(
            command(words), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, timeout=60, check=False
        )

    return run


def test_the_first_run_downloads_and_the_second_needs_no_network(localrun: Run) -> None:
    first = localrun(REPO, "-p", "Name three primary colours.", *SHORT)
    assert first.returncode == 0 and first.stdout.strip()
    assert "To download: org/tiny-GGUF Q4_1, 98 MB" in first.stderr and "licence mit" in first.stderr
    second = localrun(f"{REPO}:Q4_1", "-p", "Name three primary colours.", *SHORT, HF_HUB_OFFLINE="1")
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert "To download" not in second.stderr

    pulled = json.loads(localrun("pull", REPO, "--json").stdout)
    assert pulled["quant"] == "Q4_1" and Path(pulled["files"][0]).stat().st_size == SIZE
    listed = json.loads(localrun("list", "--json").stdout)
    assert [one["origin"] for one in listed if one["name"] == REPO] == ["huggingface"]
    removed = localrun("rm", REPO)
    assert (removed.returncode, removed.stdout) == (0, "94 MiB freed.\n")
    assert not Path(pulled["files"][0]).exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((LOCKED, "-p", "x"), 4, f"{LOCKED} is gated. Accept its licence at"),
        (("plan", "org/llama-3.3-70b"), 3, "Near it are llama-3.3-70b"),
        (("plan", "llama-3.3-70b", "--quant", "Q4_K_M", "--on", LAPTOP), 5, "`localrun llama-3.3-70b --quant IQ2_M`"),
    ],
)
def test_what_goes_wrong_is_said_in_sentences(localrun: Run, words: tuple[str, ...], code: int, said: str) -> None:
    done = localrun(*words)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert said in done.stderr


def test_a_large_download_asks_and_no_is_an_answer(variables: dict[str, str]) -> None:
    controller, terminal = pty.openpty()
    try:
        os.write(controller, b"n\n")
        words = (PHI, "-p", "x")
        process = subprocess.Popen(
            command(words), stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, env=variables, text=True
        )
        out, _ = process.communicate(timeout=60)
        said = os.read(controller, 1 << 16).decode()
    finally:
        os.close(terminal)
        os.close(controller)
    assert (process.returncode, out) == (130, ""), said
    assert "2.2 GB" in said and "Go on? [Y/n]" in said and "Nothing was downloaded." in said


def test_an_unknown_name_without_a_network(localrun: Run) -> None:
    assert localrun("plan", "no-such-model", HF_HUB_OFFLINE="1").returncode == 3


def test_model_not_found_is_what_scripts_see(service: LocalService) -> None:
    with pytest.raises(ModelNotFound):
        service.plan("org/tiny-GGUF:Q8_0", Wish())
