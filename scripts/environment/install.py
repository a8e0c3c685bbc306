"""Choose the llama.cpp build for this machine, install everything into .venv, and show how far it is.

Called by scripts/setup, which sees to uv and a bare .venv; standard library only, since nothing else is there yet.
Everything said goes to stderr; the whole log of the last installation is .venv/setup.log.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from runner.build.decision import Decision, decide  # noqa: E402
from runner.build.facts import Backend, Method  # noqa: E402
from runner.build.toolchain import detect  # noqa: E402

VENV = ROOT / ".venv"
STAMP = VENV / "localrun-setup"
LOG = VENV / "setup.log"
OURS = ("localrun.py", "models", "runner", "tui")
BACKENDS = {backend.label.lower(): backend for backend in Backend}
# Ninja counts steps, make counts per cent; uv -v puts DEBUG before the lines of a build backend.
STEP = re.compile(r"(?:DEBUG )?\[ *(\d+)(?:/(\d+)|%)\]")


def main() -> int:
    """Install what is right here. Returns 0, or 1 if that failed; without --if-needed, what the doctor returns."""
    arguments = _arguments()
    asked = [word for word in (arguments.backend, arguments.method) if word]
    fresh = not STAMP.exists()
    words = asked or ([] if fresh else STAMP.read_text().split())
    LOG.unlink(missing_ok=True)
    backend = next((BACKENDS[word] for word in words if word in BACKENDS), None)
    method = next((Method(word) for word in words if word in list(Method)), None)
    decision = decide(detect(), backend, method)
    if fresh or not arguments.if_needed:
        _explain(decision, traps=not arguments.if_needed)
    if os.environ.pop("CMAKE_ARGS", None):
        _say("the exported CMAKE_ARGS is left aside: uv's cache does not know it, and would mix up builds")
    if not _installed(decision, last_resort=bool(words)):
        return 1
    subprocess.run([VENV / "bin/python", "-m", "compileall", "-qq", *OURS], cwd=ROOT, check=False)
    STAMP.write_text(" ".join(words))
    if arguments.if_needed:
        return 0
    return subprocess.run([VENV / "bin/localrun", "doctor"], check=False).returncode


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/setup", description="Make .venv fit this machine.")
    parser.add_argument("--backend", choices=["auto", *BACKENDS], help="instead of the one that fits this machine")
    parser.add_argument("--method", choices=list(Method), help="compile here, or take a prebuilt wheel")
    parser.add_argument("--if-needed", action="store_true", help="nothing, silently, if all is there")
    return parser.parse_args()


def _explain(decision: Decision, traps: bool) -> None:
    _say(f"llama.cpp: {decision.title}")
    for sentence in (*decision.why, *(decision.traps if traps else ())):
        _say(f"  {sentence}")
    _missing(decision)
    if decision.method is Method.SOURCE:
        _say("  Compiling takes some minutes, once.")


def _missing(decision: Decision) -> None:
    for lack in decision.lacks:
        _say(f"  {lack.what}" + (f" -> {lack.fix}" if lack.fix else ""))


def _installed(decision: Decision, last_resort: bool) -> bool:
    """Carry the decision out; if a GPU build that nobody asked for fails, the CPU build takes its place."""
    if _run(decision.commands):
        return True
    if last_resort or decision.backend is Backend.CPU:
        _missing(decision)
        return False
    _say(f"no luck with {decision.title}; installing the CPU build")
    return _run(decide(detect(), Backend.CPU).commands)


def _run(commands: Sequence[Sequence[str]]) -> bool:
    """Run uv with its progress on stderr and all it says in the log; show the log's end if it fails."""
    started = time.monotonic()
    with LOG.open("a+") as log:
        for command in commands:
            process = subprocess.Popen(
                [*command, "--verbose", "--color", "never"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, "UV_COMPILE_BYTECODE": "1"},  # or the first start compiles 60 packages
            )
            assert process.stdout is not None
            _follow(process.stdout, log)
            if process.wait():
                log.seek(0)
                print(*last_words(log), sep="\n", file=sys.stderr)
                _say(f"uv failed; the whole log is {LOG}")
                return False
    if (seconds := time.monotonic() - started) > 5:
        _say(f"ready in {seconds:.0f} s")
    return True


def _follow(lines: Iterable[str], log: TextIO) -> None:
    """Copy uv's lines to its log; show the share that is compiled: one line that changes, or one every ten per cent."""
    terminal, shown, started = sys.stderr.isatty() and "NO_COLOR" not in os.environ, -1, time.monotonic()
    for line in lines:
        log.write(line)
        percent = compiled(line)
        if percent is None or percent < shown + (1 if terminal else 10):
            continue
        shown = percent if terminal else percent // 10 * 10
        text = f"setup: compiling llama.cpp, {shown} % in {time.monotonic() - started:.0f} s"
        print(f"\r{text}\x1b[K" if terminal else text, end="" if terminal else "\n", file=sys.stderr, flush=True)
    if terminal and shown >= 0:
        print(file=sys.stderr)


def compiled(line: str) -> int | None:
    """The per cent that a line of ninja or make reports; None for any other line, and for the few steps of a helper."""
    found = STEP.match(line)
    if found is None:
        return None
    done, of = int(found[1]), int(found[2] or 100)
    return 100 * done // of if of >= 50 else None


def last_words(lines: Iterable[str], count: int = 25) -> list[str]:
    """The end of a uv log without uv's own debugging lines: what the compiler, CMake and uv's errors say."""
    said = (line.rstrip() for line in lines if not line.startswith(("DEBUG ", "TRACE ")))
    return [line for line in dict.fromkeys(said) if line.strip()][-count:]


def _say(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        _say("interrupted; what is done so far is kept")
        sys.exit(130)
