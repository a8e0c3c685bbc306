"""From a model, a machine and a wish to a placement with its reasons. Pure but for the rehearsal it is handed.

The idea: for context settings in the order of preference (`_ladder`), take the fastest layout that fits
(`runner.planning.search`). Then llama.cpp rehearses it; where its numbers differ from ours, they are charged to the
next round, until a placement stands. Forced layers (`--gpu-layers`) are kept even where they do not fit: then the
verdict is no.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from models.headers.shape import ModelShape
from runner.cost.blocks import Blocks, blocks_of
from runner.cost.kv import ContextSettings, padded
from runner.cost.layout import Layout, overrides_of
from runner.cost.ledger import Rehearsed, measured, shortages
from runner.planning import reasons
from runner.planning.restrictions import limited, shares_of
from runner.planning.search import Proposal, Search
from runner.types.machine import Kind, Machine
from runner.types.plan import MemoryRow, Placement, Predicted, Source, Verdict, Wish
from runner.types.reasons import Reason
from runner.types.units import MIB

Rehearse = Callable[[Placement], Rehearsed | None]

MOST_REHEARSALS = 8
_SPILLED_CONTEXT = 8192
_LEAST_CONTEXT = 4096  # llama.cpp's own fit also gives up layers rather than go below it
_LAST_CONTEXTS = (4096, 2048)
_UBATCHES = (512, 256, 128, 64)
_KV_TYPES = ("f16", "q8_0")
_WASTE = 128 * MIB
# What some processor may store a second time in another order while it is mapped (ggml-cpu's repack).
_REPACKED = {"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q2_K", "IQ4_NL", "MXFP4"}


@dataclass(frozen=True, slots=True)
class Placed:
    """The best way to run one set of weights, in the words of a Candidate (runner.types.plan).

    `short_of_all`: bytes that all memory together lacks; `short_of_gpu`: bytes that the devices lack to hold it all.
    Neither is below 0.
    """

    verdict: Verdict
    placement: Placement | None
    memory: tuple[MemoryRow, ...]
    predicted: Predicted | None
    confirmed_by: Source
    reasons: tuple[Reason, ...] = ()
    short_of_all: int = 0
    short_of_gpu: int = 0


def place(shape: ModelShape, machine: Machine, wish: Wish, rehearse: Rehearse | None = None) -> Placed:
    """The best placement of `shape` on `machine`. Raises UsageError for a wish that makes no sense here.

    `rehearse` answers None where nobody can tell; at most MOST_REHEARSALS are asked for.
    """
    search = Search(blocks_of(shape), limited(machine, wish), wish.margin, shares_of(wish))
    first = _propose(search, wish)
    if first is None:
        return _hopeless(search, wish)
    standing = _rehearsed(search, wish, first, rehearse) if rehearse else _Standing(first, Source.FORMULA)
    return _placed(search, wish, standing)


# ---- which settings, in which order


def _propose(search: Search, wish: Wish) -> Proposal | None:
    if wish.gpu_layers is not None:
        return _forced(search, wish, wish.gpu_layers)
    found = (search.best(settings) for settings in _ladder(search, wish))
    return next((proposal for proposal in found if proposal is not None), None)


def _ladder(search: Search, wish: Wish) -> Iterator[ContextSettings]:
    """Settings to try, best first: what was wished or fits the GPUs, then less ubatch, less KV, less context."""
    base = _base(wish)
    trained = search.blocks.shape.context_trained
    if wish.ctx is None:
        whole = search.largest_whole(base)
        if whole >= min(trained // 256 * 256, _LEAST_CONTEXT):
            yield replace(base, ctx=whole)
    contexts = [wish.ctx] if wish.ctx else _contexts_to_spill(trained)
    kv_types = [wish.kv_type] if wish.kv_type else _KV_TYPES
    ubatches = [wish.ubatch] if wish.ubatch else _UBATCHES
    for ctx, kv_type, ubatch in product(contexts, kv_types, ubatches):
        yield replace(base, ctx=padded(ctx), kv_type=kv_type, ubatch=ubatch)


def _base(wish: Wish) -> ContextSettings:
    return ContextSettings(
        ctx=wish.ctx or 0,
        kv_type=wish.kv_type or _KV_TYPES[0],
        ubatch=wish.ubatch or _UBATCHES[0],
        sequences=wish.sequences,
        outputs=max(wish.outputs, wish.sequences),
    )


def _contexts_to_spill(trained: int) -> list[int]:
    first = min(trained, _SPILLED_CONTEXT)
    return [first, *(ctx for ctx in _LAST_CONTEXTS if ctx < first)]


# ---- layers by command


def _forced(search: Search, wish: Wish, gpu_layers: int) -> Proposal:
    """Exactly `gpu_layers` whole layers on the devices (a negative number: all of them, as in llama.cpp)."""
    total = len(search.blocks.layers)
    count = total if gpu_layers < 0 or gpu_layers > total else gpu_layers
    settings = _base(wish)
    if not settings.ctx:
        whole = search.largest_whole(settings) if count == total else 0
        trained = search.blocks.shape.context_trained
        settings = replace(settings, ctx=whole or min(trained, _SPILLED_CONTEXT))
    return search.with_layers(replace(settings, ctx=padded(settings.ctx)), count)


# ---- what llama.cpp says


@dataclass(frozen=True, slots=True)
class _Standing:
    """A proposal and who vouches for it; `refusal` is llama.cpp's, if it does not take it."""

    proposal: Proposal
    source: Source
    refusal: str | None = None

    @property
    def fits(self) -> bool:
        """Whether it runs."""
        return not self.proposal.missing and self.refusal is None

    @property
    def rank(self) -> tuple[bool, bool, int, float]:
        """Better is larger: fits, everything on devices, context, decode speed."""
        proposal = self.proposal
        return self.fits, proposal.layout.is_whole, proposal.settings.ctx, proposal.predicted.decode_tps


def _rehearsed(search: Search, wish: Wish, first: Proposal, rehearse: Rehearse) -> _Standing:
    """Rehearse proposals until one fits without waste, charging what llama.cpp needs beyond our ledger to the next."""
    proposal: Proposal | None = first
    seen: dict[Placement, _Standing] = {}
    for _ in range(MOST_REHEARSALS):
        if proposal is None:
            break
        placement = _placement(search, proposal, wish)
        said = None if placement in seen else rehearse(placement)
        if said is None:
            break
        standing = _confirmed(search, proposal, said)
        seen[placement] = standing
        extra = {
            real.device: real.total - ours.total
            for real, ours in zip(standing.proposal.memory, proposal.memory, strict=True)
        }
        if standing.fits and min(extra.values()) > -_WASTE:
            break
        search = replace(search, extra={**search.extra, **extra})
        proposal = _propose(search, wish)
    return max(seen.values(), key=lambda standing: standing.rank, default=_Standing(first, Source.FORMULA))


def _confirmed(search: Search, proposal: Proposal, said: Rehearsed) -> _Standing:
    memory = measured(proposal.memory, said, proposal.layout, search.blocks)
    missing = shortages(memory, proposal.layout, search.machine, search.margin)
    return _Standing(replace(proposal, memory=memory, missing=missing), said.source, said.refusal)


# ---- the result


def _hopeless(search: Search, wish: Wish) -> Placed:
    """No placement fits: say by how much, for the settings that one would like to have."""
    trained = search.blocks.shape.context_trained
    settings = replace(_base(wish), ctx=padded(wish.ctx or min(trained, _SPILLED_CONTEXT)))
    why = reasons.nothing_fits(search, settings)
    found: tuple[Reason, ...] = (why, *reasons.notes(search))
    return Placed(Verdict.NO, None, (), None, Source.FORMULA, found, short_of_all=max(0, why.short))


def _placed(search: Search, wish: Wish, standing: _Standing) -> Placed:
    proposal = standing.proposal
    return Placed(
        verdict=_verdict(proposal.layout) if standing.fits else Verdict.NO,
        placement=_placement(search, proposal, wish),
        memory=proposal.memory,
        predicted=proposal.predicted,
        confirmed_by=standing.source,
        reasons=reasons.explain(search, wish, proposal, standing.refusal),
        short_of_gpu=_short_of_gpu(search, proposal),
    )


def _short_of_gpu(search: Search, proposal: Proposal) -> int:
    if proposal.layout.is_whole or not search.machine.devices:
        return 0
    return max(0, search.short_of_whole(proposal.settings))


def _verdict(layout: Layout) -> Verdict:
    if not layout.devices:
        return Verdict.CPU
    return Verdict.GPU if layout.is_whole else Verdict.SPLIT


def _placement(search: Search, proposal: Proposal, wish: Wish) -> Placement:
    layout, settings = proposal.layout, proposal.settings
    touched = len(layout.touched)
    is_moe = search.blocks.shape.experts > 0
    return Placement(
        devices=tuple(device.id for device in layout.devices),
        gpu_layers=layout.gpu_layers,
        layers_total=len(layout.layers),
        tensor_split=layout.counts,
        ctx=settings.ctx,
        kv_type=settings.kv_type,
        overrides=overrides_of(layout),
        experts_on_cpu=touched if is_moe else 0,
        ffn_on_cpu=0 if is_moe else touched,
        ubatch=settings.ubatch,
        outputs=settings.outputs,
        sequences=settings.sequences,
        threads=wish.threads or _threads(layout, search.machine.cores),
        load_mode=_load_mode(search.blocks, layout),
    )


def _threads(layout: Layout, cores: int) -> int:
    """Physical cores less one for everybody else, for waiting threads spin; two do where the CPU only feeds GPUs."""
    if layout.is_whole:
        return min(2, cores)
    return cores - 1 if cores > 2 else max(1, cores)


def _load_mode(blocks: Blocks, layout: Layout) -> str:
    """Mapped, unless that would keep two copies of a weight or pages that a GPU cannot fetch quickly.

    Weights on the host beside GPUs belong in pinned memory; on the CPU alone some types are stored again in
    another order; integrated GPUs take copies.
    """
    if layout.is_whole:
        return "none" if any(device.kind is Kind.IGPU for device in layout.devices) else "mmap"
    repacked = any(tensor.type in _REPACKED for tensor in blocks.shape.tensors)
    return "none" if layout.devices or repacked else "mmap"
