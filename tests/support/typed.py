"""The TypedDicts of `localrun-stubs`, and whether a value is one."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

STUBS = Path(__file__).parents[2] / "localrun-stubs" / "__init__.pyi"


@cache
def stubs() -> Mapping[str, Any]:
    """The names in them: stubs are Python, but for a mark that no running program has."""
    code = STUBS.read_text().replace(", type_check_only", "").replace("@type_check_only\n", "")
    module = sys.modules["localrun_stubs"] = types.ModuleType("localrun_stubs")  # where names in annotations are found
    exec(compile(code, str(STUBS), "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def misfits(value: Any, hint: Any, at: str = "") -> list[str]:
    """Where a value, as JSON has it, is not of this type: fields that are missing, unknown, or of another type."""
    if get_origin(hint) in (Union, types.UnionType):
        found = [misfits(value, arm, at) for arm in get_args(hint)]
        return min(found, key=len)
    if is_typeddict(hint):
        return _misfits_of_object(value, hint, at)
    if get_origin(hint) is Literal:
        return [] if value in get_args(hint) else [f"{at}: {value!r}"]
    if get_origin(hint) in (list, dict):
        kind, inner = get_origin(hint), get_args(hint)[-1]
        if not isinstance(value, kind):
            return [f"{at}: {value!r}"]
        items = value.items() if kind is dict else enumerate(value)
        return [one for key, item in items for one in misfits(item, inner, f"{at}[{key!r}]")]
    kinds = {float: (int, float), Any: (object,)}.get(hint, (hint,))
    fits = isinstance(value, kinds) and (not isinstance(value, bool) or hint in (bool, Any))
    return [] if fits else [f"{at}: {value!r}"]


def _misfits_of_object(value: Any, hint: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: {value!r}"]
    hints = get_type_hints(hint)
    odd = [f"{at}.{name} is missing" for name in sorted(hint.__required_keys__ - value.keys())]
    odd += [f"{at}.{name} is unknown" for name in sorted(value.keys() - hints.keys())]
    known = hints.keys() & value.keys()
    return odd + [one for name in sorted(known) for one in misfits(value[name], hints[name], f"{at}.{name}")]
