"""Decode and prefill of localrun's engine against llama-bench, in turns, on the same file, threads and settings.

Machines get slower and faster by the minute, so the two never run minutes apart: ours, theirs, ours, theirs. Both are
warm when a round is timed, both map the file or both do not, both use the same ubatch, KV type, devices and automatic
flash attention, and wait for threads in the same way (GOMP_SPINCOUNT). Decode is 128 tokens at depth 0, prefill 512.

    python -m scripts.benchmarks.against_llama_bench path/to/llama-bench MODEL --threads 2
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import EngineError, LocalrunError
from runner.client.session import EngineSession
from runner.service import benchmark
from runner.service.service import LocalService
from runner.types.codec import pack
from runner.types.placement import Placement
from runner.types.wish import Wish

CONTEXT = 768  # room for 512 tokens and an answer; llama-bench takes just what a test needs
_ENVIRONMENT = {"GOMP_SPINCOUNT": "1000", "GGML_NO_BACKTRACE": "1"}  # as the engine process has them


@dataclass(frozen=True, slots=True)
class Speeds:
    """One round; tokens per second."""

    decode: float
    prefill: float


@dataclass(frozen=True, slots=True)
class Ratios:
    """Ours over theirs: 1 is equal, more is faster."""

    decode_best: float
    decode_median: float
    prefill_best: float
    prefill_median: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rounds and what they say, with the conditions; `load_average` is that of the last minute."""

    model: str
    threads: int
    devices: tuple[str, ...]
    load_average: float
    ratios: Ratios
    ours: tuple[Speeds, ...]
    theirs: tuple[Speeds, ...]


def ratios(ours: Sequence[Speeds], theirs: Sequence[Speeds]) -> Ratios:
    """Best over best and median over median."""

    def of(ours: list[float], theirs: list[float]) -> tuple[float, float]:
        return max(ours) / max(theirs), statistics.median(ours) / statistics.median(theirs)

    decode = of([one.decode for one in ours], [one.decode for one in theirs])
    prefill = of([one.prefill for one in ours], [one.prefill for one in theirs])
    return Ratios(*decode, *prefill)


def speeds_of(output: str) -> Speeds:
    """The two speeds in what `llama-bench -p 512 -n 128 -o json` prints. EngineError for anything else."""
    try:
        tests = {(test["n_prompt"], test["n_gen"]): float(test["avg_ts"]) for test in json.loads(output)}
        found = Speeds(tests[0, benchmark.DECODE_TOKENS], tests[benchmark.PREFILL_TOKENS, 0])
    except (ValueError, TypeError, KeyError) as error:
        raise EngineError(f"llama-bench printed no result that is understood here ({error!r}).") from None
    if min(found.decode, found.prefill) <= 0:
        raise EngineError("llama-bench measured no speed.")
    return found


def arguments(placement: Placement) -> list[str]:
    """The options with which llama-bench places a model as we do."""
    options = {
        "-t": placement.threads,
        "-b": placement.ubatch,
        "-ub": placement.ubatch,
        "-ctk": placement.kv_type,
        "-ctv": placement.kv_type,
        "-lm": placement.load_mode,
        "-dev": "/".join(placement.devices) or "none",
        "-ngl": placement.gpu_layers,
        "-fa": "auto",
    }
    if placement.tensor_split:
        options["-ts"] = "/".join(map(str, placement.tensor_split))
    if placement.overrides:
        options["-ot"] = ";".join(f"{override.pattern}={override.device}" for override in placement.overrides)
    return [str(word) for pair in options.items() for word in pair]


def theirs(binary: Path, model: Path, placement: Placement, rpc: Iterable[str] = ()) -> Speeds:
    """One round of llama-bench. EngineError if it cannot be run."""
    lengths = ["-p", benchmark.PREFILL_TOKENS, "-n", benchmark.DECODE_TOKENS]
    command = [binary, "-m", model, *lengths, "-r", 1, "-o", "json"]
    command += ["-rpc", ",".join(rpc)] if rpc else []
    try:
        done = subprocess.run(
            [*map(str, command), *arguments(placement)],
            capture_output=True,
            text=True,
            check=True,
            env=_ENVIRONMENT | dict(os.environ),
        )
    except OSError as error:
        raise EngineError(f"{binary} cannot be run: {error.strerror}.") from None
    except subprocess.CalledProcessError as error:
        raise EngineError(f"llama-bench failed: {' '.join(error.stderr.split())[-300:]}") from None
    return speeds_of(done.stdout)


def ours(session: EngineSession) -> Speeds:
    """One round of our engine."""
    measured = benchmark.measure(session, runs=1)
    return Speeds(measured.decode_tps, measured.prefill_tps)


def compare(binary: Path, model: Path, wish: Wish, rounds: int) -> Comparison:
    """Load once, then measure in turns. The first round of ours is thrown away: it reads the file."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = folder  # measurements here are nobody's history
        backend = LocalService(note=_say)
        try:
            plan = backend.plan(str(model), wish)
            session = next(item for item in backend.load(plan, backend.chosen(plan)) if isinstance(item, EngineSession))
            ours(session)
            pairs = []
            for number in range(rounds):
                pairs.append((ours(session), theirs(binary, model, session.placement, wish.rpc)))
                _say(f"round {number + 1} of {rounds}: ours {_text(pairs[-1][0])}; theirs {_text(pairs[-1][1])}")
        finally:
            backend.close()
    mine, others = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    placement = session.placement
    return Comparison(
        model.name,
        placement.threads,
        placement.devices,
        load_average=os.getloadavg()[0],
        ratios=ratios(mine, others),
        ours=tuple(mine),
        theirs=tuple(others),
    )


def _text(speeds: Speeds) -> str:
    return f"decode {speeds.decode:.1f}, prefill {speeds.prefill:.1f} tok/s"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_bench", type=Path, metavar="LLAMA_BENCH", help="the program, of any build")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a GGUF file")
    parser.add_argument("--threads", type=int, help="CPU threads of both (default: what localrun would take)")
    parser.add_argument("--devices", default="cpu", help="a list with commas, or auto (default: cpu)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="every round and the ratios as JSON")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    devices = None if options.devices == "auto" else tuple(options.devices.split(","))
    try:
        found = compare(
            options.llama_bench,
            options.model,
            Wish(ctx=CONTEXT, kv_type="f16", threads=options.threads, devices=devices),
            options.rounds,
        )
    except LocalrunError as error:
        _say(str(error))
        return error.exit_code
    if options.json:
        print(json.dumps(pack(found), indent=1))
    else:
        said = found.ratios
        print("ours / theirs    best  median")
        print(f"decode         {said.decode_best:6.3f}  {said.decode_median:6.3f}")
        print(f"prefill        {said.prefill_best:6.3f}  {said.prefill_median:6.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
