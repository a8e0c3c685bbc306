"""Dataclasses as JSON and back: the language between the parent and its child. Pure.

A value is a frozen dataclass of numbers, strings, enumerations, tuples and other such dataclasses. Unknown fields
are ignored and missing ones take their default, so that both ends may grow.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def pack(value: object) -> Any:
    """The JSON form of a value."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: pack(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, Mapping):
        return {key: pack(item) for key, item in value.items()}
    return value


def unpack(kind: type[T], data: Any) -> T:
    """The dataclass `kind` from its JSON form; a ValueError or TypeError where it does not fit."""
    if not isinstance(data, dict):
        raise TypeError(f"{kind.__name__} must be an object")
    hints = _hints(kind)  # type: ignore[arg-type]
    return kind(**{name: _value(hints[name], item) for name, item in data.items() if name in hints})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, data: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        inner = [arm for arm in get_args(hint) if arm is not type(None)]
        return None if data is None else _value(inner[0], data)
    if get_origin(hint) is tuple:
        return tuple(_value(get_args(hint)[0], item) for item in data)
    if is_dataclass(hint) and isinstance(hint, type):
        return unpack(hint, data)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(data)
    return data
