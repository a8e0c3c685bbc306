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
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.errors import ExitCode
    from runner.cli.options import Options

__all__ = ["Chunk", "Error", "Model", "main", "open", "plan"]

Json = dict[str, Any]


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
    done = subprocess.run(_command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found = _object(done.stdout)
    if "candidates" not in found:
        raise Error(_said(found, done.stderr), done.returncode)
    return found


def open(model: str, **flags: object) -> Model:
    """Plan, download what is missing, load. Flags are those of the command. Raises Error."""
    return Model(model, **flags)


class Model:
    """A loaded model; a context manager. One answer at a time."""

    def __init__(self, model: str, **flags: object) -> None:
        self._process = subprocess.Popen(
            _command(model, "--json-session", *_words(flags)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        try:
            self.info = self._hear()
            """Name, quantization, placement and memory of what was loaded."""
        except Error:
            self.close()
            raise

    def chat(self, messages: Sequence[Mapping[str, str]], **sampling: object) -> Iterator[Chunk]:
        """Answer a conversation of `{"role": ..., "content": ...}`; pieces as they come.

        Sampling as on the command line: `temp, top_k, top_p, min_p, repeat_penalty, seed, max_tokens, stop`. Leaving
        the iterator early stops the model. Raises Error; what was said so far has been yielded.
        """
        self._say({"messages": [dict(message) for message in messages], "sampling": sampling})
        finished = False
        try:
            while not finished:
                heard = self._hear()
                finished = "delta" not in heard
                if "error" in heard:
                    raise Error(str(heard["error"]["message"]))
                if finished:
                    yield Chunk(finish_reason=heard["finish_reason"], result=heard)
                else:
                    yield Chunk(heard["delta"], heard.get("reasoning", ""))
        finally:
            if not finished:
                self._say({"stop": True})
                while "delta" in self._hear():
                    pass

    def ask(self, prompt: str, system: str | None = None, **sampling: object) -> str:
        """The whole answer to one prompt."""
        messages = [{"role": "system", "content": system}] if system else []
        return "".join(chunk.text for chunk in self.chat([*messages, {"role": "user", "content": prompt}], **sampling))

    def close(self) -> None:
        """End the engine."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _say(self, value: Json) -> None:
        try:
            _stream(self._process.stdin).write(json.dumps(value) + "\n")
            _stream(self._process.stdin).flush()
        except (OSError, ValueError) as error:
            raise Error("The model is closed.") from error

    def _hear(self) -> Json:
        line = _stream(self._process.stdout).readline()
        if not line:
            said = _stream(self._process.stderr).read()
            self._process.wait()
            raise Error(_said({}, said), self._process.returncode)
        return _object(line)


def _command(*words: str) -> list[str]:
    # -P keeps the caller's folder out of the child's way.
    return [sys.executable, "-P", "-m", "localrun", *words]


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


def _said(found: Json, stderr: str) -> str:
    """The error in the JSON, else the last line of stderr."""
    if "error" in found:
        return str(found["error"]["message"])
    lines = stderr.strip().splitlines() or ["The engine ended without a word."]
    return lines[-1].removeprefix("localrun: ")


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def main() -> None:
    """The command `localrun`."""
    from runner.cli.main import main as run

    sys.exit(run(sys.argv[1:], _open_screen))


def _open_screen(options: Options) -> ExitCode:
    """Open the TUI: the one place where the runner and the screens meet."""
    from runner.client.process import EngineProcess
    from runner.storage.paths import paths

    engine = EngineProcess(paths().engine_log)  # first of all: it gets ready while this process imports the screens
    # Milliseconds that Textual waits to tell Escape from an escape sequence; its own 100 are half of a stop's 0.2 s.
    os.environ.setdefault("ESCDELAY", "30")
    from models.errors import ExitCode
    from runner.service.service import LocalService
    from tui.app import LocalrunApp
    from tui.settings import Launch

    with closing(LocalService(engine=engine)) as service:
        launch = Launch(options.model, options.wish, options.sampling, options.system or "", ask=not options.yes)
        LocalrunApp(service, launch).run()
    return ExitCode.OK


if __name__ == "__main__":
    main()
