"""What a tool's schema says of its parameters. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from runner.types.tools import Tool

_OF_PYTHON = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_DEEPEST = 16
Schema = Mapping[str, Any]


def parameters_of(tool: Tool) -> Schema:
    """The schema of all of them; one that is no object says nothing."""
    found = json.loads(tool.parameters)
    return found if isinstance(found, dict) else {}


def tool_named(tools: Sequence[Tool], name: str) -> Tool | None:
    """The tool of that name."""
    return next((tool for tool in tools if tool.name == name), None)


def resolved(schema: Any, root: Schema) -> Schema:
    """A schema without a reference at its top; one into nothing says nothing."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = _at(reference, root)
    return {}


def _at(reference: str, root: Schema) -> Any:
    found: Any = root if reference.startswith("#") else None
    for part in reference.lstrip("#/").split("/"):
        found = found.get(part) if part and isinstance(found, Mapping) else found
    return found


def kinds(schema: Any, root: Schema) -> frozenset[str]:
    """The types that a value may have; empty where that is not said."""
    schema = resolved(schema, root)
    said = schema.get("type")
    if isinstance(said, str):
        return frozenset((said,))
    if isinstance(said, list):
        return frozenset(map(str, said))
    for key in ("enum", "const"):
        if key in schema:
            values = schema[key] if key == "enum" else [schema[key]]
            return frozenset(_OF_PYTHON.get(type(value), "object") for value in values)
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list):
            of_each = [kinds(one, root) for one in schema[key]]
            return frozenset().union(*of_each) if all(of_each) else frozenset()
    return frozenset()


def kinds_of(tool: Tool | None, parameter: str) -> frozenset[str]:
    """The types that a parameter of a tool may have; empty where nobody says so."""
    if tool is None:
        return frozenset()
    root = parameters_of(tool)
    properties = root.get("properties")
    return kinds(properties.get(parameter), root) if isinstance(properties, Mapping) else frozenset()
