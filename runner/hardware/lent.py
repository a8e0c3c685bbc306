"""Devices that other machines lend, with what those say of them. Pure but for its room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from models.visible import one_line
from runner.types.lending import LONGEST_NAME, Lender
from runner.types.machine import Device, Kind, Lent, Machine

_LONGEST = 300  # characters of a sentence with words of another machine in it


def with_lenders(machine: Machine, lenders: Sequence[Lender], localrun: str, llama_cpp: str) -> Machine:
    """`machine`, whose lent devices are named after the `host:port` that leads to them, as llama.cpp names them.

    `localrun` and `llama_cpp` are this computer's own versions; a note says of each lender that has others.
    """
    by_address = {lender.at: lender for lender in lenders}
    seen: dict[str, int] = {}
    devices = tuple(_device(device, by_address, seen) for device in machine.devices)
    return replace(machine, devices=devices, notes=(*machine.notes, *_notes(lenders, localrun, llama_cpp)))


def _device(device: Device, by_address: Mapping[str, Lender], seen: dict[str, int]) -> Device:
    lender = by_address.get(device.name) if device.kind is Kind.RPC else None
    if lender is None:
        return device
    number = seen[lender.at] = seen.get(lender.at, -1) + 1
    offer = lender.offer
    if offer is None or number >= len(offer.devices):
        return replace(device, name=lender.endpoint, lent=Lent(lender.endpoint, "", road=lender.road))
    there = offer.devices[number]
    lent = Lent(
        lender.endpoint,
        there.id,
        host=one_line(offer.host, LONGEST_NAME),
        cores=offer.cores if there.kind is Kind.CPU else None,
        road=lender.road,
        keeps_weights=offer.keeps_weights,
    )
    return replace(
        device,
        name=one_line(there.name, LONGEST_NAME),
        bandwidth=there.bandwidth,
        overhead=there.overhead,
        memory_type=there.memory_type,
        flops=there.flops,
        cycles=there.cycles,
        lent=lent,
    )


def _notes(lenders: Sequence[Lender], localrun: str, llama_cpp: str) -> Iterator[str]:
    """A llama.cpp of another version may know other operations, though it speaks the same RPC."""
    here = f"localrun {localrun} with llama.cpp {llama_cpp}"
    for lender in lenders:
        offer = lender.offer
        there = f"localrun {offer.localrun} with llama.cpp {offer.llama_cpp}" if offer else here
        if there != here:
            words = one_line(f"{lender.called} has {there}, this computer {here}", _LONGEST)
            yield f"{words}: the same on both is safer."
