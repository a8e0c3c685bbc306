"""What ran out of memory, what took the memory, and what is run instead. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runner.types.machine import Holder, Machine
from runner.types.plan import Candidate


class Rung(StrEnum):
    """How a placement needs less than the one before; the order is that of the ladder."""

    COMPANION = "companion"
    REPLAN = "re-plan"
    MARGIN = "margin"
    UBATCH = "ubatch"
    KV_TYPE = "kv_type"
    HOST = "host"
    CONTEXT = "context"
    QUANT = "quant"


@dataclass(frozen=True, slots=True)
class Tried:
    """A placement that memory did not suffice for.

    `on_host`: it was the host's memory, for the engine's process was killed.
    """

    candidate: Candidate
    on_host: bool


@dataclass(frozen=True, slots=True)
class Lower:
    """What to run instead, and why it needs less; `index` is the candidate's in the plan."""

    rung: Rung
    index: int
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A device (`CPU`: RAM) with less free than the plan counted on, in bytes, and who holds memory there."""

    device: str
    was: int
    now: int
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class FellBack:
    """A load, or an answer that was under way (`answering`), went on with less; `machine` is as it was found then."""

    first: Candidate
    lower: Lower
    machine: Machine
    shrunk: tuple[Shrunk, ...]
    answering: bool


@dataclass(frozen=True, slots=True)
class Exhausted:
    """Nothing smaller is left to try; `tried`, in order, are the placements that ran out of memory.

    `kept`: bytes of what `machine` has free that are left to everybody else. `address_limit`: bytes that a process may
    address in all (RLIMIT_AS), None without a limit.
    """

    tried: tuple[Candidate, ...]
    machine: Machine
    shrunk: tuple[Shrunk, ...]
    kept: int
    address_limit: int | None
