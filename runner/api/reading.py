"""What several dialects read in the same way, once each has put it into the same words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.errors import UsageError
from runner.api.asked import Constraint
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.limits import Limits
from runner.types.generation import Message
from runner.types.sampling import Sampling
from runner.types.tools import ToolChoice
from runner.types.tools_json import KEYS, read_messages, with_tools

ANY_OBJECT = {"type": "object"}
"""The schema of any JSON object."""
CHOICES = ("tool_choice", "parallel_tool_calls")
"""What a request says of calls besides the tools, as OpenAI's clients write it."""


def held_to(schema: Any, field: str, most: int) -> Constraint:
    """An answer that fits a schema, which stands in a `field` of the request and has `most` letters at most."""
    return Constraint(_bounded({} if schema is None else schema, field, most), field=field)


def parameters(tool: Fields, name: str, most: int) -> Any:
    """The schema of what a tool is called with, of `most` letters at most."""
    schema = tool.take(name)
    _bounded(schema, tool.place(name), most)
    return schema


def _bounded(schema: Any, field: str, most: int) -> str:
    text = json.dumps(schema)
    if len(text) > most:
        raise invalid(field, f"the schema has {len(text)} letters; at most {most} are taken.")
    return text


def message_of(one: Fields, said: Mapping[str, Any]) -> Message:
    """A turn in OpenAI's words, of which `one` is all read."""
    one.done()
    try:
        (message,) = read_messages([said])
    except UsageError as error:
        raise invalid(one.place("tool_calls"), str(error)) from None
    return message


def functions(fields: Fields, limits: Limits) -> list[dict[str, Any]] | None:
    """`tools` as OpenAI and Ollama write them, each read to its end; None where there are none."""
    return [_function(one, limits.schema) for one in fields.objects("tools", limits.messages)] or None


def _function(tool: Fields, most: int) -> dict[str, Any]:
    if (kind := tool.text("type") or "function") != "function":
        raise invalid(tool.place("type"), f"functions can be called here, and {kind!r} is none.")
    one = tool.inner("function")
    if one is None:
        raise invalid(tool.place("function"), "it is missing.")
    said = described(one, most)
    one.idle("strict")  # calls are held to the schema anyway
    one.done()
    tool.done()
    return said


def described(function: Fields, most: int) -> dict[str, Any]:
    """Its name, what it is for, and the schema of what it takes, which may have `most` letters."""
    return {
        "name": function.needed_text("name"),
        "description": function.text("description"),
        "parameters": parameters(function, "parameters", most),
    }


def with_calls(sampling: Sampling, said: Mapping[str, Any], constraint: Constraint) -> Sampling:
    """`sampling` with the tools and the choice among them; what cannot be done is refused by its key."""
    for key in KEYS:
        try:
            sampling = with_tools(sampling, {key: said.get(key)})
        except UsageError as error:
            raise invalid(key, str(error).removeprefix(f"{key}: ")) from None
    if sampling.templating.tools and constraint.binds and sampling.calling.choice is not ToolChoice.NONE:
        raise invalid("tools", f"they exclude {constraint.field} and grammar: a call would have no room.")
    return sampling
