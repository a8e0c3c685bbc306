"""The comparison with llama-bench: its output as data, its options from a placement, and a run against a stand-in.

The stand-in is a program that prints what llama-bench prints; our side of the comparison is the real engine.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import EngineError
from runner.types.placement import Override, Placement
from scripts.benchmarks.against_llama_bench import Speeds, arguments, ratios, speeds_of, theirs
from scripts.synthetic.random_weights import GEOMETRIES, write
from tests.support.waiting import COMMAND_S

# llama-bench of the pinned llama.cpp, -p 512 -n 128 -r 1 -o json; fields that nobody reads are left out.
PRINTED = """[
  {
    "build_commit": "unknown",
    "model_type": "llama ?B Q4_1",
    "n_threads": 2,
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 0,
    "avg_ns": 1136440320,
    "avg_ts": 450.529597,
    "stddev_ts": 0.000000,
    "samples_ns": [ 1136440320 ],
    "samples_ts": [ 450.53 ]
  },
  {
    "build_commit": "unknown",
    "n_prompt": 0,
    "n_gen": 128,
    "n_depth": 0,
    "avg_ns": 760512021,
    "avg_ts": 168.307662,
    "samples_ts": [ 168.308 ]
  }
]
"""


def test_speeds_of_what_llama_bench_prints() -> None:
    assert speeds_of(PRINTED) == Speeds(decode=168.307662, prefill=450.529597)


@pytest.mark.parametrize(
    "output",
    ["", "[]", "{}", "null", "[1]", "error: failed to load model", json.dumps(json.loads(PRINTED)[:1])]
    + [PRINTED.replace("168.307662", value) for value in ("null", '"fast"', "0", "-1")],
)
def test_other_output_is_one_clear_sentence(output: str) -> None:
    with pytest.raises(EngineError, match=r"^llama-bench "):
        speeds_of(output)


def test_ratios_are_of_the_best_and_of_the_medians() -> None:
    ours = [Speeds(90, 400), Speeds(110, 500), Speeds(100, 300)]
    theirs = [Speeds(100, 800), Speeds(125, 200), Speeds(50, 1000)]
    said = ratios(ours, theirs)
    assert (said.decode_best, said.decode_median) == (110 / 125, 100 / 100)
    assert (said.prefill_best, said.prefill_median) == (500 / 1000, 400 / 800)


CPU = Placement((), 0, 31, (), 768, threads=2, load_mode="none")


def test_llama_bench_is_told_our_placement() -> None:
    assert " ".join(arguments(CPU)) == "-t 2 -b 512 -ub 512 -ctk f16 -ctv f16 -lm none -dev none -ngl 0 -fa auto"
    overrides = (Override(r"^blk\.[0-3]\.ffn_up\.", "CPU"), Override("b", "CUDA1"))
    two = Placement(("CUDA0", "CUDA1"), 31, 31, (20, 11), 768, overrides=overrides)
    told = arguments(two)
    said = dict(zip(told[::2], told[1::2], strict=True))
    assert (said["-dev"], said["-ngl"], said["-ts"]) == ("CUDA0/CUDA1", "31", "20/11")
    assert said["-ot"] == r"^blk\.[0-3]\.ffn_up\.=CPU;b=CUDA1"


def program(path: Path, code: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return path


def test_rounds_alternate_and_end_in_one_json(tmp_path: Path) -> None:
    model = write(tmp_path / "tiny.gguf", GEOMETRIES["tiny-dense"], "Q4_K_M")
    said = tmp_path / "said"
    code = f"import sys; open({str(said)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10)); print({PRINTED!r})"
    binary = program(tmp_path / "llama-bench", code)
    command: list[str | Path] = [sys.executable, "-m", "scripts.benchmarks.against_llama_bench", binary, model]
    command += ["--threads", "1", "--rounds", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["theirs"] == [{"decode": 168.307662, "prefill": 450.529597}] * 2
    best = max(round["decode"] for round in found["ours"])
    assert found["ratios"]["decode_best"] == pytest.approx(best / 168.307662)
    assert (found["threads"], found["devices"]) == (1, [])
    assert "round 2 of 2: ours decode" in done.stderr
    first, second = said.read_text().splitlines()
    assert first == second
    assert first.startswith(f"-m {model} -p 512 -n 128 -r 1 -o json -t 1 ")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import sys; sys.exit('error: no such model')", "llama-bench failed: error: no such model"),
        ("print('nothing')", "llama-bench printed no result"),
        (None, "cannot be run: No such file or directory."),
    ],
)
def test_a_llama_bench_that_fails_is_one_sentence(tmp_path: Path, code: str | None, sentence: str) -> None:
    binary = tmp_path / "llama-bench"
    if code is not None:
        program(binary, code)
    with pytest.raises(EngineError, match=re.escape(sentence)):
        theirs(binary, tmp_path / "model.gguf", CPU)


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "scripts.benchmarks.against_llama_bench",
        "llama-bench",
        tmp_path / "none.gguf",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.splitlines()) == 1
