"""Placements side by side: the planner's, --fit's, and what a person would try by hand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from models.errors import DoesNotFit, UsageError
from models.headers.shape import ModelShape
from runner.cost.blocks import Blocks, blocks_of
from runner.cost.laid_out import ledger
from runner.cost.layout import HOST, Layout, contiguous, overrides_of
from runner.cost.ledger import reserve
from runner.types.machine import Device, Machine
from runner.types.placement import Placement
from runner.types.wish import Wish

_MODES = {"pinned": "none", "mapped": "mmap"}
_PLAIN_UBATCH = 512  # llama.cpp's own default
_HEADS = ("plan", "fit", "layers", "front", "back")


@dataclass(frozen=True, slots=True)
class Variant:
    """`head` says where tensors go; ubatch and load mode are as there unless they are given.

    plan: the planner's choice. fit: that of llama.cpp. layers: as many whole layers on the device as fit. front, back:
    all layers there, but the FFN or experts of the first or last ones on the host, as few as possible.
    """

    head: str
    ubatch: int | None = None
    mode: str | None = None

    def __str__(self) -> str:
        mode = next((name for name, mode in _MODES.items() if mode == self.mode), None)
        ubatch = f"ubatch={self.ubatch}" if self.ubatch else None
        return ",".join(filter(None, (self.head, ubatch, mode)))

    def of(self, placement: Placement) -> Placement:
        """A placement with this ubatch and load mode."""
        return replace(
            placement,
            ubatch=self.ubatch or placement.ubatch,
            load_mode=self.mode or placement.load_mode,
        )


def parse_variant(text: str) -> Variant:
    """`HEAD[,ubatch=N][,pinned|,mapped]`; UsageError for anything else."""
    head, *words = text.split(",")
    variant = Variant(head)
    for word in words:
        name, _, value = word.partition("=")
        if word in _MODES:
            variant = replace(variant, mode=_MODES[word])
        elif name == "ubatch" and value.isdigit() and int(value):
            variant = replace(variant, ubatch=int(value))
        else:
            raise UsageError(f"{word!r} is no part of a placement; there are ubatch=N, {', '.join(_MODES)}.")
    if head not in _HEADS:
        raise UsageError(f"{head!r} is no placement; there are {', '.join(_HEADS)}.")
    return variant


@dataclass(frozen=True, slots=True)
class Subject:
    """A model that was planned: the machine without limits, what was wished, and the planner's placement."""

    shape: ModelShape
    machine: Machine
    wish: Wish
    ours: Placement

    @property
    def device(self) -> Device:
        """The one that is filled by hand."""
        name = next(iter(self.ours.devices or self.wish.devices or ()), None)
        return next(device for device in self.machine.devices if name in (None, device.id))

    def has_room(self, placement: Placement) -> bool:
        """Whether the device holds its part under the wish's limit, by our ledger."""
        limit, row = self.wish.vram_limit, ledger(self.shape, self.machine, placement)[0]
        free = self.device.free if limit is None else min(self.device.free, limit)
        return row.device == "CPU" or row.held + reserve(self.device, self.wish.margin) <= free


def placement_of(variant: Variant, subject: Subject, fitted: Callable[[Placement], Placement]) -> Placement:
    """What the variant is for this model; `fitted` asks --fit at a placement's context and ubatch.

    Only one device is filled by hand. DoesNotFit where nothing of the kind does.
    """
    if variant.head == "plan":
        return variant.of(subject.ours)
    plain = replace(subject.ours, ubatch=variant.ubatch or _PLAIN_UBATCH)
    if variant.head == "fit":
        return variant.of(fitted(plain))
    for layout in _layouts(variant.head, blocks_of(subject.shape), subject.device):
        placement = variant.of(_placed(plain, layout, subject))
        if subject.has_room(placement):
            return placement
    raise DoesNotFit(f"No {variant} placement fits.")


def _layouts(head: str, blocks: Blocks, device: Device) -> Iterator[Layout]:
    """From all on the device to as little as the head allows."""
    total = len(blocks.layers)
    if head == "layers":
        yield from (contiguous((device,), (count,), total) for count in range(total, -1, -1))
        return
    whole = contiguous((device,), (total,), total)
    parts = [[(layer, stem) for stem in block.movable] for layer, block in enumerate(blocks.layers) if block.movable]
    for count in range(len(parts) + 1):
        taken = parts[:count] if head == "front" else parts[len(parts) - count :]
        yield replace(whole, moved=dict.fromkeys(chain.from_iterable(taken), HOST))


def _placed(plain: Placement, layout: Layout, subject: Subject) -> Placement:
    """With the cores that a host at work needs, which a placement without one does not ask for."""
    touched = len(layout.touched)
    return replace(
        plain,
        devices=tuple(device.id for device in layout.devices),
        gpu_layers=layout.gpu_layers,
        tensor_split=layout.counts,
        overrides=overrides_of(layout),
        experts_on_cpu=touched if subject.shape.experts else 0,
        ffn_on_cpu=0 if subject.shape.experts else touched,
        threads=subject.wish.threads or max(1, subject.machine.cores - 1),
    )
