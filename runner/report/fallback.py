"""What ran out of memory and what is run instead, in one sentence each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runner.report.placement import where
from runner.report.words import context, gib
from runner.types.fallback import Exhausted, FellBack, Lower, Rung, Shrunk
from runner.types.machine import Machine
from runner.types.plan import Candidate


def fell_back(what: FellBack) -> str:
    """What happened to the memory, and what runs now."""
    when, on = (" while answering", "The answer goes on") if what.answering else ("", "It runs")
    cause = (
        f"as {_taken(what.shrunk)}" if what.shrunk else f"though {_free(what.first, what.machine)} is said to be free"
    )
    now = f"{on} {_how(what.lower)}: {where(what.lower.candidate)}."
    return f"Out of memory{when}, {cause}. {now}{_lent(what.first, what.machine)}"


def began_again(candidate: Candidate, lost: Sequence[str]) -> str:
    """What answers after an engine died."""
    return f"The engine was started again{_without(lost)}: {where(candidate)}."


def left_over(candidate: Candidate, lost: Sequence[str]) -> str:
    """Why nothing answers after an engine died."""
    return f"The engine was started again{_without(lost)}, and {candidate.quant} does not fit what is left."


def _without(lost: Sequence[str]) -> str:
    return f" without {_list(lost)}" if lost else ""


def exhausted(what: Exhausted) -> str:
    """What was needed, and what there is now."""
    least = what.tried[-1]
    count = len(what.tried)
    loads = "One placement" if count == 1 else f"{count} placements"
    needs = _list(f"{gib(row.total)} {_of(row.device)}" for row in least.memory)
    limit = f"; a process may address no more than {gib(what.address_limit)} (ulimit -v)" if what.address_limit else ""
    taken = f" {_taken(what.shrunk)}." if what.shrunk else ""
    return (
        f"{loads} ran out of memory, and nothing smaller is left to try. The last, {least.quant} with {where(least)}, "
        f"needs {needs}. Free now: {_free(least, what.machine)}, of which {gib(what.kept)} is left to other programs"
        f"{limit}.{taken}{_lent(least, what.machine)}"
    )


def _lent(candidate: Candidate, machine: Machine) -> str:
    """` RPC0 is lent by tower (ssh:me@tower).`, of what a candidate uses."""
    used = {row.device for row in candidate.memory}
    lent = [f"{one.id} is lent by {one.lent.called}" for one in machine.devices if one.lent and one.id in used]
    return f" {_list(lent)}." if lent else ""


def _taken(shrunk: Sequence[Shrunk]) -> str:
    """`CUDA0 has 6.0 GiB free where the plan counted on 79.0 GiB, for vllm (process 77) holds 73.0 GiB there`."""
    return _list(
        f"{_name(one.device)} has {gib(one.now)} free where the plan counted on {gib(one.was)}{_by(one)}"
        for one in shrunk
    )


def _by(one: Shrunk) -> str:
    return f", for {_list(holder.claim for holder in one.holders)} there" if one.holders else ""


def _how(lower: Lower) -> str:
    placement = lower.candidate.placement
    assert placement is not None
    return {
        Rung.COMPANION: "without the companion that was to guess",
        Rung.REPLAN: "as planned anew for what is free",
        Rung.MARGIN: "as planned anew with a larger margin",
        Rung.UBATCH: f"with a ubatch of {placement.ubatch}",
        Rung.KV_TYPE: f"with a KV cache of {placement.kv_type}",
        Rung.HOST: "with more of it on the CPU",
        Rung.CONTEXT: f"with a context of {context(placement.ctx)}",
        Rung.QUANT: f"with {lower.candidate.quant}",
    }[lower.rung]


def _free(candidate: Candidate, machine: Machine) -> str:
    """`6.0 GiB on CUDA0 and 22.0 GiB of RAM`, of what a candidate uses."""
    free = {device.id: device.free for device in machine.devices} | {"CPU": machine.ram_available}
    return _list(f"{gib(free.get(row.device, 0))} {_of(row.device)}" for row in candidate.memory)


def _name(device: str) -> str:
    return "RAM" if device == "CPU" else device


def _of(device: str) -> str:
    return "of RAM" if device == "CPU" else f"on {device}"


def _list(parts: Iterable[str]) -> str:
    """`one`, `one and two`, `one, two and three`."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
