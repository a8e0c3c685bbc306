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

import os
import sys
from _collections_abc import Mapping, Sequence  # what collections.abc is, and in memory anyway
from itertools import count

TYPE_CHECKING = False  # what else is imported at once is time that every command takes
if TYPE_CHECKING:
    import queue
    import signal
    import subprocess
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager, ExitStack
    from typing import IO, Any

    from models.errors import ExitCode
    from runner.cli.options import Options
    from runner.client.process import EngineProcess

    Json = dict[str, Any]
else:
    import _signal as signal  # what that is made of

Messages = Sequence[Mapping[str, object]]

__all__ = ["Chunk", "Error", "Model", "main", "open", "plan"]

_ROOT = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  (pathlib would take long to import)


class Error(Exception):
    """What went wrong, in one sentence; `code` is the exit code of the command (3: no such model, 5: does not fit)."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Chunk:
    """A piece of an answer. The last one has `finish_reason` and `result`: the object of `localrun -p ... --json`.

    `tool_calls` are pieces of calls, as OpenAI streams them; whole ones are in `result`.
    """

    __slots__ = ("finish_reason", "reasoning", "result", "text", "tool_calls")

    def __init__(
        self,
        text: str = "",
        reasoning: str = "",
        finish_reason: str | None = None,
        tool_calls: Sequence[Json] = (),
        result: Json | None = None,
    ) -> None:
        self.text, self.reasoning, self.finish_reason = text, reasoning, finish_reason
        self.tool_calls, self.result = tool_calls, result

    def __repr__(self) -> str:
        return f"Chunk({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


def plan(model: str, on: str | None = None, **flags: object) -> Json:
    """What this machine, or the hardware `on`, can do with a model: the object of `localrun plan --json`.

    Flags are those of the command, with underscores: `ctx=32768, kv="q8_0"`. A plan without a candidate that runs
    has `chosen` None. Raises Error.
    """
    import subprocess

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
    """A loaded model; a context manager. It ends with `close`, or when nobody has it any more.

    Answers may be asked for from several threads or tasks; `open(..., parallel=N)` works on so many at a time, and the
    others wait. What begins with `a` is for asyncio and does the same. All raise Error; what was said until then has
    been yielded. Leaving an iterator early stops its answer.
    """

    def __init__(self, model: str, **flags: object) -> None:
        import subprocess
        import tempfile
        import threading
        import weakref

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
        self._numbers, self._saying = count(1), threading.Lock()
        self._boxes = _Boxes()
        answers = _stream(self._process.stdout)
        try:
            self.info = self._understood(_object(answers.readline()))
            """Name, quantization, placement and memory of what was loaded."""
        except BaseException:
            self.close()
            answers.close()
            raise
        threading.Thread(target=self._boxes.fill, args=(answers,), daemon=True).start()

    def chat(self, messages: Messages, **sampling: object) -> Iterator[Chunk]:
        """Answer a conversation of `{"role": ..., "content": ...}`; pieces as they come.

        `tools=[...]`, `tool_choice=...`, `parallel_tool_calls=...` and messages with calls and results are as OpenAI's.
        Sampling as on the command line: `temp, top_k, top_p, min_p, repeat_penalty, frequency_penalty,
        presence_penalty, seed, max_tokens, stop`; `logit_bias`; and `logprobs=N`, which the last chunk's `result` has.
        """
        return self._chunks(_question(messages, sampling))

    def complete(self, text: str, **sampling: object) -> Iterator[Chunk]:
        """Go on with a text that goes to the model as it is, without a chat template."""
        return self._chunks({"raw": text, "sampling": sampling})

    def ask(self, prompt: str, system: str | None = None, **sampling: object) -> str:
        """The whole answer to one prompt."""
        return "".join(chunk.text for chunk in self.chat(_conversation(prompt, system), **sampling))

    def batch(self, prompts: Sequence[str | Messages], **sampling: object) -> Iterator[tuple[int, Json]]:
        """(index, result) of each prompt or conversation, in the order in which they end.

        A result is the object of `localrun -p ... --json`; one that failed has an `error` in it, and stops no other.
        """
        import queue

        heard: queue.SimpleQueue[tuple[int, Json]] = queue.SimpleQueue()
        with self._all_asked(prompts, sampling, heard.put):
            for _ in prompts:
                index, said = heard.get()
                yield index, self._understood(said, may_fail=True)

    def count_tokens(self, asked: str | Messages) -> int:
        """Tokens of a conversation as a prompt, or of a text as it is."""
        import queue

        heard: queue.SimpleQueue[Json] = queue.SimpleQueue()
        with self._asked({"count": asked if isinstance(asked, str) else list(map(dict, asked))}, heard.put):
            return int(self._understood(heard.get())["count"])

    async def achat(self, messages: Messages, **sampling: object) -> AsyncIterator[Chunk]:
        """`chat` for asyncio."""
        from contextlib import aclosing

        async with aclosing(self._achunks(_question(messages, sampling))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def acomplete(self, text: str, **sampling: object) -> AsyncIterator[Chunk]:
        """`complete` for asyncio."""
        from contextlib import aclosing

        async with aclosing(self._achunks({"raw": text, "sampling": sampling})) as chunks:
            async for chunk in chunks:
                yield chunk

    async def aask(self, prompt: str, system: str | None = None, **sampling: object) -> str:
        """`ask` for asyncio."""
        asked = _question(_conversation(prompt, system), sampling)
        return "".join([chunk.text async for chunk in self._achunks(asked)])

    async def abatch(self, prompts: Sequence[str | Messages], **sampling: object) -> AsyncIterator[tuple[int, Json]]:
        """`batch` for asyncio."""
        import asyncio

        heard: asyncio.Queue[tuple[int, Json]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        with self._all_asked(prompts, sampling, lambda said: loop.call_soon_threadsafe(heard.put_nowait, said)):
            for _ in prompts:
                index, said = await heard.get()
                yield index, self._understood(said, may_fail=True)

    async def aembed(
        self, texts: Sequence[str], role: str | None = None, *, truncate: bool = False
    ) -> list[list[float]]:
        """`embed` for asyncio."""
        import asyncio

        return await asyncio.to_thread(self.embed, texts, role, truncate=truncate)

    async def arerank(self, query: str, texts: Sequence[str], *, truncate: bool = False) -> list[float]:
        """`rerank` for asyncio."""
        import asyncio

        return await asyncio.to_thread(self.rerank, query, texts, truncate=truncate)

    async def acount_tokens(self, asked: str | Messages) -> int:
        """`count_tokens` for asyncio."""
        import asyncio

        return await asyncio.to_thread(self.count_tokens, asked)

    def embed(self, texts: Sequence[str], role: str | None = None, *, truncate: bool = False) -> list[list[float]]:
        """A vector of length 1 for each text, from a model that makes such.

        With the `role` query or document, behind the words that the model wants in front of one. Raises Error where a
        text is too long, unless `truncate` lets its end be left out.
        """
        return [row["embedding"] for row in self._rows({"texts": list(texts), "role": role, "truncate": truncate})]

    def rerank(self, query: str, texts: Sequence[str], *, truncate: bool = False) -> list[float]:
        """How well each text answers the query, from a model that ranks; more is better. Raises Error as `embed`."""
        return [row["score"] for row in self._rows({"texts": list(texts), "query": query, "truncate": truncate})]

    def _rows(self, asked: Json) -> list[Json]:
        import queue

        heard: queue.SimpleQueue[Json] = queue.SimpleQueue()
        with self._asked(asked, heard.put):
            rows: list[Json] = self._understood(heard.get())["rows"]
        return rows

    def close(self) -> None:
        """End the engine."""
        self._end()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chunks(self, asked: Json) -> Iterator[Chunk]:
        import queue

        heard: queue.SimpleQueue[Json] = queue.SimpleQueue()
        with self._asked(asked, heard.put):
            while "delta" in (said := heard.get()):
                yield _piece(said)
            yield _last(self._understood(said))

    async def _achunks(self, asked: Json) -> AsyncGenerator[Chunk, None]:
        import asyncio

        heard: asyncio.Queue[Json] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        with self._asked(asked, lambda said: loop.call_soon_threadsafe(heard.put_nowait, said)):
            while "delta" in (said := await heard.get()):
                yield _piece(said)
            yield _last(self._understood(said))

    def _all_asked(
        self,
        prompts: Sequence[str | Messages],
        sampling: Mapping[str, object],
        put: Callable[[tuple[int, Json]], object],
    ) -> ExitStack:
        """While somebody listens; `put` gets (index, answer) of each."""
        from contextlib import ExitStack

        with ExitStack() as asked:
            for index, prompt in enumerate(prompts):
                question = _question(_conversation(prompt), sampling) | {"watched": False}
                asked.enter_context(self._asked(question, _whole(put, index)))
            return asked.pop_all()

    def _asked(self, asked: Json, put: Callable[[Json], object]) -> AbstractContextManager[None]:
        """While somebody listens; `put` gets what is said, from another thread. An answer that is left is stopped."""
        from contextlib import contextmanager

        return contextmanager(self._listened)(asked, put)

    def _listened(self, asked: Json, put: Callable[[Json], object]) -> Iterator[None]:
        from contextlib import suppress

        number = next(self._numbers)
        self._boxes.open(number, put)
        try:
            self._say({"id": number, **asked})
            yield
        finally:
            if self._boxes.close(number):
                with suppress(Error):
                    self._say({"stop": number})

    def _say(self, value: Json) -> None:
        import json

        with self._saying:
            try:
                _stream(self._process.stdin).write(json.dumps(value) + "\n")
                _stream(self._process.stdin).flush()
            except (OSError, ValueError) as error:
                raise Error("The model is closed.") from error

    def _understood(self, said: Json, *, may_fail: bool = False) -> Json:
        """Raises Error for one that was said, and for a model that has ended, which says nothing."""
        if not said:
            code = self._process.wait()
            self._stderr.seek(0)
            raise _error({}, self._stderr.read().decode("utf-8", "replace"), code)
        if "error" in said and not may_fail:
            raise _error(said, "", 1)
        return said


class _Boxes:
    """Who waits for which answer; it knows nothing of the model, which may be dropped meanwhile."""

    def __init__(self) -> None:
        import threading

        self._changing = threading.Lock()
        self._waiting: dict[int, Callable[[Json], object]] = {}
        self._is_ended = False

    def open(self, number: int, put: Callable[[Json], object]) -> None:
        """Somebody waits for this answer."""
        with self._changing:
            self._waiting[number] = put
            is_ended = self._is_ended
        if is_ended:
            put({})

    def close(self, number: int) -> bool:
        """Whether somebody still waited for more of it."""
        with self._changing:
            return self._waiting.pop(number, None) is not None

    def fill(self, answers: IO[str]) -> None:
        """Sort what comes until it ends; then everybody gets an empty object."""
        with answers:
            for line in answers:
                said = _object(line)
                number = said.pop("id", 0)
                put = self._waiting.get(number) if "delta" in said else self._waiting.pop(number, None)
                _put(put, said)
        with self._changing:
            self._is_ended = True
            left = list(self._waiting.values())
        for put in left:
            _put(put, {})


def _put(put: Callable[[Json], object] | None, said: Json) -> None:
    from contextlib import suppress

    with suppress(RuntimeError):  # an event loop that has ended
        if put is not None:
            put(said)


def _whole(put: Callable[[tuple[int, Json]], object], index: int) -> Callable[[Json], object]:
    """Puts an answer once it is whole."""
    return lambda said: put((index, said)) if "delta" not in said else None


def _question(messages: Messages, sampling: Mapping[str, object]) -> Json:
    return {"messages": [dict(message) for message in messages], "sampling": dict(sampling)}


def _conversation(prompt: str | Messages, system: str | None = None) -> Messages:
    if not isinstance(prompt, str):
        return prompt
    messages = [{"role": "system", "content": system}] if system else []
    return [*messages, {"role": "user", "content": prompt}]


def _piece(said: Json) -> Chunk:
    return Chunk(said["delta"], said.get("reasoning", ""), tool_calls=said.get("tool_calls", ()))


def _last(said: Json) -> Chunk:
    return Chunk(finish_reason=said["finish_reason"], result=said)


def _end(process: subprocess.Popen[str], stderr: IO[bytes]) -> None:
    """The end of its standard input asks a model to end; a kill makes sure."""
    import subprocess
    from contextlib import suppress

    with suppress(OSError):  # the other end is gone, with what was not written yet
        _stream(process.stdin).close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    stderr.close()


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
    import json

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
    from runner.cli.subcommands import COMMANDS
    from runner.client.handover import end_as, handed_over

    words = sys.argv[1:]
    if words and words[0] not in COMMANDS and (code := handed_over(words, _ROOT)) is not None:
        sys.exit(end_as(code))  # most of all that follows was there already
    from runner.cli.main import main as run

    sys.exit(run(words, _open_screen))


def _open_screen(options: Options) -> ExitCode:
    """Open the TUI: the one place where the runner and the screens meet."""
    from runner.cli.interrupts import started_engine

    # Milliseconds that Textual waits to tell Escape from an escape sequence; its own 100 are half of a stop's 0.2 s.
    os.environ.setdefault("ESCDELAY", "30")
    with started_engine() as engine:  # first of all: it gets ready while this process imports the screens
        return _screen_of(engine, options)


def _screen_of(engine: EngineProcess, options: Options) -> ExitCode:
    from contextlib import closing
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
            notice=options.notice,
            keep=options.keep,
        )
        app = LocalrunApp(service, launch)
        with unchanged():
            app.run()
    if (code := app.return_code or 0) > 128:
        sys.exit(code)  # a signal ended it
    return ExitCode.ENGINE if code else ExitCode.OK


if __name__ == "__main__":
    main()
