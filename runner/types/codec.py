"""Dataclasses as JSON and back: the language between the parent and the engine process. Pure.

A value is what JSON knows, an enumeration, a tuple of values, one or None, or a frozen dataclass of values. Unknown
fields are ignored and missing ones take their default, so that both ends may grow.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, partial
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Reader = Callable[[Any], Any]


def pack(value: object) -> Any:
    """The JSON form of a value."""
    kind = type(value)
    if kind in (str, int, float, bool, type(None)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [pack(item) for item in value]
    if isinstance(value, Mapping):
        return {key: pack(item) for key, item in value.items()}
    if is_dataclass(kind):
        return {name: pack(getattr(value, name)) for name in _names(kind)}
    return value


def unpack(kind: type[T], data: Any) -> T:
    """The value of type `kind` from its JSON form; a ValueError or TypeError where it does not fit."""
    read = _reader(kind)  # type: ignore[arg-type]
    return read(data) if read else data  # type: ignore[no-any-return]


def learn(*kinds: type) -> None:
    """Find out how values of these types are read, before there is one."""
    for kind in kinds:
        _reader(kind)


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _reader(hint: Any) -> _Reader | None:
    """How to read a value of this type; None where it is what JSON made of it."""
    arms = get_args(hint)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner, *others = (arm for arm in arms if arm is not type(None))
        if others:
            return _refuse
        return partial(_optional, read) if (read := _reader(inner)) else None
    if origin is tuple:
        return _tuple_reader(arms)
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(_object, hint)
    return hint if isinstance(hint, type) and issubclass(hint, Enum) else None


def _tuple_reader(arms: tuple[Any, ...]) -> _Reader:
    """For `tuple[X, ...]`, any number of one type, and `tuple[X, Y]`, one of each."""
    if arms[1:] == (Ellipsis,):
        return partial(_many, _reader(arms[0]))
    return partial(_one_of_each, tuple(_reader(arm) for arm in arms))


def _many(read: _Reader | None, data: Any) -> tuple[Any, ...]:
    return tuple(map(read, _listed(data)) if read else _listed(data))


def _one_of_each(readers: tuple[_Reader | None, ...], data: Any) -> tuple[Any, ...]:
    return tuple(read(item) if read else item for read, item in zip(readers, _listed(data), strict=True))


def _listed(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise TypeError("a tuple must be a list")
    return data


def _refuse(_data: Any) -> Any:
    raise TypeError("the JSON form of one of several types does not say which")


def _optional(read: _Reader, data: Any) -> Any:
    return None if data is None else read(data)


@cache
def _readers(kind: Any) -> dict[str, _Reader | None]:
    """Of its fields; made when the first one is read, for a field may be of the same type."""
    hints = get_type_hints(kind)
    return {name: _reader(hints[name]) for name in _names(kind)}


def _object(kind: Callable[..., Any], data: Any) -> Any:
    if not isinstance(data, dict):
        raise TypeError(f"{kind.__name__} must be an object")
    readers = _readers(kind)
    return kind(
        **{name: read(item) if (read := readers[name]) else item for name, item in data.items() if name in readers}
    )
