"""How an engine process ended: from its exit code and its last words to one error with one sentence."""

from __future__ import annotations

import signal
from pathlib import Path

from models.errors import DeviceLost, EngineError, EngineKilled, OutOfMemory
from runner.types.failures import diagnose
from runner.types.pipe import LastWords

_HOW = {OutOfMemory: "ran out of memory", DeviceLost: "lost a device"}


def death(code: int, words: LastWords, log: Path) -> EngineError:
    """The error for a process that ended with `code` (minus the signal's number) after it said `words`.

    OutOfMemory and DeviceLost by its words, EngineKilled by SIGKILL, EngineError for everything else.
    """
    found = diagnose((words.message, *words.complaints))
    killed = found.kind is EngineError and code == -signal.SIGKILL
    kind = EngineKilled if killed else found.kind
    because = f" ({found.reason})" if found.reason else ""
    return kind(f"The engine {_HOW.get(kind) or _how(code)}{because}. Its log is {log}.")


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    if code == -signal.SIGKILL:
        return "was killed, perhaps for want of memory"
    return f"stopped with {signal.Signals(-code).name}"
