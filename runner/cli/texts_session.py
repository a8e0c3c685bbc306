"""The other end of `import localrun` where the model makes vectors or ranks: texts as JSON lines in, rows out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from models.errors import ExitCode, LocalrunError, PromptTooLong, UsageError
from models.headers.prefixes import Prefixes, TextRole
from runner.cli.options import Options
from runner.cli.output import Output
from runner.cli.vectors import open_vectors
from runner.client.vectors import VectorSession
from runner.report import contract
from runner.report.vectors import row_json
from runner.service.service import LocalService
from runner.types.commands import Embed, Score
from runner.types.vectors import Purpose, Row, TextLine

END = object()


class Questions(Protocol):
    """What somebody asks, one after the other; `stop` is what to call when they want no more of it."""

    stop: Callable[[object], None]

    def next(self) -> object:
        """The next one; END behind the last."""


def answer_texts(
    service: LocalService, options: Options, output: Output, use: Purpose, questions: Questions
) -> ExitCode:
    """Load, say what was loaded, then answer request after request until there are no more."""
    plan, session = open_vectors(service, options, output, use)
    questions.stop = lambda _number: session.stop()
    running, prefixes = session.running, service.prefixes(plan)
    output.json(contract.loaded_json(plan.model.name, running.candidate, running.placement, running.loaded))
    while (asked := questions.next()) is not END:
        try:
            said: contract.Json = {"rows": _rows(session, command_of(asked, use, prefixes), use)}
        except LocalrunError as error:
            said = contract.error_json(error)
        output.json(contract.numbered(said, asked.get("id") if isinstance(asked, dict) else None))
    return ExitCode.OK


def command_of(asked: Any, use: Purpose, prefixes: Prefixes | None) -> Embed | Score:
    """What to ask of the engine. UsageError for what such a model does not do."""
    if not isinstance(asked, dict) or "texts" not in asked:
        raise UsageError(
            "This model answers no prompts; it " + ("ranks texts." if use is Purpose.RANK else "makes vectors.")
        )
    texts, query, role = asked["texts"], asked.get("query"), asked.get("role")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError("The texts are a list of strings.")
    if isinstance(query, str) != (use is Purpose.RANK):
        raise UsageError("This model ranks texts for a query." if use is Purpose.RANK else "This model ranks no texts.")
    if role not in (None, *TextRole):
        raise UsageError(f"The role of a text is one of {', '.join(TextRole)}, not {role!r}.")
    truncate = bool(asked.get("truncate"))
    if isinstance(query, str):
        return Score(query, tuple(texts), truncate)
    prefix = prefixes.of(TextRole(role)) if prefixes and role else ""
    return Embed(tuple(prefix + text for text in texts), truncate)


def _rows(session: VectorSession, command: Embed | Score, use: Purpose) -> list[contract.Json]:
    made = [one for step in session.made(command) for one in step]
    for number, one in enumerate(made, 1):
        if one.refusal:
            raise PromptTooLong(f"Text {number}: {one.refusal}")
    lines = (TextLine(number, str(number), text) for number, text in enumerate(command.texts, 1))
    return [row_json(Row(line, one), use) for line, one in zip(lines, made, strict=False)]
