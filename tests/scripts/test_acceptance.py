"""The acceptance run on a machine without a GPU: a loopback device in its place, tiny models, everything else real."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.types.engine import ComponentBytes
from runner.types.placement import Placement
from runner.types.plan import MemoryRow, Predicted
from runner.types.wish import Wish
from scripts.checks.acceptance.examine import Model, Setup, all_rows, expected, made, planned, run
from scripts.checks.acceptance.options import parsed
from scripts.checks.acceptance.rows import Expected, Measured, Row, Run, row_json, sentence, spread, summary
from scripts.checks.loopback import lent

MIB = 1 << 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for everything that the engine and the planner keep."""
    folder = tmp_path_factory.mktemp("acceptance")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CACHE", "DATA", "STATE", "CONFIG"):
            patch.setenv(f"XDG_{kind}_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def tiny(home: Path) -> Model:
    return made("tiny-dense", home)


@pytest.fixture(scope="module")
def there(home: Path) -> Iterator[Setup]:
    """A loopback device with two layers forced onto it."""
    with lent(home / "lender.log", 1) as endpoint:
        yield Setup(home, Wish(768, "f16", gpu_layers=2, threads=1, devices=("RPC0",), rpc=(endpoint,)), None, 1)


def dry_run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.checks.acceptance", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_dry_run_compares_bytes_and_speeds_of_both(tmp_path: Path) -> None:
    done = dry_run("--dry-run", "--runs", "1", "--threads", "1", "--folder", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["backend"], found["left_out"]) == ("rpc", [])
    assert [row["model"] for row in found["rows"]] == ["tiny-dense", "tiny-moe"]
    for row in found["rows"]:
        ours, fit = row["ours"], row["fit"]
        assert (ours["placement"]["gpu_layers"], fit["placement"]["gpu_layers"]) == (3, 5)
        for one in (ours, fit):
            assert [entry["device"] for entry in one["memory"]] == ["RPC0", "CPU"]
            assert min(one["measured"].values()) > 0
        for entry in ours["memory"]:  # rehearsed, so that nothing but rounding is left
            assert entry["planned"] == pytest.approx(entry["measured"], rel=0.01)
        ratio = ours["measured"]["decode_tps"] / fit["measured"]["decode_tps"]
        assert row["ours_over_fit"]["decode_tps"] == pytest.approx(ratio, abs=0.01)
    assert abs(found["summary"]["bytes_on_devices"]["most"]) < 0.01
    assert (found["summary"]["rows"], found["summary"]["failed"]) == (2, 0)
    assert "tiny-moe in 1.0 GiB: decode" in done.stderr


def test_a_backend_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = dry_run("--backend", "abacus", "--folder", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "This llama.cpp has no abacus device; scripts/setup may build one that has.\n"


def test_without_time_every_row_is_left_out(there: Setup, tiny: Model) -> None:
    rows, left_out = all_rows(there, [tiny], (0.5, 1.1), deadline=0)
    assert rows == []
    assert left_out == [
        f"tiny-dense with {share} of the memory it takes: no time was left." for share in ("50%", "110%")
    ]


def test_a_limit_that_cannot_be_kept_is_left_out_with_the_reason(there: Setup, tiny: Model) -> None:
    forced = replace(there, wish=replace(there.wish, gpu_layers=5))
    rows, left_out = all_rows(forced, [tiny], (0.1,), deadline=float("inf"))
    assert rows == []
    (sentence,) = left_out
    assert sentence.startswith("tiny-dense with 10% of the memory it takes: ")


def test_a_load_that_fails_is_kept_as_a_sentence(there: Setup, tiny: Model) -> None:
    plan, candidate = planned(tiny, there.wish)
    assert candidate.placement is not None
    said = expected(tiny.shape, plan.machine, candidate.placement)
    broken = replace(said, placement=replace(candidate.placement, devices=("CUDA7",)))
    failed = run(there, tiny, plan, candidate, broken)
    assert failed.measured is None
    assert failed.failure is not None and "no device CUDA7" in failed.failure


@pytest.mark.parametrize(
    "words",
    ["--models huge", "--models dense,,moe", "--limits 0,1", "--limits x", "--ctx 0", "--runs -1", "--threads many"],
)
def test_bad_options_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(None, words.split())
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_plain_run_is_a_cuda_run_of_eight_minutes() -> None:
    options = parsed(None, [])
    assert (options.backend, options.models, options.budget) == ("cuda", ("dense", "moe"), 480)


# ---- what rows say


PLACEMENT = Placement(("CUDA0",), 10, 33, (10,), 4096)
PLANNED = (MemoryRow("CUDA0", 100 * MIB, 20 * MIB, 30 * MIB, 50 * MIB, 400 * MIB), MemoryRow("CPU", 40, 0, 10, 0, 100))
EXPECTED = Expected(PLACEMENT, PLANNED, Predicted(90.0, 2000.0, 2048))
MEASURED = Measured(
    memory=(ComponentBytes("CUDA0", 100 * MIB, 20 * MIB, 40 * MIB), ComponentBytes("CPU", 40, 0, 10)),
    driver={"CUDA0": 250 * MIB},
    decode_tps=110.0,
    decode_tps_at_depth=100.0,
    prefill_tps=1000.0,
    load_s=1.25,
)
SLOWER = replace(MEASURED, decode_tps=88.0, decode_tps_at_depth=50.0, prefill_tps=2000.0)
FAILED = Run(EXPECTED, None, "out of memory")


def row(ours: Run = Run(EXPECTED, MEASURED), fit: Run = Run(EXPECTED, SLOWER)) -> Row:
    return Row("dense", 8 << 30, "rehearsal", ours, fit, "llama-fit-params", 12.0)


def test_a_summary_is_relative_to_what_was_measured() -> None:
    said = summary([row(), row(fit=FAILED), row(ours=FAILED)])
    assert (said["rows"], said["failed"], said["fit_failed"]) == (3, 1, 1)
    assert said["bytes_on_devices"] == dict.fromkeys(("median", "least", "most"), -0.0625)  # 150 of 160 MiB
    assert said["bytes_on_host"]["most"] == 0
    assert said["bytes_by_driver"]["median"] == -0.2  # 200 of 250 MiB
    assert said["decode_over_fit"]["median"] == 0.25
    assert said["decode_over_fit_at_depth"]["median"] == 1.0
    assert said["prefill_over_fit"]["median"] == -0.5
    assert said["decode_predicted"] == {"median": 0.35, "least": -0.1, "most": 0.8}
    assert said["prefill_predicted"] == {"median": 0.5, "least": 0.0, "most": 1.0}


def test_nothing_measured_is_none() -> None:
    assert spread(iter([])) is None
    said = summary([])
    assert {name for name, value in said.items() if value is None} == said.keys() - {"rows", "failed", "fit_failed"}


def test_a_row_carries_both_placements_and_their_ratio() -> None:
    said = row_json(row())
    assert said["ours_over_fit"] == {"decode_tps": 1.25, "decode_tps_at_depth": 2.0, "prefill_tps": 0.5}
    assert said["ours"]["driver"] == {"CUDA0": {"planned": 200 * MIB, "measured": 250 * MIB}}
    assert said["ours"]["measured"]["load_s"] == 1.25
    assert json.loads(json.dumps(said)) == said


@pytest.mark.parametrize("broken", [row(ours=FAILED), row(fit=FAILED)])
def test_a_failure_has_no_numbers(broken: Row) -> None:
    said: dict[str, Any] = row_json(broken)
    assert said["ours_over_fit"] is None
    failed = said["ours" if broken.ours is FAILED else "fit"]
    assert failed["failure"] == "out of memory"
    assert "measured" not in failed
    assert sentence(broken) == "dense in 8.0 GiB failed: out of memory"
