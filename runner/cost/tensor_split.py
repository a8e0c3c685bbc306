"""What each device holds and does where every layer is split over all of them (llama.cpp's `-sm tensor`). Pure.

Slices are even. llama.cpp cuts attention at KV heads and the FFN at 128 values and rotates from layer to layer who gets
the rounding (llama-model.cpp: llama_meta_device_get_split_state), so that over all layers the devices differ by less
than one layer; norms, routers, shared experts and a tied output matrix are on each device as a whole.
"""

from dataclasses import replace

from models.headers.architectures import CACHES_COPIED
from runner.cost.blocks import Blocks, Part
from runner.cost.kv import ContextSettings
from runner.cost.work import Work
from runner.types.machine import Device

_REDUCTIONS_PER_LAYER = 2  # after attention or its like, and after the FFN


def weights_on_each(blocks: Blocks, devices: int) -> int:
    """Bytes of weights on each of so many devices."""
    divided = sum(block.bytes for block in blocks.layers) - blocks.copied.bytes
    return -(-divided // devices) + blocks.copied.bytes + blocks.shared


def caches_on_each(blocks: Blocks, settings: ContextSettings, devices: int) -> int:
    """Bytes of KV caches and states on each of so many devices."""
    return int(sum(blocks.caches.held(settings)) * _cache_share(blocks, devices))


def work_on_each(blocks: Blocks, whole: Work, devices: tuple[Device, ...]) -> tuple[Work, ...]:
    """What each of the devices does of what one would do that had the whole model."""
    caches = _cache_share(blocks, len(devices))
    return sliced(replace(whole, reduced=blocks.shape.embedding), devices, blocks.copied, caches)


def sliced(whole: Work, devices: tuple[Device, ...], copied: Part, caches: float) -> tuple[Work, ...]:
    """Even slices of `whole` beside what is `copied` to each device; `caches`: the share of all caches on each."""
    share = 1 / len(devices)

    def of(total: float, part: float) -> float:
        return part + share * (total - part)

    alike = replace(
        whole,
        weight_bytes=of(whole.weight_bytes, copied.read),
        weights=of(whole.weights, copied.weights),
        stored_bytes=of(whole.stored_bytes, copied.bytes),
        floats=of(whole.floats, copied.floats),
        unpack=None if whole.unpack is None else of(whole.unpack, copied.unpack),
        slow=of(whole.slow, copied.slow),
        kv_bytes=caches * whole.kv_bytes,
        attention=share * whole.attention,
        routed=share * whole.routed,
        routed_bytes=share * whole.routed_bytes,
        reductions=_REDUCTIONS_PER_LAYER * whole.layers,
    )
    return tuple(replace(alike, device=device) for device in devices)


def _cache_share(blocks: Blocks, devices: int) -> float:
    return 1.0 if blocks.shape.arch in CACHES_COPIED else 1 / devices
