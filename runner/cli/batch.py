"""Many prompts over one load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from models.errors import ExitCode, UsageError
from runner.cli.load import open_model
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.prompt import opening, read_text, sampling_of
from runner.cli.turn import take_turn, unseen
from runner.client.session import EngineSession
from runner.service.service import LocalService
from runner.types.sampling import SETTINGS, Sampling, with_settings

_SAMPLING_KEYS = {setting.key for setting in SETTINGS} | {"stop"}


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line of the input: its prompt, and the sampling with its own settings."""

    prompt: str
    sampling: Sampling


def batch(service: LocalService, options: Options, output: Output) -> ExitCode:
    """A prompt per line of IN, plain or as `{"prompt": …}` with sampling settings; an object per line of OUT.

    Lines that OUT has already are not asked again, so an interrupted batch goes on where it was.
    """
    assert options.batch is not None and options.out is not None
    lines = list(read_lines(read_text(options.batch), sampling_of(options, service)))
    done = len(_lines(read_text(options.out))) if options.out.exists() else 0
    session = open_model(service, options, output)
    with options.out.open("a", encoding="utf-8") as file:
        for number, line in enumerate(lines[done:], done + 1):
            code = _answer(session, line, options, output, file)
            if code is not ExitCode.OK:
                return code
            output.progress(f"{number} of {len(lines)} prompts", final=number == len(lines))
    return ExitCode.OK


def _answer(session: EngineSession, line: BatchLine, options: Options, output: Output, file: TextIO) -> ExitCode:
    answer = take_turn(session, opening(options, line.prompt), line.sampling, unseen(output))
    if answer.error is not None:
        raise answer.error
    if answer.exit_code is ExitCode.OK:
        file.write(json.dumps({"prompt": line.prompt, **answer.json(session)}, ensure_ascii=False) + "\n")
        file.flush()
    return answer.exit_code


def read_lines(text: str, sampling: Sampling) -> Iterator[BatchLine]:
    """The prompts of a batch; `sampling` holds where a line does not say otherwise. Raises UsageError."""
    for number, line in _lines(text):
        is_object = line.lstrip().startswith("{")
        yield _read_object(line, number, sampling) if is_object else BatchLine(line, sampling)


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines that say something, with their numbers. Only a newline ends one: answers may hold U+2028 as it is."""
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def _read_object(line: str, number: int, sampling: Sampling) -> BatchLine:
    try:
        asked = json.loads(line)
        prompt = str(asked["prompt"])
    except (ValueError, KeyError) as error:
        message = f"--batch: a line that starts with a brace must be JSON with a prompt: {error!r}."
        raise UsageError(message) from None
    own = {key: value for key, value in asked.items() if key in _SAMPLING_KEYS}
    try:
        return BatchLine(prompt, with_settings(sampling, own))
    except UsageError as error:
        raise UsageError(f"--batch, line {number}: {error}") from None
