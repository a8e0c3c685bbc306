"""A proposal in llama.cpp's own terms: what it is told when it loads. Pure."""

from runner.cost.blocks import Blocks
from runner.cost.checkpoints import checkpoint_bytes
from runner.cost.layout import Layout, overrides_of
from runner.cost.work import Offload
from runner.planning.problem import Problem
from runner.planning.search import Proposal
from runner.types.drafts import DraftKind
from runner.types.machine import Kind
from runner.types.placement import Companion, Placement
from runner.types.wish import Wish

# What some processor may store a second time in another order while it is mapped: the types of ggml-cpu/repack.cpp
# (ggml_repack_get_optimal_repack_type), for every instruction set together.
_REPACKED = {"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "Q2_K", "IQ4_NL", "MXFP4"}


def placement_of(problem: Problem, proposal: Proposal, wish: Wish) -> Placement:
    """Where everything goes, and how it is loaded and run."""
    layout, settings = proposal.layout, proposal.settings
    touched = len(layout.touched)
    is_moe = problem.blocks.shape.experts > 0
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
        threads=wish.threads or _threads(layout, problem.machine.cores),
        load_mode=_load_mode(problem.blocks, layout, proposal.speeds.offload),
        offload_batch=proposal.speeds.offload.offload_batch,
        split_mode=layout.split_mode,
        pooling=wish.pooling,
        checkpoints=checkpoint_bytes(problem.blocks.caches, settings, problem.machine.ram_total),
        numa=None if layout.is_whole else problem.machine.numa,
        drafts=settings.drafts,
        rollback=settings.rollback,
        companion=Companion(DraftKind.MTP) if settings.heads else None,
    )


def _threads(layout: Layout, cores: int) -> int:
    """Physical cores less one for everybody else, for waiting threads spin; two do where the CPU only feeds GPUs."""
    if layout.is_whole:
        return min(2, cores)
    return cores - 1 if cores > 2 else max(1, cores)


def _load_mode(blocks: Blocks, layout: Layout, offload: Offload) -> str:
    """Mapped, unless that would keep two copies of a weight or pages that a GPU should fetch quickly.

    On the CPU alone some types are stored again in another order; integrated GPUs take copies.
    """
    if layout.is_whole:
        return "none" if any(device.kind is Kind.IGPU for device in layout.devices) else "mmap"
    if layout.devices:
        return "none" if offload.pinned else "mmap"
    repacked = any(tensor.type in _REPACKED for tensor in blocks.shape.tensors)
    return "none" if repacked else "mmap"
