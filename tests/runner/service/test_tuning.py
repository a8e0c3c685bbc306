"""Tuning on the real small model: what is measured, kept and planned again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.errors import ExitCode, UsageError
from runner.cli.options import Options, parse
from runner.cli.output import Output
from runner.cli.subcommands import tune
from runner.hardware import host
from runner.report import sentences
from runner.service import tuning
from runner.service.service import LocalService
from runner.storage import history, rates
from runner.storage.paths import paths
from runner.types.measurement import Bandwidth
from runner.types.plan import Verdict
from runner.types.reasons import Accompanied, TunedHere
from runner.types.wish import Wish
from scripts.checks.loopback import lent
from scripts.synthetic.random_weights import GEOMETRIES, write

MODEL, WISH = "smollm2-135m", Wish(ctx=512)


@pytest.fixture(autouse=True)
def home(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**environment, "XDG_DATA_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> float:
    """A budget that a busy machine does not exhaust, for short requests all the same."""
    monkeypatch.setattr(tuning, "TRIALS", 10_000)
    return 600.0


@pytest.fixture
def service() -> Iterator[LocalService]:
    found = LocalService()
    yield found
    found.close()


def test_what_won_is_planned_from_then_on_for_the_same_wish(service: LocalService, patient: float) -> None:
    plan = service.plan(MODEL, WISH)
    tuner, own = service.tuner(plan, 0, patient), plan.candidates[0].placement
    trials = tuner.trials()
    first, second = next(trials), next(trials)
    trials.close()
    assert own == first.placement == tuner.own != second.placement and second.changed == "threads"
    for trial in (first, second):
        assert trial.timed and trial.timed.prefill_tps > trial.timed.decode_tps > 0 < trial.timed.load_s
        assert trial.timed.wait.seconds > 0
    found = tuner.conclusion()
    assert found.trials == (first, second)
    best, other = found.trials[found.best].timed, found.trials[1 - found.best].timed
    assert best and other and best.wait.seconds <= other.wait.seconds and found.gain >= 0
    service.keep(plan, 0, replace(found, best=1, gain=0.25, is_kept=True))
    (again,) = service.plan(MODEL, WISH).candidates
    assert again.placement == second.placement and again.verdict is Verdict.CPU
    assert isinstance(again.reasons[0], TunedHere) and "25% faster" in sentences.reasons(again)[0]
    assert service.plan(MODEL, replace(WISH, ctx=1024)).candidates[0].placement == replace(own, ctx=1024)
    # Tuning again begins with the planner's own, then measures what won before.
    plan = service.plan(MODEL, WISH)
    trials = service.tuner(plan, 0, patient).trials()
    assert [next(trials).placement for _ in range(2)] == [own, second.placement]
    trials.close()
    service.keep(plan, 0, replace(found, is_kept=False))
    assert service.plan(MODEL, WISH).candidates[0].placement == own


@pytest.mark.parametrize("draft", ["model", "mtp"])
def test_a_companion_stays_with_all_that_is_measured(
    service: LocalService, patient: float, smollm2: Path, tmp_path: Path, draft: str
) -> None:
    """It is loaded each time and in the ledger of each, and planned with what won."""
    heads = draft == "mtp"
    model = write(tmp_path / "tiny-qwen35-Q8_0.gguf", GEOMETRIES["tiny-qwen35"], "Q8_0") if heads else smollm2
    wish = replace(WISH, draft="mtp" if heads else str(smollm2))
    plan = service.plan(str(model), wish)
    (planned,) = plan.candidates
    assert planned.placement is not None and planned.placement.companion is not None and planned.companions
    tuner = service.tuner(plan, 0, patient)
    trials = tuner.trials()
    first, second = next(trials), next(trials)
    trials.close()
    assert first.placement == tuner.own == planned.placement
    assert second.changed == "threads" and second.placement.companion == planned.placement.companion
    assert first.timed and second.timed, "no load has fallen back to one without it"
    (load, *_) = history.read(paths().history)
    assert [row.weights for row in load.measured] == [row.weights for row in planned.memory]
    service.keep(plan, 0, replace(tuner.conclusion(), best=1, gain=0.25, is_kept=True))
    (again,) = service.plan(str(model), wish).candidates
    assert again.placement == second.placement and again.companions == planned.companions
    assert again.predicted and planned.predicted and again.predicted.guesses == planned.predicted.guesses
    assert [type(reason) for reason in again.reasons[:2]] == [TunedHere, Accompanied]
    assert [row.weights for row in again.memory] == [row.weights for row in planned.memory]
    assert service.tuner(service.plan(str(model), wish), 0, patient).own == planned.placement


def test_layers_on_a_lent_device_are_measured_against_the_cpu(
    service: LocalService, patient: float, tmp_path: Path
) -> None:
    """On a computer whose memory is not so fast that one of the two is beyond hope."""
    computer = f"{host.cpu_name()}, {host.cores()} cores"
    rates.keep_bandwidth(paths().bandwidth, computer, Bandwidth(10e9, quiet=True))
    with lent(tmp_path / "lender.log", 1) as endpoint:
        plan = service.plan(MODEL, Wish(ctx=512, rpc=(endpoint,)))
        trials = service.tuner(plan, 0, patient).trials()
        first, second = next(trials), next(trials)
        trials.close()
    assert second.changed == "layout" and {first.placement.devices, second.placement.devices} == {(), ("RPC0",)}
    assert first.timed and second.timed and not second.failure


def test_a_budget_of_a_second_ends_soon_with_every_row_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    options = Options("tune", MODEL, WISH, json=True, budget=1)
    assert tune.run(options, Output()) is ExitCode.OK
    told = capsys.readouterr()
    found = json.loads(told.out)
    first, *others = found["rows"]
    assert first["changed"] is None and first["measured"]["decode_tps"] > 0 and first["placement"]["ctx"] == 512
    assert found["kept"] == (found["gain"] >= 0.03) and found["rows"][found["best"]]["measured"]
    assert found["asked"] == {"prompt": 128, "answer": 16} and sum(one["weight"] for one in found["mix"]) > 0.99
    assert len(others) < 4 and "as planned: " in told.err


def test_no_trial_is_begun_that_would_not_end_in_time(service: LocalService, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by ten seconds with each load, and else stands still."""
    now, load = [0.0], LocalService.load

    def slow_load(*asked: Any) -> Iterator[Any]:
        yield from load(*asked)
        now[0] += 10

    monkeypatch.setattr(LocalService, "load", slow_load)
    monkeypatch.setattr(tuning, "TRIALS", 10_000)
    monkeypatch.setattr(tuning, "time", SimpleNamespace(monotonic=lambda: now[0]))
    plan = service.plan(MODEL, WISH)
    for budget, least in ((15.0, 1), (30.0, 2)):
        now[0] = 0
        trials = list(service.tuner(plan, 0, budget).trials())
        assert len(trials) >= least and now[0] <= budget


def test_ctrl_c_keeps_what_was_measured_by_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(Output):
        def progress(self, text: str, *, final: bool = False) -> None:
            super().progress(text, final=final)
            if "a request" in text:
                raise KeyboardInterrupt

    assert tune.run(Options("tune", MODEL, WISH, budget=1), Impatient()) is ExitCode.INTERRUPTED
    out = capsys.readouterr().out
    assert "as planned" in out and "--budget gives more time" in out
    monkeypatch.setattr(LocalService, "load", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tune.run(Options("tune", MODEL, WISH), Output())


def test_the_budget_is_read_in_seconds() -> None:
    assert parse(["tune", MODEL, "--budget", "2.5", "--ctx", "512"], {}, {}).budget == 2.5
    with pytest.raises(UsageError, match="--budget"):
        parse(["tune", MODEL, "--budget", "0"], {}, {})
