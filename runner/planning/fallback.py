"""What to load when memory ran out: the rungs of a ladder that leads down. Pure but for the planning it is handed.

A failed load says that the memory is not what it was when the plan was made, or not what it claims to be. So first the
plan is made anew, for what is free by then; then with a larger margin. Where neither needs less, the memory is there by
all that anybody says: a limit on the process, or a device that claims more than it has. From there on settings are
lowered one after the other, on top of each other, until so much less is needed that a load is worth trying.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from runner.cost.kv import padded
from runner.cost.ledger import reserve
from runner.planning.settings import LOWER_KV_TYPE
from runner.types.drafts import DraftKind
from runner.types.fallback import Lower, Rung, Tried
from runner.types.machine import Device, Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, Verdict
from runner.types.wish import Wish

MOST_LOADS = 4  # of one model in all, the first included

_LEAST_UBATCH, _LEAST_CONTEXT = 64, 512
# By the number of placements that failed:
_WITHHELD = (0.1, 0.25, 0.5)  # of all memory that is said to be free
_LEFT = ((0.5,), (0.25,), (0.0, 0.25))  # to devices, of what the last placement held on them
_SHORTER = (2, 4, 8)  # how often the last context is halved
_ENOUGH = (0.9, 0.7, 0.4)  # of what the last placement needed: no more than that is worth a load
_AT_ONCE = (Rung.COMPANION, Rung.REPLAN)
_BY_THE_PROBE = ((*_AT_ONCE, Rung.MARGIN), _AT_ONCE, _AT_ONCE)  # taken whatever they save


@dataclass(frozen=True, slots=True)
class Question:
    """What to plan: the candidate with this index in the plan, on a machine, by a wish."""

    index: int
    machine: Machine
    wish: Wish


Replan = Callable[[Question], Candidate]


def next_lower(
    tried: Sequence[Tried], asked: Question, smaller: int | None, replan: Replan, least_ctx: int = 0
) -> Lower | None:
    """What to load after all that was `tried`, in that order; None if nothing needs less.

    `asked` is the question that the plan answered, on the machine as it is by now. `smaller` is the index of the next
    quantization that is here, None where it may not be taken. No context below `least_ctx` is proposed.
    """
    needed = _need(tried[-1].candidate, _scarce(tried[-1], asked.machine))
    by_the_probe, enough = _BY_THE_PROBE[len(tried) - 1], _ENOUGH[len(tried) - 1] * needed
    found: list[tuple[int, Lower]] = []
    for rung, question in _rungs(tried, asked, smaller, max(least_ctx, _LEAST_CONTEXT)):
        lower = Lower(rung, question.index, replan(question))
        need = _need(lower.candidate, _scarce(tried[-1], asked.machine))
        if need >= needed or not _is_new(lower.candidate, tried, least_ctx):
            continue
        if rung in by_the_probe or need <= enough:
            return lower
        found.append((need, lower))
    return min(found, key=lambda one: one[0])[1] if found else None


def _is_new(candidate: Candidate, tried: Sequence[Tried], least_ctx: int) -> bool:
    """Whether it runs with such a context, by all that is known, and was not tried."""
    if candidate.verdict is Verdict.NO or candidate.placement is None or candidate.placement.ctx < least_ctx:
        return False
    return all(
        (one.candidate.files, one.candidate.placement) != (candidate.files, candidate.placement) for one in tried
    )


def _need(candidate: Candidate, scarce: frozenset[str]) -> int:
    return sum(row.total for row in candidate.memory if row.device in scarce)


def _scarce(failed: Tried, machine: Machine) -> frozenset[str]:
    """Where memory ran out, as far as one can tell: the rows of the ledger that have to become less.

    What no longer fits there; else, where nothing says so, the devices, unless it was the host's memory.
    """
    free = {device.id: device.free for device in machine.devices} | {"CPU": machine.ram_available}
    overdrawn = {row.device for row in failed.candidate.memory if row.total > free.get(row.device, 0)}
    if overdrawn:
        return frozenset(overdrawn)
    used = {row.device for row in failed.candidate.memory}
    own = used & {device.id for device in machine.devices if not device.shares_host_memory}
    return frozenset(own if own and not failed.on_host else used - own)


def _rungs(
    tried: Sequence[Tried], asked: Question, smaller: int | None, least_ctx: int
) -> Iterator[tuple[Rung, Question]]:
    failures, placement = len(tried) - 1, tried[-1].candidate.placement
    assert placement is not None
    if any(one.candidate.companions for one in tried):  # it only makes answers faster: the first to go
        asked = replace(asked, wish=replace(asked.wish, draft=DraftKind.LOOKUP))
        if tried[-1].candidate.companions:
            yield Rung.COMPANION, replace(asked, wish=_as_placed(asked.wish, placement))
    yield Rung.REPLAN, asked
    yield Rung.MARGIN, replace(asked, machine=_withheld(asked.machine, _WITHHELD[failures]))
    lower = replace(asked, wish=_as_placed(asked.wish, placement))
    for rung, wish in _lower_settings(asked.wish, placement):
        lower = replace(asked, wish=wish)
        yield rung, lower
    relieved = [replace(lower, machine=machine) for machine in _relieved(tried[-1], asked, _LEFT[failures])]
    yield from ((Rung.HOST, question) for question in relieved)
    ways = [*relieved, lower]  # the last where the host cannot hold more either
    ctx = padded(max(least_ctx, placement.ctx // _SHORTER[failures]))
    if asked.wish.ctx is None and ctx < placement.ctx:
        ways = [replace(question, wish=replace(question.wish, ctx=ctx)) for question in ways]
        yield from ((Rung.CONTEXT, question) for question in ways)
    if smaller is not None:
        yield from ((Rung.QUANT, replace(question, index=smaller)) for question in ways)


def _as_placed(wish: Wish, placement: Placement) -> Wish:
    """The wish for what was placed: a new plan then only places it anew."""
    return replace(wish, ctx=placement.ctx, kv_type=placement.kv_type, ubatch=placement.ubatch)


def _lower_settings(wish: Wish, placement: Placement) -> Iterator[tuple[Rung, Wish]]:
    """Each on top of the one before; what was wished stays."""
    lower = _as_placed(wish, placement)
    if wish.ubatch is None and placement.ubatch > _LEAST_UBATCH:
        lower = replace(lower, ubatch=max(_LEAST_UBATCH, placement.ubatch // 4))
        yield Rung.UBATCH, lower
    if wish.kv_type is None and placement.kv_type != LOWER_KV_TYPE:
        yield Rung.KV_TYPE, replace(lower, kv_type=LOWER_KV_TYPE)


def _withheld(machine: Machine, share: float) -> Machine:
    devices = tuple(replace(device, free=int(device.free * (1 - share))) for device in machine.devices)
    return replace(machine, devices=devices, ram_available=int(machine.ram_available * (1 - share)))


def _relieved(failed: Tried, asked: Question, shares: Sequence[float]) -> Iterator[Machine]:
    """The machine as if its devices had room for no more than a share of what the placement held on them.

    None where it is the host that lacks memory, or where layers are on the devices by command.
    """
    scarce = _scarce(failed, asked.machine)
    if "CPU" in scarce or asked.wish.gpu_layers is not None:
        return
    held = {row.device: row.total - row.overhead for row in failed.candidate.memory if row.device in scarce}
    for share in shares:
        room = {name: int(share * size) for name, size in held.items()}
        yield replace(
            asked.machine, devices=tuple(_with_room(device, room, asked.wish) for device in asked.machine.devices)
        )


def _with_room(device: Device, room: Mapping[str, int], wish: Wish) -> Device:
    if device.id not in room:
        return device
    return replace(device, free=min(device.free, reserve(device, wish.margin) + room[device.id]))
