"""Where the time goes between a command and its first token, how soon a stop stops, and what the pipe costs.

    python -m scripts.benchmarks.latency [--model smollm2-135m] [--runs 5]

Prints medians in seconds, as JSON with --json. A cold run is a whole process, from its start to the first character on
its stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from runner.client.session import EngineSession
from runner.service.service import LocalService
from runner.types.codec import pack, unpack
from runner.types.commands import Devices
from runner.types.generation import Chunk, Message, Phase, Request
from runner.types.pipe import Event, EventKind
from runner.types.plan import Plan
from runner.types.sampling import Sampling
from runner.types.wish import Wish

LONG = "Write about the sea. " * 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    found = {
        "load_average": os.getloadavg()[0],
        "help_s": median(lambda: seconds_of("--help"), wanted.runs),
        "cold_first_character_s": median(lambda: cold(wanted.model), wanted.runs),
        "stages_s": stages(wanted.model, wanted.runs),
        "stop_s": stops(wanted.model, wanted.runs),
        "pipe_s_per_token_at_1000_tps": pipe(),
    }
    print(json.dumps(found) if wanted.json else "\n".join(f"{key}: {shown(value)}" for key, value in found.items()))
    return 0


def median(measure: Callable[[], float], runs: int) -> float:
    return statistics.median(measure() for _ in range(runs))


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "localrun", *words]


def seconds_of(*words: str) -> float:
    started = time.perf_counter()
    subprocess.run(command(*words), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def cold(model: str) -> float:
    """Seconds from the start of the process to the first character of its answer."""
    started = time.perf_counter()
    asked = command(model, "-p", "Name three primary colours.", "--max-tokens", "8", "--no-stdin")
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        taken = time.perf_counter() - started
        process.stdout.read()
    return taken


def stages(model: str, runs: int) -> dict[str, float]:
    """Medians of: engine ready, plan, load, first token, each after the one before, in a process that runs already."""
    rows = [one_start(model) for _ in range(runs)]
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def one_start(model: str) -> dict[str, float]:
    clock = time.perf_counter
    times = [clock()]
    backend = LocalService()
    backend.engine.ask(Devices())
    times.append(clock())
    plan = backend.plan(model, Wish())
    times.append(clock())
    session = loaded(backend, plan)
    times.append(clock())
    first_token(session)
    times.append(clock())
    backend.close()
    names = ("engine_ready", "plan", "load", "first_token")
    return {name: later - earlier for name, earlier, later in zip(names, times, times[1:], strict=False)}


def loaded(backend: LocalService, plan: Plan) -> EngineSession:
    *_, session = backend.load(plan, backend.chosen(plan))
    assert isinstance(session, EngineSession)
    return session


def first_token(session: EngineSession) -> None:
    for chunk in session.generate([Message("user", "Name three primary colours.")], Sampling(max_tokens=8)):
        if chunk.text:
            return


def stops(model: str, runs: int) -> dict[str, float]:
    """Seconds from asking to stop to the last chunk, worst of the runs, while prefilling and while decoding."""
    backend = LocalService()
    session = loaded(backend, backend.plan(model, Wish()))
    worst = {phase.value: max(stop_in(session, phase) for _ in range(runs)) for phase in (Phase.PREFILL, Phase.DECODE)}
    backend.close()
    return worst


def stop_in(session: EngineSession, phase: Phase) -> float:
    asked = 0.0
    asks = Request((Message("user", LONG),), sampling=Sampling(temperature=0), ignore_end=True, reuse=False)
    for chunk in session.ask(asks):
        if not asked and chunk.phase is phase:
            session.stop()
            asked = time.perf_counter()
    return time.perf_counter() - asked


def pipe(lines: int = 4000) -> float:
    """Processor seconds per token that both ends of the pipe spend on JSON and dataclasses: fifty tokens a line."""
    chunks = [Chunk(Phase.DECODE, text=" word" * 50, prompt_tokens=9, completion_tokens=50 * n) for n in range(lines)]
    started = time.process_time()
    for chunk in chunks:
        line = json.dumps(pack(Event(1, EventKind.STEP, chunk))).encode() + b"\n"
        unpack(Chunk, unpack(Event, json.loads(line)).value)
    return (time.process_time() - started) / (50 * lines)


def shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
