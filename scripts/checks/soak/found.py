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
class Held:
    """What this process and its engine hold: descriptors, children, resident bytes."""

    descriptors: int
    children: int
    own: int
    engine: int


def held(engine: int) -> Held:
    """At this moment, when nothing should be going on; `engine` is a process id."""
    gc.collect()
    this = psutil.Process()
    resident = psutil.Process(engine).memory_info().rss
    return Held(this.num_fds(), len(this.children(recursive=True)), this.memory_info().rss, resident)


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
        grown = {name: self._growth(name) for name in ("descriptors", "children", "own", "engine")}
        allowed = {"descriptors": 0.0, "children": 0.0, "own": _MOST_GROWTH, "engine": _MOST_GROWTH}
        return [name for name, growth in grown.items() if growth > allowed[name]]

    def rows(self) -> list[tuple[str, str]]:
        """The report, a name and a value a row."""
        kinds = Counter(kind for kind, _ in self.faults)
        rows = [("actions", ", ".join(f"{name} {count}" for name, count in sorted(self.actions.items())))]
        rows += [(kind, str(kinds[kind])) for kind in _FAULTS]
        rows += [(f"leaked {name}", str(self._added(name))) for name in ("descriptors", "children")]
        rows += [
            (f"resident memory, {whose}", f"{median(self._of(name)) / 1e6:.0f} MB, {self._growth(name):+.1%}")
            for whose, name in (("parent", "own"), ("engine", "engine"))
        ]
        return [*rows, ("longest stop", f"{self.longest_stop_s:.2f} s")]

    def _of(self, name: str) -> Sequence[int]:
        return [getattr(one, name) for one in self.quiet]

    def _thirds(self, name: str) -> tuple[float, float]:
        values = self._of(name)
        third = max(1, len(values) // 3)
        return median(values[:third]), median(values[-third:])

    def _added(self, name: str) -> int:
        first, last = self._thirds(name)
        return round(last - first)

    def _growth(self, name: str) -> float:
        first, last = self._thirds(name)
        return last / first - 1


def orphans(home: str) -> list[psutil.Process]:
    """Processes of this home that are nobody's: neither this one nor below it."""
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    return [process for process in psutil.process_iter() if process.pid not in ours and _is_of(process, home)]


def _is_of(process: psutil.Process, home: str) -> bool:
    try:
        return process.environ().get("XDG_STATE_HOME") == home
    except (psutil.Error, OSError):
        return False
