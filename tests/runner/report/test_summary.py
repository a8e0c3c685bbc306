"""The sentences that every front end prints."""

from dataclasses import dataclass, replace

import pytest

from models.weights import Progress
from runner.report.sentences import where
from runner.report.summary import (
    LARGE_DOWNLOAD,
    after_turn,
    before_load,
    download_question,
    duration,
    progress_line,
    stats_lines,
)
from runner.types.engine import ComponentBytes, Loaded
from runner.types.generation import Chunk, Finish, Phase
from runner.types.machine import Machine
from runner.types.placement import Override, Placement
from runner.types.plan import Candidate, MemoryRow, ModelInfo, Plan, Predicted, Source, Terms, Verdict
from runner.types.reasons import Noted
from runner.types.units import GIB, MIB

BOTH = Placement(("CUDA0", "CUDA1"), 81, 81, (40, 41), 8192)
ONE = replace(BOTH, devices=("CUDA0",), tensor_split=(81,))
ALONE = replace(BOTH, devices=(), tensor_split=(), gpu_layers=0)
BLAME = (Override("x", "CPU"),)


def candidate(placement: Placement | None = ONE, verdict: Verdict = Verdict.GPU, left: int = 0) -> Candidate:
    row = MemoryRow("CPU", 2 * GIB, GIB, MIB, 0, 8 * GIB)
    speed = Predicted(12.34, 567.8, 2048)
    return Candidate(
        "Q4_K_M",
        ("a",),
        42_500_000_000,
        4.8,
        left,
        verdict,
        placement,
        (row,),
        speed,
        Source.FORMULA,
        (Noted("One."), Noted("Two.")),
    )


def plan(one: Candidate, *notes: str) -> Plan:
    machine = Machine("probe", (), GIB, GIB, None, 4, notes=notes)
    return Plan(ModelInfo("m", "llama", 1, 80, 0, 0, 8192), machine, (one,), 0, ())


@pytest.mark.parametrize(
    ("placement", "verdict", "words"),
    [
        (ONE, Verdict.GPU, "all 81 layers on CUDA0, context 8k"),
        (BOTH, Verdict.GPU, "all 81 layers on CUDA0 and CUDA1, context 8k"),
        (ALONE, Verdict.CPU, "all 81 layers on the CPU, context 8k"),
        (replace(ONE, gpu_layers=20, tensor_split=(20,)), Verdict.SPLIT, "20 of 81 layers on CUDA0, context 8k"),
        (
            replace(ONE, overrides=BLAME, experts_on_cpu=4),
            Verdict.SPLIT,
            "all 81 layers on CUDA0, experts of 4 in RAM, context 8k",
        ),
        (
            replace(ONE, overrides=BLAME, ffn_on_cpu=9, ctx=1000),
            Verdict.SPLIT,
            "all 81 layers on CUDA0, the FFN of 9 in RAM, context 1000",
        ),
        (None, Verdict.NO, "does not run here"),
    ],
)
def test_where_a_candidate_goes(placement: Placement | None, verdict: Verdict, words: str) -> None:
    assert where(candidate(placement, verdict)) == words


def test_the_first_line_is_about_a_gpu_that_is_not_used_and_nothing_is_said_twice() -> None:
    one = replace(candidate(), reasons=(Noted("One."), Noted("The GPU is not used.")))
    lines = list(before_load(plan(one, "The GPU is not used."), one))
    assert lines == [
        "The GPU is not used.",
        "m Q4_K_M: all 81 layers on CUDA0, context 8k, about 12 tok/s.",
        "One.",
    ]


@pytest.mark.parametrize(
    ("left", "terms", "words"),
    [
        (42_500_000_000, Terms("/cache"), "Downloading m Q4_K_M: 42.5 GB, to /cache."),
        (
            42_500_000_000,
            Terms("/c", "mit", 3000),
            "Downloading m Q4_K_M: 42.5 GB, about 50 min, to /c, licence mit.",
        ),
        (10_000_000_000, Terms("/cache"), "Downloading m Q4_K_M: 10.0 GB of 42.5 GB are left, to /cache."),
        (42_500_000_000, Terms("/cache", seconds=0.01), "Downloading m Q4_K_M: 42.5 GB, to /cache."),
    ],
)
def test_the_one_question_before_a_download(left: int, terms: Terms, words: str) -> None:
    one = candidate(left=left)
    assert download_question(plan(one), one, terms) == words
    assert left >= LARGE_DOWNLOAD


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("a.gguf", 500_000_000, 2_000_000_000, 10e6), "a.gguf  500 MB of 2.0 GB  25%  10.0 MB/s  2 min left"),
        (Progress("a.gguf", 0, 2_000_000_000), "a.gguf  0 kB of 2.0 GB  0%"),
        (Progress("a.gguf", 5, 5, 10e6), "a.gguf  0 kB of 0 kB  100%"),
        (Progress("a.gguf", 0, 0), "a.gguf  0 kB of 0 kB  100%"),
    ],
)
def test_a_download_under_way(progress: Progress, words: str) -> None:
    assert progress_line(progress) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5000, "83 min"), (5400, "1 h 30 min"), (90_000, "25 h 0 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


LAST = Chunk(
    Phase.DONE,
    prompt_tokens=20,
    cached_tokens=5,
    completion_tokens=7,
    ttft_s=0.123,
    prefill_tps=300.0,
    decode_tps=11.0,
    finish=Finish.STOP,
)


def test_a_turn_in_one_line() -> None:
    assert after_turn(LAST) == (
        "7 tokens, 11.0 tok/s, first after 0.12 s, 20 in the prompt, 5 of them kept, the model ended"
    )
    assert after_turn(Chunk(Phase.DONE)) == "0 tokens, 0 in the prompt, 0 of them kept"


@dataclass(frozen=True)
class Running:
    candidate: Candidate
    placement: Placement
    loaded: Loaded


def test_statistics_set_measured_beside_planned() -> None:
    held = (ComponentBytes("CPU", 2 * GIB, GIB + MIB * 512, MIB), ComponentBytes("CUDA9", 0, 0, 5 * MIB))
    session = Running(candidate(), ONE, Loaded(8192, 1.5, held, ""))
    assert list(stats_lines(session, LAST))[1:] == [
        "decode 11.0 tok/s, predicted 12.3",
        "prefill 300 tok/s, predicted 568",
        "loaded in 1.50 s, 1 thread",
        "CUDA9: weights 0 MiB (planned n/a), kv 0 MiB (planned n/a), compute 5 MiB (planned n/a)",
        "CPU: weights 2.0 GiB as planned, kv 1.5 GiB (planned 1.0 GiB), compute 1 MiB as planned",
    ]
