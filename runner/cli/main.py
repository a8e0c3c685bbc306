"""The command `localrun`: from its words to what runs, and to the code it ends with."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from models.errors import EngineError, ExitCode, LocalrunError, UsageError
from runner.cli.flags import RUN
from runner.cli.interrupts import calm, ending_on, started_engine, take_interrupts
from runner.cli.options import Options, load_config, parse
from runner.cli.output import NO_SCREEN, Output, Unwritten
from runner.cli.prompt import Prompt, prompt_of
from runner.cli.subcommands import COMMANDS
from runner.client.process import EngineProcess
from runner.storage.paths import paths

if TYPE_CHECKING:  # either is imported when it is known which it is
    from runner.client.attached import AttachedService
    from runner.service.service import LocalService

OpenScreen = Callable[[Options], ExitCode]


class Elsewhere(Exception):  # noqa: N818
    """The command is not for this process; nothing was read or written."""


def main(argv: Sequence[str], open_screen: OpenScreen, *, is_warm: bool = False) -> int:
    """Run one command. `open_screen` opens the TUI; only the caller knows it.

    `is_warm`: only what a warm engine answers; Elsewhere for all else.
    """
    _open_closed_streams()
    _take_any_text()
    output = Output()
    try:
        code = _ended(argv, output, open_screen, is_warm=is_warm)
        output.end()
    except BrokenPipeError:
        return _die_of_a_closed_pipe()
    except Unwritten as error:
        what = "output" if argv and argv[0] in COMMANDS else "answer"
        return _refused(f"The {what} could not be written", error)
    return code


def _ended(argv: Sequence[str], output: Output, open_screen: OpenScreen, *, is_warm: bool) -> ExitCode:
    """Run it to its end, which is told where it is an error."""
    options: Options | None = None
    try:
        understood = parse(argv, os.environ, load_config(paths().config_file))
        _check(understood)
        options = understood
        take_interrupts()
        return _run(options, output, open_screen, is_warm=is_warm)
    except (BrokenPipeError, Unwritten):
        raise
    except (LocalrunError, KeyboardInterrupt, OSError) as failure:
        error = _of_the_system(failure) if isinstance(failure, OSError) else failure
        calm()
        if options is not None and (options.json or options.jsonl):
            from runner.report.contract import error_json, no_answer_json

            output.json({**(no_answer_json() if options.command == RUN else {}), **error_json(error)})
        output.error(str(error) or "interrupted.")
        return error.exit_code if isinstance(error, LocalrunError) else ExitCode.INTERRUPTED


def _of_the_system(error: OSError) -> EngineError:
    """A folder that may not be read, no more descriptors, a working folder that was removed."""
    is_lost = error.errno == errno.ENOENT and not error.filename
    what = error.filename or ("The folder that this was started in" if is_lost else "This computer refuses")
    return EngineError(f"{what}: {error.strerror or error}.")


def _refused(what: str, error: OSError) -> int:
    """A full disk: nothing more is written to stdout, which is what refuses."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    Output().error(f"{what}: {error.strerror or error}.")
    return ExitCode.ENGINE


def _open_closed_streams() -> None:
    """Streams that the caller closed become empty ones, or the engine's pipes would take their places."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8"))


def _take_any_text() -> None:
    """No byte that comes in and no character that goes out ends a run, whatever the locale."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace"), (sys.stderr, "replace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)


def _die_of_a_closed_pipe() -> int:
    """Nobody reads any more: end as every other filter does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    return ExitCode.ENGINE


def _run(options: Options, output: Output, open_screen: OpenScreen, *, is_warm: bool) -> ExitCode:
    if options.command == RUN:
        return _run_model(options, output, open_screen, is_warm=is_warm)
    if is_warm:
        raise Elsewhere
    command = import_module(f"runner.cli.subcommands.{options.command}")
    code: ExitCode = command.run(options, output)
    return code


def _run_model(options: Options, output: Output, open_screen: OpenScreen, *, is_warm: bool) -> ExitCode:
    """A model is run: by lines of JSON, in a batch, for one answer, as a chat with or without a screen."""
    is_terminal = output.out_is_terminal and sys.stdin.isatty()
    if options.continued is not None or options.save is not None:
        from runner.cli.earlier import with_earlier

        options = with_earlier(options)
    with ExitStack() as stack:
        warm = _warm(options, may_chat=is_terminal)
        if warm is not None:
            stack.enter_context(closing(warm))
        elif is_warm:
            raise Elsewhere
        return _asked(options, output, open_screen, warm)


def _warm(options: Options, *, may_chat: bool) -> AttachedService | None:
    """Who answers from a warm engine, found before anything is read from stdin. A chat looks for it itself."""
    is_asked = (options.prompt, options.named_prompt, options.batch) != (None, None, None) or options.json_session
    if options.model is None or options.plain or (may_chat and not is_asked):
        return None
    from runner.cli.load import warm_service

    return warm_service(options)


def _asked(options: Options, output: Output, open_screen: OpenScreen, warm: AttachedService | None) -> ExitCode:
    """Whatever is to be answered, once stdin is read."""
    is_terminal = output.out_is_terminal and sys.stdin.isatty()
    takes_stdin = options.batch is None and not options.plain and not options.json_session
    prompt = prompt_of(options, output, takes_stdin=takes_stdin)
    is_chat = takes_stdin and (prompt is None or (is_terminal and prompt.has_only_files))
    if is_chat and is_terminal and os.environ.get("TERM") not in NO_SCREEN:
        if options.schema or options.grammar or options.choices:
            raise UsageError("--schema, --grammar and --choices bind an answer of -p or a chat with --plain.")
        return open_screen(options)
    if options.model is None:
        raise UsageError("Which model? localrun MODEL -p PROMPT; localrun list shows what is here.")
    if is_chat and not is_terminal:
        raise UsageError("There is no prompt and no terminal: give one with -p, or on stdin.")
    if is_chat:
        output.note("This terminal shows no screen (TERM): a plain chat.")
        options = replace(options, plain=True)
    if warm is not None:
        return _without_chat(warm, options, output, prompt)
    with started_engine() as engine:  # first of all: it gets ready while this process imports the rest
        return _with_engine(engine, options, output, prompt)


def _with_engine(engine: EngineProcess, options: Options, output: Output, prompt: Prompt | None) -> ExitCode:
    from runner.cli.load import service_for

    with service_for(output, engine, options.cache_size) as service:
        is_chat = options.batch is None and not options.json_session
        if is_chat and (prompt is None or (options.plain and prompt.has_only_files)):
            from runner.cli.chat import chat

            files = prompt.files if prompt is not None else ()
            with ending_on(signal.SIGTERM, signal.SIGHUP):  # readline gives the terminal back
                return chat(service, options, output, files)
        return _without_chat(service, options, output, prompt)


def _without_chat(
    service: LocalService | AttachedService, options: Options, output: Output, prompt: Prompt | None
) -> ExitCode:
    if options.json_session:
        from runner.cli.json_session import answer_questions

        return answer_questions(service, options, output)
    if options.batch is not None:
        from runner.cli.batch import batch

        return batch(service, options, output)
    from runner.cli.run import one_answer

    assert prompt is not None
    return one_answer(service, options, output, prompt)


def _check(options: Options) -> None:
    """Flags that contradict each other."""
    if options.json and options.jsonl:
        raise UsageError("--json and --jsonl exclude each other.")
    if (options.batch is None) != (options.out is None):
        raise UsageError("--batch IN and --out OUT belong together.")
    if options.batch is not None and options.prompt is not None:
        raise UsageError("--batch and --prompt exclude each other.")
    of_one = (options.continued, options.save, options.named_prompt, options.files or None)
    if (options.batch is not None or options.json_session) and any(flag is not None for flag in of_one):
        raise UsageError("--continue, --save, --file and --named-prompt are for one conversation.")
