"""Without a screen: one answer, or a chat line by line."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from models.errors import Declined, EngineError, ExitCode, LocalrunError, UsageError
from models.weights import Progress
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.session import EngineSession
from runner.report import contract
from runner.report.summary import LARGE_DOWNLOAD, after_turn, before_load, download_question, progress_line, stats_lines
from runner.service.service import LocalService
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.plan import Plan
from runner.types.sampling import Sampling


def stdin_text(options: Options) -> str | None:
    """What a pipe or a file brings on stdin; None from a terminal, from nothing, and with --no-stdin."""
    if options.no_stdin or sys.stdin is None:
        return None
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
        text = sys.stdin.read() if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode) else ""
    except (OSError, ValueError):
        return None
    except UnicodeDecodeError as error:
        raise UsageError(f"stdin is not UTF-8 text: {error.reason} at byte {error.start}.") from None
    return text if text.strip() else None


def prompt_of(options: Options, piped: str | None) -> str | None:
    """Both prompts as one, stdin first; None without any."""
    parts = [part for part in (piped, options.prompt) if part and part.strip()]
    return "\n\n".join(part.strip("\n") for part in parts) if parts else None


def opening(options: Options, prompt: str | None = None) -> list[Message]:
    """The conversation as it starts."""
    system = [Message("system", options.system)] if options.system else []
    return system + ([Message("user", prompt)] if prompt is not None else [])


def open_model(backend: LocalService, options: Options, output: Output) -> EngineSession:
    """Plan, download what is missing, load; what happens is told on stderr."""
    assert options.model is not None
    plan = backend.plan(options.model, options.wish)
    index = backend.chosen(plan)
    candidate = plan.candidates[index]
    for sentence in before_load(plan, candidate):
        output.note(sentence)
    if candidate.download_bytes:
        download(backend, options, output, plan, index)
    for step in backend.load(plan, index):
        if isinstance(step, EngineSession):
            output.clear_progress()
            for sentence in step.loaded.notes:
                output.warn(sentence)
            return step
        output.progress(f"Loading {step.fraction:.0%}")
    raise EngineError("The engine loaded nothing.")


def download(backend: LocalService, options: Options, output: Output, plan: Plan, index: int) -> None:
    """Bring what is missing of a candidate; a person is asked before a large one. Declined, DownloadError."""
    terms = backend.terms(plan, index)
    question = download_question(plan, plan.candidates[index], terms)
    is_large = plan.candidates[index].download_bytes >= LARGE_DOWNLOAD
    if is_large and output.err_is_terminal and sys.stdin.isatty() and not options.yes:
        if not output.ask(f"{question} Go on?"):
            raise Declined("Nothing was downloaded.")
    else:
        output.note(question)
    for progress in backend.fetch(plan, index):
        output.progress(progress_line(progress), final=_is_done(progress))


def _is_done(progress: Progress) -> bool:
    return progress.done >= progress.total


def answer(backend: LocalService, options: Options, output: Output, prompt: str) -> ExitCode:
    """One answer to stdout, as text, JSON or JSON lines."""
    sampling = sampling_of(backend, options)
    told = Told()
    session: EngineSession | None = None
    try:
        session = open_model(backend, options, output)
        told = speak(session, opening(options, prompt), sampling, options, output)
    except (LocalrunError, KeyboardInterrupt) as error:
        if options.json or options.jsonl:
            output.json({**told.json(session), **contract.error_json(_as_error(error))})
        raise
    finish(session, told, options, output)
    return told.exit_code


@dataclass(frozen=True, slots=True)
class Told:
    """What one turn said."""

    text: str = ""
    reasoning: str = ""
    last: Chunk = Chunk(Phase.DONE)  # noqa: RUF009
    error: EngineError | None = None

    @property
    def exit_code(self) -> ExitCode:
        """How the command ends after this turn."""
        if self.error is not None:
            return self.error.exit_code
        return ExitCode.INTERRUPTED if self.last.finish is Finish.INTERRUPTED else ExitCode.OK

    def json(self, session: EngineSession | None) -> contract.Json:
        """The contract's object, as far as there is one."""
        if session is None:
            return {"text": self.text, "reasoning": None, "finish_reason": Finish.ERROR.value}
        return contract.answer_json(
            self.text,
            self.reasoning,
            self.last,
            session.plan.model,
            session.candidate,
            session.placement,
            session.loaded,
        )


def speak(
    session: EngineSession, messages: list[Message], sampling: Sampling, options: Options, output: Output
) -> Told:
    """Stream one turn. An engine that dies leaves what was said; the error is in the result."""
    told = Told()
    with stopping(session):
        try:
            for chunk in session.generate(messages, sampling):
                told = Told(told.text + chunk.text, told.reasoning + chunk.reasoning, chunk)
                _show(chunk, options, output)
        except EngineError as error:
            told = replace(told, last=replace(told.last, finish=Finish.ERROR), error=error)
    return told


def _show(chunk: Chunk, options: Options, output: Output) -> None:
    if chunk.phase is Phase.PREFILL:
        total = chunk.prompt_tokens - chunk.cached_tokens
        if 0 < chunk.prefilled < total:
            output.progress(f"Reading the prompt: {chunk.prefilled} of {total} tokens")
        return
    if options.jsonl:
        delta = {"delta": chunk.text, **({"reasoning": chunk.reasoning} if chunk.reasoning else {})}
        if chunk.text or chunk.reasoning:
            output.json(delta)
    elif not options.json:
        output.thinking(chunk.reasoning)
        output.answer(chunk.text)


def finish(session: EngineSession, told: Told, options: Options, output: Output) -> None:
    """End the answer: the closing newline or the JSON object, then the numbers that were asked for."""
    if options.json or options.jsonl:
        failed = contract.error_json(told.error) if told.error else {}
        output.json({**told.json(session), **failed})
    elif told.text and not told.text.endswith("\n"):
        output.answer("\n")
    if options.stats:
        for line in stats_lines(session, told.last):
            output.note(line)
    if told.error is not None:
        output.error(str(told.error))


def sampling_of(backend: LocalService, options: Options) -> Sampling:
    """Sampling with the grammar that --schema, --grammar or --choices ask for."""
    asked = [value for value in (options.schema, options.grammar, options.choices) if value]
    if len(asked) > 1:
        raise UsageError("--schema, --grammar and --choices exclude each other.")
    if options.schema is not None:
        return replace(options.sampling, grammar=backend.grammar_of_schema(_read(options.schema)))
    if options.grammar is not None:
        return replace(options.sampling, grammar=_read(options.grammar))
    if options.choices:
        return replace(options.sampling, grammar=_alternatives(options.choices))
    return options.sampling


def _alternatives(choices: tuple[str, ...]) -> str:
    quoted = (choice.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for choice in choices)
    return "root ::= " + " | ".join(f'"{choice}"' for choice in quoted)


def _read(path: os.PathLike[str]) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{os.fspath(path)} cannot be read: {error}.") from None


@contextmanager
def stopping(session: EngineSession) -> Iterator[None]:
    """The first Ctrl-C ends the turn and keeps what was said; a second one ends the program."""

    def interrupt(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        session.stop()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def chat(backend: LocalService, options: Options, output: Output) -> ExitCode:
    """A conversation line by line (--plain); an empty line is ignored, the end of input ends it."""
    session = open_model(backend, options, output)
    messages = opening(options)
    sampling = sampling_of(backend, options)
    output.note("End with Ctrl-D; Ctrl-C stops an answer.")
    while (line := _next_line(output)) is not None:
        if not line.strip():
            continue
        messages.append(Message("user", line))
        told = speak(session, messages, sampling, options, output)
        finish(session, told, replace(options, json=False, jsonl=False), output)
        if told.error is not None:
            return told.error.exit_code
        messages.append(Message("assistant", told.text, told.reasoning or None))
        output.note(after_turn(told.last))
    return ExitCode.OK


def batch(backend: LocalService, options: Options, output: Output) -> ExitCode:
    """Many prompts over one load: a prompt per line of IN (or `{"prompt": …}`), an object per line of OUT.

    Lines that OUT has already are not asked again, so an interrupted batch goes on where it was.
    """
    assert options.batch is not None and options.out is not None
    prompts = [_batch_prompt(line) for line in _read(options.batch).splitlines() if line.strip()]
    done = len(_read(options.out).splitlines()) if options.out.exists() else 0
    session = open_model(backend, options, output)
    sampling = sampling_of(backend, options)
    quiet = replace(options, json=True)
    with open(options.out, "a", encoding="utf-8") as file:  # noqa: PTH123
        for number, prompt in enumerate(prompts[done:], done + 1):
            told = speak(session, opening(options, prompt), sampling, quiet, output)
            if told.exit_code is not ExitCode.OK:
                break
            file.write(json.dumps({"prompt": prompt, **told.json(session)}, ensure_ascii=False) + "\n")
            file.flush()
            output.progress(f"{number} of {len(prompts)} prompts", final=number == len(prompts))
        else:
            return ExitCode.OK
    if told.error is not None:
        raise told.error
    return told.exit_code


def _batch_prompt(line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line
    try:
        return str(json.loads(line)["prompt"])
    except (ValueError, KeyError) as error:
        raise UsageError(f"--batch: a line that starts with a brace must be JSON with a prompt: {error!r}.") from None


def _next_line(output: Output) -> str | None:
    if output.out_is_terminal and sys.stdin.isatty():
        import readline  # noqa: F401  (history and editing for input())

        try:
            return input("> ")
        except EOFError:
            return None
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def _as_error(error: BaseException) -> LocalrunError | str:
    return error if isinstance(error, LocalrunError) else "interrupted"
