"""A JSON schema and the answers that have to fit it: grammars hold them to the better part, this to all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.errors import EngineError, UsageError
from models.visible import LONGEST, one_line
from runner.types.schema_keywords import unheld

_HELD_FORMATS = ("date-time", "time")  # by the grammar


def read_schema(text: str) -> str:
    """The text of a schema; UsageError where it is none, or says what can be neither held to nor checked."""
    from jsonschema.exceptions import SchemaError

    try:
        schema = json.loads(text)
        if not isinstance(schema, dict):
            raise UsageError("The JSON schema must be an object.")
        validator = _validator(schema)
        validator.check_schema(schema)
        named = [one.removeprefix("format ") for one in unheld(schema) if one.startswith("format ")]
    except SchemaError as error:
        raise UsageError(f"That is no JSON schema: {_said(error)}.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The JSON schema cannot be read: {error}.") from None
    if unknown := [name for name in named if name not in (*_HELD_FORMATS, *validator.format_checker.checkers)]:
        raise UsageError(f"The JSON schema's format {unknown[0]} can be neither held to nor checked.")
    return text


def check_answer(text: str, schema: str, *, is_cut: bool = False) -> None:
    """EngineError where an answer does not fit the schema; one that `is_cut` fits where no more could have come."""
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    if is_cut and not _is_whole(text):
        raise EngineError("The answer was cut before it was whole: with more tokens it may fit the schema.")
    try:
        error = best_match(_validator(json.loads(schema)).iter_errors(json.loads(text)))
    except (ValueError, RecursionError, Unresolvable) as failure:
        raise EngineError(f"The answer cannot be held against the schema: {one_line(str(failure), LONGEST)}.") from None
    if error is not None:
        place = "" if error.json_path == "$" else f" ({error.json_path})"
        raise EngineError(f"The answer does not fit the schema: {_said(error)}{one_line(place, LONGEST)}.")


def _is_whole(text: str) -> bool:
    """Whether it is JSON that cannot go on; a number could have had more digits."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, bool) or not isinstance(value, int | float)


def _validator(schema: Mapping[str, Any]) -> Any:
    """Of the schema's own draft. An empty registry: nothing is ever fetched."""
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(schema, default=Draft202012Validator)
    return kind(schema, registry=Registry(), format_checker=FormatChecker())


def _said(error: Any) -> str:
    return one_line(str(error.message), LONGEST).rstrip(".")
