"""localrun: run a local language model well. The command's entry point and the Python interface.

    import localrun
    plan = localrun.plan("llama-3.3-70b", on="a100-sxm-80gb")
    with localrun.open("smollm2-135m") as llm:
        for chunk in llm.chat([{"role": "user", "content": "Hi"}]):
            print(chunk.text, end="")

As a library this is one module of its own: it starts a child process and speaks JSON with it, so that nothing of
ours meets the names of the caller, and no crash of the engine takes the caller along.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.errors import ExitCode
    from runner.cli.options import Options
    from runner.client.process import EngineProcess

__all__ = ["Chunk", "Error", "Model", "main", "open", "plan"]

Json = dict[str, Any]

_ROOT = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (pathlib would take long to import)


class Error(Exception):
    """What went wrong, in one sentence; `code` is the exit code of the command (3: no such model, 5: does not fit)."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer. The last one has `finish_reason` and `result`: the object of `localrun -p ... --json`."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    result: Json | None = None


def plan(model: str, on: str | None = None, **flags: object) -> Json:
    """What this machine, or the hardware `on`, can do with a model: the object of `localrun plan --json`.

    Flags are those of the command, with underscores: `ctx=32768, kv="q8_0"`. A plan without a candidate that runs
    has `chosen` None. Raises Error.
    """
    words = ["plan", model, "--json", *(["--on", on] if on else []), *_words(flags)]
    quiet = subprocess.DEVNULL
    done = subprocess.run(
        _command(*words), stdin=quiet, capture_output=True, text=True, check=False, env=_environment()
    )
    found = _object(done.stdout)
    if "candidates" not in found:
        raise _error(found, done.stderr, done.returncode)
    return found


def open(model: str, **flags: object) -> Model:
    """Plan, download what is missing, load. Flags are those of the command. Raises Error."""
    return Model(model, **flags)


class Model:
    """A loaded model; a context manager. One answer at a time. It ends with `close`, or when nobody has it any more."""

    def __init__(self, model: str, **flags: object) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (a pipe that nobody reads would fill up)
        self._process = subprocess.Popen(
            _command(model, "--json-session", *_words(flags)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C stops an answer, never the model
            env=_environment(),
        )
        self._end = weakref.finalize(self, _end, self._process, self._stderr)
        self._answering = threading.Lock()
        try:
            self.info = self._hear()
            """Name, quantization, placement and memory of what was loaded."""
        except BaseException:
            self.close()
            raise

    def chat(self, messages: Sequence[Mapping[str, str]], **sampling: object) -> Iterator[Chunk]:
        """Answer a conversation of `{"role": ..., "content": ...}`; pieces as they come.

        Sampling as on the command line: `temp, top_k, top_p, min_p, repeat_penalty, seed, max_tokens, stop`, and
        `logprobs=N`, which the last chunk's `result` has. Leaving the iterator early stops the model. Raises Error;
        what was said so far has been yielded.
        """
        if not self._answering.acquire(blocking=False):
            raise Error("One answer at a time: finish or close the one before.", 2)
        try:
            self._say({"messages": [dict(message) for message in messages], "sampling": sampling})
            yield from self._answer()
        finally:
            self._answering.release()

    def ask(self, prompt: str, system: str | None = None, **sampling: object) -> str:
        """The whole answer to one prompt."""
        messages = [{"role": "system", "content": system}] if system else []
        return "".join(chunk.text for chunk in self.chat([*messages, {"role": "user", "content": prompt}], **sampling))

    def close(self) -> None:
        """End the engine."""
        self._end()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> Iterator[Chunk]:
        try:
            while "delta" in (heard := self._hear()):
                yield Chunk(heard["delta"], heard.get("reasoning", ""))
        except Error:
            raise
        except BaseException:  # the caller left early
            self._say({"stop": True})
            while "delta" in self._hear():
                pass
            raise
        if "error" in heard:
            raise _error(heard, "", 1)
        yield Chunk(finish_reason=heard["finish_reason"], result=heard)

    def _say(self, value: Json) -> None:
        try:
            _stream(self._process.stdin).write(json.dumps(value) + "\n")
            _stream(self._process.stdin).flush()
        except (OSError, ValueError) as error:
            raise Error("The model is closed.") from error

    def _hear(self) -> Json:
        line = _stream(self._process.stdout).readline()
        if not line:
            code = self._process.wait()
            self._stderr.seek(0)
            raise _error({}, self._stderr.read().decode("utf-8", "replace"), code)
        return _object(line)


def _end(process: subprocess.Popen[str], stderr: IO[bytes]) -> None:
    """The end of its standard input asks a model to end; a kill makes sure."""
    for stream in (process.stdin, process.stdout, stderr):
        with suppress(OSError):  # the other end is gone, with what was not written yet
            if stream is not None:
                stream.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _command(*words: str) -> list[str]:
    # -P keeps the caller's folder out of the child's way.
    return [sys.executable, "-P", "-m", "localrun", *words]


def _environment() -> dict[str, str]:
    """Of a child, which looks for modules where we lie first."""
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{others}" if others else _ROOT}


def _words(flags: Mapping[str, object]) -> Iterator[str]:
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            yield flag
        elif value is not None and value is not False:
            yield from (flag, ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _error(found: Json, stderr: str, code: int) -> Error:
    """The error in the JSON, else the last line of stderr with the exit code."""
    if "error" in found:
        return Error(str(found["error"]["message"]), found["error"].get("code", code))
    lines = stderr.strip().splitlines() or ["The engine ended without a word."]
    return Error(lines[-1].removeprefix("localrun: "), code)


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def main() -> None:
    """The command `localrun`."""
    sys.path.insert(0, _ROOT)  # a runner.py on the caller's PYTHONPATH is not ours
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until there is somebody to tell of it
    from runner.cli.main import main as run

    sys.exit(run(sys.argv[1:], _open_screen))


def _open_screen(options: Options) -> ExitCode:
    """Open the TUI: the one place where the runner and the screens meet."""
    from runner.cli.interrupts import started_engine

    # Milliseconds that Textual waits to tell Escape from an escape sequence; its own 100 are half of a stop's 0.2 s.
    os.environ.setdefault("ESCDELAY", "30")
    with started_engine() as engine:  # first of all: it gets ready while this process imports the screens
        return _screen_of(engine, options)


def _screen_of(engine: EngineProcess, options: Options) -> ExitCode:
    from pathlib import Path

    from models.errors import ExitCode
    from runner.service.service import LocalService
    from tui.app import LocalrunApp
    from tui.settings import Launch
    from tui.terminal import unchanged

    said: list[str] = []
    with closing(LocalService(said.append, engine)) as service:
        launch = Launch(
            options.model,
            options.wish,
            options.sampling,
            options.system or "",
            ask=not options.yes,
            notes=tuple(said),
            conversation=Path(options.continued) if options.continued is not None else None,
            title=options.save or "",
            files=options.files,
        )
        app = LocalrunApp(service, launch)
        with unchanged():
            app.run()
    if (code := app.return_code or 0) > 128:
        sys.exit(code)  # a signal ended it
    return ExitCode.ENGINE if code else ExitCode.OK


if __name__ == "__main__":
    main()
