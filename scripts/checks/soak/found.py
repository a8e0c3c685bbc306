"""What a soak counts: what must stay 0, and what is held at moments when nothing goes on."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import psutil

_MOST_GROWTH = 0.05
_FAULTS = ("lost messages", "hangs", "orphans", "wrong ends")


@dataclass(frozen=True, slots=True)
class Process:
    """What one process holds: open descriptors and resident bytes."""

    descriptors: int
    resident: int


@dataclass(frozen=True, slots=True)
class Held:
    """What is held at one moment: by how many children, and by whom."""

    children: int
    processes: dict[str, Process]


def process_held(pid: int) -> Process:
    """By a process, at this moment."""
    found = psutil.Process(pid)
    return Process(found.num_fds(), found.memory_info().rss)


def held(others: dict[str, Process]) -> Held:
    """By this process and others, when nothing should be going on."""
    gc.collect()
    children = len(psutil.Process().children(recursive=True))
    return Held(children, {"parent": process_held(os.getpid()), **others})


@dataclass(slots=True)
class Found:
    """The counts of a run. `faults` has a sentence each, for a person who wants to find the cause."""

    actions: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)
    quiet: list[Held] = field(default_factory=list)
    longest_stop_s: float = 0.0

    def fault(self, kind: str, sentence: str) -> None:
        """One of the things that must not happen."""
        assert kind in _FAULTS
        self.faults.append((kind, sentence))

    def is_clean(self) -> bool:
        """Whether nothing was lost, hung, left or grew."""
        return not self.faults and not self.leaks()

    def leaks(self) -> list[str]:
        """What grew from the first third of the quiet moments to the last."""
        names = self._names()
        found = ["children"] if _added(self._children()) > 0 else []
        found += [f"descriptors, {name}" for name in names if _added(self._descriptors(name)) > 0]
        return found + [f"memory, {name}" for name in names if _growth(self._resident(name)) > _MOST_GROWTH]

    def rows(self) -> list[tuple[str, str]]:
        """The report, a name and a value a row."""
        kinds = Counter(kind for kind, _ in self.faults)
        rows = [("actions", ", ".join(f"{name} {count}" for name, count in sorted(self.actions.items())))]
        rows += [(kind, str(kinds[kind])) for kind in _FAULTS]
        rows += [("leaked children", f"{_added(self._children()):g}")]
        rows += [(f"leaked by {name}", f"{_added(self._descriptors(name)):g} descriptors") for name in self._names()]
        rows += [(f"memory, {name}", self._resident_words(name)) for name in self._names()]
        return [*rows, ("longest stop", f"{self.longest_stop_s:.2f} s")]

    def _resident_words(self, name: str) -> str:
        resident = self._resident(name)
        return f"{median(resident) / 1e6:.0f} MB, {_growth(resident):+.1%}"

    def _names(self) -> tuple[str, ...]:
        return tuple(self.quiet[0].processes)

    def _children(self) -> Sequence[int]:
        return [one.children for one in self.quiet]

    def _descriptors(self, name: str) -> Sequence[int]:
        return [one.processes[name].descriptors for one in self.quiet]

    def _resident(self, name: str) -> Sequence[int]:
        return [one.processes[name].resident for one in self.quiet]


def _added(values: Sequence[int]) -> float:
    first, last = _thirds(values)
    return last - first


def _growth(values: Sequence[int]) -> float:
    first, last = _thirds(values)
    return last / first - 1


def _thirds(values: Sequence[int]) -> tuple[float, float]:
    """The medians of the first third and of the last."""
    third = max(1, len(values) // 3)
    return median(values[:third]), median(values[-third:])


def orphans(home: str) -> list[psutil.Process]:
    """Processes of this home that are nobody's: neither this one nor below it."""
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    return [process for process in psutil.process_iter() if process.pid not in ours and _is_of(process, home)]


def _is_of(process: psutil.Process, home: str) -> bool:
    try:
        return process.environ().get("XDG_STATE_HOME") == home
    except (psutil.Error, OSError):
        return False
