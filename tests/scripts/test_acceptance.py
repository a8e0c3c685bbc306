"""The acceptance run on a machine without a GPU: a loopback device in its place, tiny models, everything else real."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.client.session import EngineSession
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement
from runner.types.plan import MemoryRow, Predicted
from runner.types.wish import Wish
from scripts.checks import record
from scripts.checks.acceptance import examine
from scripts.checks.acceptance.asking import Asked, request
from scripts.checks.acceptance.cases import CASES
from scripts.checks.acceptance.examine import Examined, Model, Setup, expected, made, planned, rows_of, run, wish_of
from scripts.checks.acceptance.options import parsed
from scripts.checks.acceptance.rows import Expected, Held, Request, Row, Speeds, row_json, sentence, table
from scripts.checks.acceptance.variants import Variant
from scripts.checks.fit_speed import main as fit_speed
from scripts.checks.loopback import lent
from scripts.checks.speed_rows import recorded
from scripts.synthetic.random_weights import GEOMETRIES
from tests.support.waiting import COMMAND_S

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
    return made(CASES["tiny-dense"], home)


@pytest.fixture(scope="module")
def setup(home: Path) -> Iterator[Setup]:
    """A loopback device with two layers forced onto it."""
    with lent(home / "lender.log", 1) as endpoint:
        wish = Wish(kv_type="f16", gpu_layers=2, threads=1, devices=("RPC0",), rpc=(endpoint,))
        yield Setup(home, wish, None, 4, patience=60, deadline=time.monotonic() + 600)


@pytest.fixture(scope="module")
def there(setup: Setup, tiny: Model) -> Examined:
    return planned(tiny, wish_of(setup, CASES["tiny-dense"]))


def dry_run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.checks.acceptance", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)


def test_a_dry_run_leaves_a_record_that_the_speed_model_is_held_against(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.json"
    done = dry_run("--dry-run", "--threads", "1", "--folder", str(tmp_path), "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = record.read(out)
    assert [(row["case"], row["variant"]) for row in found["rows"]] == [
        (case, variant) for case in ("tiny-dense", "tiny-moe", "tiny-mxfp4") for variant in ("plan", "fit")
    ]
    for row in found["rows"]:
        assert row["placement"]["gpu_layers"] == (3 if row["variant"] == "plan" else 5)
        assert [entry["device"] for entry in row["memory"]] == ["RPC0", "CPU"]
        assert [one["prompt"] for one in row["requests"]] == ([512] if row["case"] == "tiny-mxfp4" else [64, 512])
        if row["variant"] == "plan":  # rehearsed, so that nothing but rounding is left
            for entry in row["memory"]:
                assert entry["planned"] == pytest.approx(entry["measured"], rel=0.01)
    cases = [case for case in recorded(out) if case.source == out.stem]
    decodes, prefills = [case for case in cases if not case.prompt], [case for case in cases if case.prompt]
    told = [(row, one) for row in found["rows"] for one in row["requests"]]
    assert [case.tps for case in decodes] == [one["decode_tps"] for _row, one in told]
    for case, (_row, one) in zip(decodes, told, strict=True):  # what is read back predicts what was predicted there
        assert case.predicted == pytest.approx(one["predicted"]["decode_tps"], abs=0.01)
    # Made-up routers reach but few experts, which tells where all of them are on a device.
    counted = [one for row, one in told if row["case"] == "tiny-dense" or row["placement"]["gpu_layers"] == 5]
    assert [case.tps for case in prefills] == [one["prefill_tps"] for one in counted]
    for case, one in zip(prefills, counted, strict=True):
        assert case.predicted == pytest.approx(one["predicted"]["prefill_tps"], abs=0.1)
    assert "tiny-moe Q3_K_M, plan: loaded in " in done.stderr
    assert out.with_suffix(".md").read_text() == done.stdout.rstrip("\n") + "\n"
    monkeypatch.setattr(sys, "argv", ["fit_speed", str(out)])
    assert fit_speed() == 0
    assert f"{out.stem:28} decode     10 numbers" in capsys.readouterr().out


def test_a_record_tells_nothing_of_whose_it_is(tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    assert dry_run("tiny-dense", "--dry-run", "--threads", "1", "--folder", str(tmp_path), "--out", str(out)).stderr
    text = out.read_text()
    for private in (str(tmp_path), "127.0.0.1", "uid", ".gguf", str(Path.home())):
        assert private not in text


def test_a_backend_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    done = dry_run("--backend", "abacus", "--folder", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "This llama.cpp has no abacus device; scripts/setup may build one that has.\n"


def test_without_time_nothing_is_begun(
    setup: Setup, there: Examined, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert not list(rows_of(replace(setup, deadline=0), "tiny-dense", there, [Variant("plan"), Variant("fit")]))
    assert capsys.readouterr().err == "tiny-dense, plan: no time was left.\ntiny-dense, fit: no time was left.\n"
    done = dry_run("--dry-run", "--budget", "0", "--folder", str(tmp_path))
    assert (done.returncode, done.stdout, list(tmp_path.glob("*.gguf"))) == (1, "{}\n", [])
    assert done.stderr.splitlines()[-1] == "tiny-mxfp4: no time was left."


def test_variants_are_measured_side_by_side_and_equal_ones_once(setup: Setup, there: Examined) -> None:
    variants = [Variant("plan"), Variant("fit"), Variant("plan", 128), Variant("front"), Variant("layers", 128)]
    rows = list(rows_of(setup, "tiny-dense", there, variants))
    # With room for all, front and layers are whole, as --fit's is: only another ubatch makes them different.
    assert [row.variant for row in rows] == ["plan", "fit", "plan,ubatch=128", "layers,ubatch=128"]
    assert [row.expected.placement.ubatch for row in rows] == [512, 512, 128, 128]
    assert all([one.prompt for one in row.requests] == [64, 512] for row in rows)


def test_a_load_that_fails_is_kept_as_a_sentence(setup: Setup, there: Examined) -> None:
    asked = Asked((64,), 4)
    said = expected(there, there.placement, asked)
    broken = replace(said, placement=replace(there.placement, devices=("CUDA7",)))
    failed = run(setup, there, Row("tiny-dense", "tiny-dense Q4_K_M", None, "plan", broken), asked)
    assert (failed.held, failed.requests) == (None, ())
    assert failed.failure is not None and "no device CUDA7" in failed.failure


def test_a_placement_that_takes_too_long_is_given_up_and_what_came_is_kept(
    setup: Setup, there: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(session: EngineSession, vocabulary: int, tokens: int, answer: int) -> Request:
        done = request(session, vocabulary, tokens, answer)
        while tokens != 64:
            request(session, vocabulary, tokens, answer)
        return done

    monkeypatch.setattr(examine, "request", endless)
    asked = Asked((64, 100), 4)
    row = Row("tiny-dense", "tiny-dense Q4_K_M", None, "plan", expected(there, there.placement, asked))
    found = run(replace(setup, patience=8), there, row, asked)
    assert found.failure == "Given up after 8 s."
    assert found.held is not None
    assert [one.prompt for one in found.requests] == [64]


def test_a_request_that_the_context_cannot_hold_is_a_sentence(setup: Setup, there: Examined) -> None:
    asked = Asked((760,), 64)
    row = Row("tiny-dense", "tiny-dense Q4_K_M", None, "plan", expected(there, there.placement, asked))
    found = run(setup, there, row, asked)
    assert found.failure == "A context of 768 is too short for 760 and 64 tokens."


@pytest.mark.parametrize(
    "words",
    ["huge", "--answer 0", "--threads many", "--variants whole", "--variants plan,fast", "--variants fit,ubatch=0"],
)
def test_bad_options_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(None, words.split())
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_plain_run_is_a_cuda_run_of_six_minutes_over_models_that_there_are() -> None:
    options = parsed(None, [])
    assert (options.backend, options.budget) == ("cuda", 360)
    assert [str(variant) for variant in options.variants] == ["plan", "fit"]
    assert {CASES[name].model for name in options.cases} <= GEOMETRIES.keys()
    assert {CASES[name].limit is None for name in options.cases} == {True, False}
    assert all(
        prompt + options.answer < case.ctx
        for case in CASES.values()
        for prompt in case.prompts
        if "tiny" not in case.model
    )


# ---- what rows say


PLACEMENT = Placement(("CUDA0",), 10, 33, (10,), 4096)
PLANNED = (MemoryRow("CUDA0", 100 * MIB, 20 * MIB, 30 * MIB, 50 * MIB, 400 * MIB), MemoryRow("CPU", 40, 0, 10, 0, 100))
EXPECTED = Expected(
    PLACEMENT, PLANNED, Predicted(90.0, 2000.0, 2048), {512: Speeds(2048.0, 64.0), 4096: Speeds(4096.0, 32.0)}
)
HELD = Held(
    memory=(ComponentBytes("CUDA0", 100 * MIB, 20 * MIB, 40 * MIB), ComponentBytes("CPU", 40, 0, 10)),
    driver={"CUDA0": 250 * MIB},
    load_s=1.25,
)
REQUESTS = (Request(512, 64, Speeds(1024.0, 128.0)), Request(4096, 64, Speeds(2048.0, 64.0)))
OURS = Row("dense", "8b Q4_K_M", 8 << 30, "plan", EXPECTED, HELD, REQUESTS)
SLOWER = (Request(512, 64, Speeds(512.0, 64.0)),)
CUT = replace(OURS, variant="fit", requests=SLOWER, failure="out of memory")


def test_a_row_of_a_record_has_requests_memory_and_why_it_ended() -> None:
    said = row_json(CUT)
    assert said["requests"] == [
        {
            "prompt": 512,
            "answer": 64,
            "prefill_tps": 512.0,
            "decode_tps": 64.0,
            "predicted": {"prefill_tps": 2048.0, "decode_tps": 64.0},
        }
    ]
    assert said["driver"] == {"CUDA0": {"planned": 200 * MIB, "measured": 250 * MIB}}
    assert (said["load_s"], said["failure"]) == (1.25, "out of memory")
    assert json.loads(json.dumps(said)) == said
    assert "load_s" not in row_json(replace(CUT, held=None))


def test_the_table_counts_in_requests_with_an_answer_of_256() -> None:
    head, _, ours, fit = table([OURS, CUT]).splitlines()
    assert head == "| model | placement | load s | prompt 512 | prompt 4096 | over plan |"
    assert ours == (
        "| 8b Q4_K_M in 8.0 GiB | plan: 10/33, ubatch 512, mapped | 1.2 "
        "| 1024 (2048), 128.0 (64.0), 2.5 s (4.2) | 2048 (4096), 64.0 (32.0), 6.0 s (9.0) |  |"
    )
    assert fit.endswith("| 512 (2048), 64.0 (64.0), 5.0 s (4.2) |  | 2.00 |")


def test_who_waits_hears_of_each_row() -> None:
    assert (
        sentence(OURS) == "8b Q4_K_M in 8.0 GiB, plan: loaded in 1.2 s; 512: 1024, 128.0 tok/s; 4096: 2048, 64.0 tok/s"
    )
    assert sentence(replace(CUT, held=None, requests=())) == "8b Q4_K_M in 8.0 GiB, fit: out of memory"
