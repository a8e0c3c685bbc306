"""Warm engines in words, tables and JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runner.report.table import Table
from runner.report.words import gib, one_line, seconds
from runner.types.codec import pack
from runner.types.engine import ComponentBytes, summed
from runner.types.warm import WarmModel

OTHER_VERSION = "What is kept warm is of another version of localrun."
OTHER_SETTINGS = "The warm engines were started with other settings in the environment; this one is not kept."
NONE_WARM = "No engine is kept warm."


def in_fallback(folder: str) -> str:
    """Where a socket lies for want of a better place."""
    return f"There is no runtime folder (XDG_RUNTIME_DIR); the warm engine's socket is in {folder}."


def not_kept(why: str) -> str:
    """The model runs all the same, as without --keep."""
    return f"{why} The engine ends with this command."


def warm_table(models: Sequence[WarmModel]) -> Table:
    """`ps`: a row for each, and where there are several, one for what they hold together."""
    rows = [
        (
            *(one_line(one.name), one_line(one.quant), one.verdict, str(one.ctx)),
            _held(one.memory),
            str(one.requests),
            "in use" if not one.idle_s and one.clients else seconds(one.idle_s),
            _until(one),
        )
        for one in models
    ]
    if len(models) > 1:
        rows.append(("together", "", "", "", _held(summed(*(one.memory for one in models))), "", "", ""))
    return Table(("model", "quant", "runs on", "ctx", "memory", "requests", "idle", "ends in"), rows, right=(3, 5))


def _held(memory: Sequence[ComponentBytes]) -> str:
    return ", ".join(f"{row.device} {gib(row.held)}" for row in memory)


def _until(one: WarmModel) -> str:
    if one.ends_in_s is None:
        return "" if one.clients or one.requests else "with its server"
    return seconds(one.ends_in_s)


def warm_json(one: WarmModel) -> dict[str, Any]:
    """An entry of `ps --json`."""
    memory = [{**pack(row), "total": row.held} for row in one.memory]
    return {**pack(one), "memory": memory}


def ended(names: Sequence[str]) -> str:
    """What `stop` has done."""
    return f"Ended: {', '.join(map(one_line, names))}."
