"""How weights on the host reach a GPU that computes long batches with them. Pure.

Pinned memory is copied at the bus's full rate, but takes seconds to get; pages mapped from the file are there at once
and are copied several times slower. And a batch can be so short, or a bus so slow, that the host computes it faster
than its weights are copied: from which length on they are is `GGML_OP_OFFLOAD_MIN_BATCH`.
"""

from dataclasses import replace

from runner.cost.compute_buffers import helper_of
from runner.cost.forecast import Forecast
from runner.cost.work import Offload
from runner.planning.mix import wait_for
from runner.types.exchange import Exchange
from runner.types.placement import USUAL_OFFLOAD_BATCH

# Bytes of a load that pinned memory delays by a second: 24B and 30B on the host of an H100 (docs/measurements.md).
_PINNING = 1.6e9
_REQUESTS_A_LOAD = 8  # that share the time of one load
_SURE = 1.5  # times faster the host has to be before batches are left to it: its arithmetic is guessed


def with_offload(speeds: Forecast, mix: tuple[Exchange, ...], on_host: int) -> Forecast:
    """The speeds with the way that takes the least time for the mix; `on_host`: bytes of weights there."""
    if helper_of(speeds.layout) is None:
        return speeds
    later = on_host / _PINNING / _REQUESTS_A_LOAD
    mapped = replace(speeds, offload=Offload(pinned=False))
    pays = wait_for(mix, speeds).seconds + later <= wait_for(mix, mapped).seconds
    fastest = speeds if pays else mapped
    return replace(fastest, offload=replace(fastest.offload, offload_batch=_offload_batch(fastest)))


def _offload_batch(speeds: Forecast) -> int:
    """The least power of two from which on copying beats computing on the host, no more than an ubatch."""
    batch = USUAL_OFFLOAD_BATCH
    while batch < speeds.settings.ubatch and _is_faster_on_host(speeds, batch):
        batch *= 2
    return batch


def _is_faster_on_host(speeds: Forecast, batch: int) -> bool:
    there = replace(speeds, offload=replace(speeds.offload, offload_batch=batch + 1))
    return there.prefill_tps(batch) > _SURE * speeds.prefill_tps(batch)
