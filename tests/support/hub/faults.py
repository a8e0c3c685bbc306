"""What can be ordered to go wrong, and for which requests."""

import shlex
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Literal, get_args

Kind = Literal["cut", "reset", "stall", "slow", "flip", "status", "gated", "no-range"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One disturbance.

    kind: `cut` ends the connection after `after` bytes of body, `reset` does so with a TCP reset, `stall`
    stops sending there for `seconds`; `slow` sends `rate` bytes per second; `flip` changes the byte at offset
    `after` of the file; `status` answers `status` with `headers`; `gated` answers 403 as the Hub does while
    the licence is not accepted; `no-range` ignores Range.
    path: a shell pattern on the decoded path of the URL. times: for so many requests, None for all.
    """

    kind: Kind
    path: str = "*"
    method: str = "*"
    times: int | None = 1
    after: int = 0
    seconds: float = 3600.0
    rate: float = 1e6
    status: int = 500
    message: str = "ordered by the test"
    headers: dict[str, str] = field(default_factory=dict)


class Orders:
    """The faults still to happen; safe to use from several threads."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, int | None]] = []
        self.add(faults)

    def add(self, faults: Iterable[Fault]) -> None:
        with self._lock:
            self._left += [(fault, fault.times) for fault in faults]

    def clear(self) -> None:
        with self._lock:
            self._left.clear()

    def take(self, method: str, path: str, span: range) -> list[Fault]:
        """The faults for one request that asks for the bytes `span` of a file, used up by one."""
        with self._lock:
            hit = [_hits(fault, method, path, span) for fault, _ in self._left]
            taken = [fault for (fault, _), is_hit in zip(self._left, hit, strict=True) if is_hit]
            used = [
                (fault, None if left is None else left - is_hit)
                for (fault, left), is_hit in zip(self._left, hit, strict=True)
            ]
            self._left = [(fault, left) for fault, left in used if left is None or left > 0]
            return taken


def _hits(fault: Fault, method: str, path: str, span: range) -> bool:
    if not fnmatchcase(method, fault.method) or not fnmatchcase(path, fault.path):
        return False
    if fault.kind in ("cut", "reset", "stall", "slow"):
        return method == "GET" and len(span) > 0
    return fault.kind != "flip" or (method == "GET" and fault.after in span)


def parse_fault(text: str) -> Fault:
    """`KIND key=value…` in a shell's words, as `status path=*.gguf status=429 headers=Retry-After:2`."""
    kind, *pairs = shlex.split(text) or [""]
    values: dict[str, object] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        values[key] = _value(key, value)
    unknown = set(values) - {entry.name for entry in fields(Fault)}
    if unknown or kind not in get_args(Kind):
        raise ValueError(f"not a fault: {text!r}")
    return Fault(kind, **values)  # type: ignore[arg-type]


def _value(key: str, value: str) -> object:
    if key == "headers":
        return dict(entry.split(":", 1) for entry in value.split(","))
    if key == "times" and value == "all":
        return None
    if key in ("seconds", "rate"):
        return float(value)
    return int(value) if key in ("times", "after", "status") else value
