"""What a model is asked: the prompt from stdin and flags, the grammar of the answer."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import UsageError
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.stdin import REST_OF_STDIN, waiting_for_stdin
from runner.service.schema import read_schema
from runner.storage.paths import paths
from runner.storage.prompts import PromptStore, filled
from runner.storage.text_files import UTF_16, attached, decoded
from runner.types.attachment import Attachment, with_files
from runner.types.grammar import alternatives, checked
from runner.types.sampling import Sampling
from runner.types.tools_json import with_possible_calls

if TYPE_CHECKING:  # the entry point reads the prompt before it starts the engine and imports the service
    from runner.client.attached import AttachedService
    from runner.service.service import LocalService

MOST_LETTERS = 50_000_000  # of a prompt: no context holds so many, and a pipe may have no end
_SILENT_S = 2.0  # so long an open stdin may say nothing before that is said


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked: `files`, then the `question`, which is empty where there are only files."""

    question: str
    files: tuple[Attachment, ...] = ()

    @property
    def has_only_files(self) -> bool:
        """Whether a question is still to come; what came through a pipe is gone, and is a prompt by itself."""
        return not self.question and all(Path(file.name).expanduser().is_file() for file in self.files)

    @property
    def text(self) -> str:
        """All of it, as it is sent."""
        return with_files(self.question, self.files)


def prompt_of(options: Options, output: Output, *, takes_stdin: bool) -> Prompt | None:
    """The files, what stdin brings, --prompt, as one; None without any.

    Stdin and --prompt are what a named prompt is about. Raises UsageError.
    """
    files = tuple(map(attached, options.files))
    named = PromptStore(paths().prompts).text(options.named_prompt) if options.named_prompt is not None else None
    piped = _stdin_text(options, output) if takes_stdin and not options.no_stdin else None
    said = _joined(readable(part.strip("\n"), output) for part in (piped, options.prompt) if part and part.strip())
    question = filled(named.strip("\n"), said) if named else said
    return Prompt(question, files) if question or files else None


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part)


def _stdin_text(options: Options, output: Output) -> str | None:
    """What a pipe or a file brings; None from a terminal. Where it is silent, that is said."""
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)):
            return None
        is_asked = options.prompt is not None or options.named_prompt is not None
        if not select.select([descriptor], [], [], _SILENT_S)[0]:
            output.note(waiting_for_stdin(is_asked=is_asked))
        elif is_asked and stat.S_ISREG(mode) and os.lseek(descriptor, 0, os.SEEK_CUR) > 0:
            output.note(REST_OF_STDIN)
    except (OSError, ValueError):  # it is closed
        return None
    return unmarked(bounded(sys.stdin.read(MOST_LETTERS)))


def unmarked(text: str) -> str:
    """What stdin brought without the mark of its encoding; UTF-16 is read as such where a mark says so."""
    raw = text[:2].encode(sys.stdin.encoding, "surrogateescape")
    if raw in UTF_16:
        return decoded(text.encode(sys.stdin.encoding, "surrogateescape"), "replace")
    return text.removeprefix("\ufeff")


def bounded(text: str) -> str:
    """What was read of standard input, of which no more than MOST_LETTERS are wanted. UsageError where so many came."""
    if len(text) == MOST_LETTERS:
        raise UsageError(f"More than {MOST_LETTERS // 10**6} million letters came on stdin; no context holds so many.")
    return text


def readable(text: str, output: Output) -> str:
    """A prompt without the bytes that are no text in this locale, which is said."""
    bad = sum("\udc80" <= character <= "\udcff" for character in text)
    if bad:
        output.warn(f"The prompt is not all {sys.stdin.encoding} text: bytes that are none ({bad}) are read as \ufffd.")
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def sampling_of(options: Options, service: LocalService | AttachedService) -> Sampling:
    """Sampling with the grammar that --schema, --grammar or --choices ask for."""
    asked = [value for value in (options.schema, options.grammar, options.choices) if value]
    if len(asked) > 1:
        raise UsageError("--schema, --grammar and --choices exclude each other.")
    return with_possible_calls(_with_grammar(options, service))


def _with_grammar(options: Options, service: LocalService | AttachedService) -> Sampling:
    if options.schema is not None:
        schema = read_schema(read_text(options.schema))
        return replace(options.sampling, grammar=service.grammar_of_schema(schema), schema=schema)
    if options.grammar is not None:
        return replace(options.sampling, grammar=service.understood(checked(read_text(options.grammar))))
    if options.choices:
        return replace(options.sampling, grammar=service.understood(alternatives(options.choices)))
    return options.sampling


def read_text(path: Path) -> str:
    """A file that a flag names. Raises UsageError."""
    try:
        if path.is_char_device() and not path.samefile(os.devnull):
            raise UsageError(f"{path} cannot be read: it is no file.")
        return decoded(path.read_bytes()).replace("\r\n", "\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
