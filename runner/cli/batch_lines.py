"""What a batch asks, a line each: plain text, or an object with a prompt or messages and settings of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from models.errors import UsageError
from runner.service.schema import read_schema
from runner.types.generation import Message
from runner.types.grammar import Grammars, alternatives, checked
from runner.types.sampling import BESIDES, EVERY, Sampling, with_settings
from runner.types.tools_json import read_messages, with_tools

_SAMPLING_KEYS = {setting.key for setting in EVERY} | {*BESIDES}
_FORMS = ("schema", "grammar", "choices")


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A line of the input: its conversation, and the sampling with its own settings.

    `asked` is a digest of all it says. `prompt` is the text that it asks, or its last message. `wrong`: why it cannot
    be asked at all.
    """

    number: int
    id: str
    asked: str
    prompt: str = ""
    messages: tuple[Message, ...] = ()
    sampling: Sampling = Sampling()  # noqa: RUF009
    wrong: UsageError | None = None


def read_lines(text: str, sampling: Sampling, grammars: Grammars, system: str = "") -> Iterator[BatchLine]:
    """The lines of a batch; `sampling` and `system` hold where a line does not say otherwise.

    Only a newline ends a line, and one that says nothing is none.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            digest = blake2b(line.strip().encode(), digest_size=8).hexdigest()
            read = BatchLine(number, str(number), digest, sampling=sampling)
            try:
                yield _understood(read, line, grammars, system)
            except UsageError as error:
                wrong = UsageError(f"--batch, line {number}: {error}")
                yield replace(read, prompt=line.strip(), wrong=wrong)


def _understood(read: BatchLine, line: str, grammars: Grammars, system: str) -> BatchLine:
    said = _object(line) if line.lstrip().startswith("{") else {"prompt": line.removesuffix("\r")}
    messages = _messages(said, system)
    own = with_settings(read.sampling, {key: value for key, value in said.items() if key in _SAMPLING_KEYS})
    formed = _formed(own, said, grammars)
    return replace(
        read,
        id=str(said.get("id", read.number)),
        prompt=messages[-1].content,
        messages=messages,
        sampling=with_tools(formed, said),
    )


def _object(line: str) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(line)
    except (ValueError, RecursionError):
        said = {}
    if ("prompt" in said) == ("messages" in said):
        raise UsageError("a line that starts with a brace must be JSON with a prompt, or with messages.")
    return said


def _messages(said: Mapping[str, Any], system: str) -> tuple[Message, ...]:
    """The conversation of a line, with the system prompt of all unless it brings its own."""
    if "prompt" in said:
        found = [Message("user", str(said["prompt"]))]
    else:
        try:
            found = list(read_messages(said["messages"]))
        except UsageError:
            raise UsageError("a message is an object with a role and a content.") from None
    if not found:
        raise UsageError("it has no messages.")
    has_own = found[0].role == "system"
    return tuple(found if has_own or not system else [Message("system", system), *found])


def _formed(sampling: Sampling, said: Mapping[str, Any], grammars: Grammars) -> Sampling:
    """With what the line wants its answer to be, instead of what all answers are to be."""
    asked = [name for name in _FORMS if said.get(name) is not None]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} exclude each other.")
    if not asked:
        return sampling
    value = said[asked[0]]
    if asked == ["schema"]:
        schema = read_schema(value if isinstance(value, str) else json.dumps(value))
        return replace(sampling, grammar=grammars.grammar_of_schema(schema), schema=schema)
    if asked == ["choices"] and not (isinstance(value, list) and value):
        raise UsageError("choices: it is a list of texts.")
    grammar = checked(str(value)) if asked == ["grammar"] else alternatives(tuple(map(str, value)))
    return replace(sampling, grammar=grammars.understood(grammar), schema=None)
