"""How an engine process ended: from its exit code and its last words to one error with one sentence."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from models.errors import (
    BadFile,
    DeviceLost,
    EngineError,
    EngineHung,
    EngineKilled,
    LocalrunError,
    OutOfMemory,
    OutOfRam,
)
from runner.types.failures import GRAMMAR_S, TEMPLATE_S, Diagnosis, diagnose
from runner.types.pipe import LastWords

_HOW = {
    OutOfMemory: "ran out of memory",
    OutOfRam: "was ended by the system, which had run out of memory",
    DeviceLost: "lost a device",
}
_BY_SIGNAL: dict[int, LocalrunError] = {
    -signal.SIGALRM: BadFile(f"The model's chat template did not come to an end in {TEMPLATE_S:.0f} s."),
    # What a mapped file answers where it has no bytes any more.
    -signal.SIGBUS: BadFile("The model's file was cut while it was in use, or its disk is gone."),
    -signal.SIGVTALRM: EngineError(
        f"The engine was ended: a grammar or a schema of a request took more than {GRAMMAR_S:.0f} s for a word."
    ),
}
_TAIL, _LAST_LINES = 1024, 4


def death(code: int, words: LastWords, log: Path, *, for_ram: bool = False) -> LocalrunError:
    """The error for a process that ended with `code` (minus the signal's number) after it said `words`.

    OutOfMemory and DeviceLost by its words, or by the end of its log where it said none; OutOfRam by SIGKILL where the
    kernel has killed for want of memory (`for_ram`), EngineKilled by any other; BadFile by SIGALRM and SIGBUS;
    EngineError for everything else.
    """
    if (known := _BY_SIGNAL.get(code)) is not None:
        return type(known)(str(known))
    found = diagnose((words.message, *words.complaints))
    if not found.reason:
        found = _told_by(log)
    kind = found.kind
    if kind is EngineError and code == -signal.SIGKILL:
        kind = OutOfRam if for_ram else EngineKilled
    because = f" ({found.reason})" if found.reason else ""
    return kind(f"The engine {_HOW.get(kind) or _how(code)}{because}. Its log is {log}.")


def hung(seconds: float, endpoints: Sequence[str], log: Path) -> EngineHung:
    """The error for a process that was ended because it did nothing for so many seconds."""
    lent = f"; the devices at {' and '.join(endpoints)} may be gone or busy" if endpoints else ""
    return EngineHung(f"The engine did not go on for {seconds:.0f} s and was ended{lent}. Its log is {log}.")


def lost(machines: Sequence[tuple[str, str]], log: Path) -> DeviceLost:
    """The error where the engine had parts of a model on `machines` (name, and what became of it) that are gone."""
    said = " and ".join(f"{name} {why}" for name, why in machines)
    return DeviceLost(f"{said}: what it held of the model is lost. The engine's log is {log}.")


def _told_by(log: Path) -> Diagnosis:
    """C++ and the system's libraries complain of memory only there. Anything else at its end is no reason."""
    tail = b""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        tail = file.read()
    found = diagnose(tail.decode("utf-8", "replace").splitlines()[-_LAST_LINES:])
    return found if found.kind is not EngineError else Diagnosis(EngineError, "")


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    if code == -signal.SIGKILL:
        return "was killed, perhaps for want of memory"
    return f"stopped with {signal.Signals(-code).name}"
