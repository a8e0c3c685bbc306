"""Placements of well-known models: every kind, context, KV type and ubatch, and a sample of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from runner.cost.blocks import Blocks, blocks_of
from runner.cost.layout import HOST, Layout, contiguous, overrides_of
from runner.types.machine import Device, Kind, Machine
from runner.types.placement import Placement
from scripts.synthetic.headers import shape

CONTEXTS = (2048, 8192, 32768, 131072)
KV_TYPES = ("f16", "q8_0", "q4_0")
UBATCHES = (256, 512, 2048)
DEVICES = tuple(Device(f"GPU{index}", Kind.GPU, "stand-in", 0, 0) for index in range(3))
MACHINE = Machine("named", DEVICES, 0, 0, None, 1)
_RECORDED_PER_KIND = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One placement of one model; `kind` is what the table calls it."""

    model: str
    quant: str
    kind: str
    placement: Placement


def layouts(blocks: Blocks) -> Iterator[tuple[str, Layout]]:
    """One layout of each kind; `parts` are FFN tensors, in a mixture of experts the routed ones."""
    total = len(blocks.layers)
    half, third = total // 2, total // 3

    def on(*counts: int) -> Layout:
        return contiguous(DEVICES[: len(counts)], counts, total)

    def without(plain: Layout, layers: Iterable[int], target: int = HOST) -> Layout:
        moved = {(layer, stem): target for layer in layers for stem in blocks.layers[layer].movable}
        return replace(plain, moved={**plain.moved, **moved})

    yield "host", on()
    yield "whole", on(total)
    yield "whole, two devices", on(half, total - half)
    yield "whole, three devices", on(third, half, total - half - third)
    yield "whole, in turn", replace(on(half, total - half), sequential=True)
    yield "partial", on(half)
    yield "partial, two devices", on(third, third)
    yield "parts on host", without(on(total), range(total // 4, half))
    yield "all parts on host", without(on(total), range(total))
    yield "partial, parts on host", without(on(total - third), range(third, half))
    yield "parts on host, two devices", without(on(half, total - half), range(third))
    yield "parts on the other device", without(on(half, total - half), range(third // 2, third), 1)


def cases(models: Iterable[str], quants: Iterable[str], contexts: Iterable[int] = CONTEXTS) -> Iterator[Case]:
    """The sweep, neighbours alike: one load serves all contexts of a placement."""
    for model, quant in product(models, quants):
        for kind, layout in layouts(blocks_of(shape(model, quant))):
            for ctx, kv_type, ubatch in product(contexts, KV_TYPES, UBATCHES):
                yield Case(model, quant, kind, _placement(layout, ctx, kv_type, ubatch))
            if kind == "whole":
                for ubatch in UBATCHES:
                    several = _placement(layout, 8192, "f16", ubatch)
                    yield Case(model, quant, "whole, all outputs", replace(several, outputs=ubatch))
                    yield Case(model, quant, "whole, four sequences", replace(several, outputs=4, sequences=4))


def _placement(layout: Layout, ctx: int, kv_type: str, ubatch: int) -> Placement:
    return Placement(
        devices=tuple(device.id for device in layout.devices),
        gpu_layers=layout.gpu_layers,
        layers_total=len(layout.layers),
        tensor_split=layout.counts,
        ctx=ctx,
        kv_type=kv_type,
        overrides=overrides_of(layout),
        ubatch=ubatch,
        load_mode="none",
    )


def sample(cases: Sequence[Case]) -> list[Case]:
    """A few of every kind of placement, so that every context, KV type and ubatch comes up with most others."""
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        kinds[case.kind].append(case)
    return [
        members[(7 * number + step * len(members) // _RECORDED_PER_KIND) % len(members)]
        for number, members in enumerate(kinds.values())
        for step in range(_RECORDED_PER_KIND)
    ]
