"""What a tool's schema says of its parameters. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import UsageError
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
    for part in filter(None, reference.lstrip("#").split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


class References:
    """What schemas refer to, under names that no two of them share; `targets` has it."""

    def __init__(self) -> None:
        self.targets: dict[str, Any] = {}
        self._names: dict[str, str] = {}

    def renamed(self, value: Any, root: Schema) -> Any:
        """A copy of (a part of) a schema whose references lead into `targets`; UsageError for one into nothing."""
        if isinstance(value, list):
            return [self.renamed(one, root) for one in value]
        if not isinstance(value, Mapping):
            return value
        reference = value.get("$ref")
        if isinstance(reference, str):
            return {"$ref": f"#/{self._name(reference, root)}"}
        return {key: self.renamed(one, root) for key, one in value.items()}

    def _name(self, reference: str, root: Schema) -> str:
        key = f"{reference} {json.dumps(root)}"
        if key not in self._names:
            found = _at(reference, root)
            if not isinstance(found, Mapping):
                raise UsageError(f"The JSON schema refers to {reference}, which is not there.")
            self._names[key] = f"def-{len(self._names)}"
            self.targets[self._names[key]] = self.renamed(found, root)
        return self._names[key]


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
