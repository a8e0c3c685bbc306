"""How many prompts of a batch are answered at once, where nobody has said."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from models.errors import DoesNotFit
from runner.service.service import LocalService
from runner.types.machine import Machine
from runner.types.wish import Wish

_COUNTS = (8, 4, 2)


def for_many(service: LocalService, name: str, wish: Wish, on: Machine | None = None) -> Wish:
    """The wish with as many sequences as cost nothing else: no context, no quantization, no layer on a device.

    DoesNotFit where not even one does.
    """
    if wish.sequences is not None:
        return wish
    alone = _what_counts(service, name, wish, on)
    for count in _COUNTS:
        several = replace(wish, sequences=count)
        with suppress(DoesNotFit):
            if _what_counts(service, name, several, on) == alone:
                return several
    return wish


def _what_counts(service: LocalService, name: str, wish: Wish, on: Machine | None) -> tuple[object, ...]:
    plan = service.plan(name, wish, on)
    candidate = plan.candidates[service.chosen(plan)]
    placement = candidate.placement
    assert placement is not None  # it was chosen
    where = (placement.devices, placement.gpu_layers, placement.experts_on_cpu, placement.ffn_on_cpu)
    return (candidate.quant, placement.ctx, placement.kv_type, placement.ubatch, *where)
