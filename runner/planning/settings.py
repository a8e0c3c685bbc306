"""Which context settings are tried, and in which order. Pure.

Most of all one wants everything on the devices, with the largest context that leaves it there. Where that would be
too small a context, something has to leave the devices, and a context of a fixed size is what has to be met: first
with a smaller ubatch, then with a smaller KV cache, at last with less context. What was wished is never changed.

A model that makes vectors gets a context of a fixed size, too. Where a token sees those behind it, or all are averaged,
a text has to be computed at once: its ubatch is the context. Every token is an output (llama-context.cpp: decode).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from models.headers.pooling import Pooling
from runner.cost.checkpoints import CHECKPOINTS
from runner.cost.drafts import with_companion, with_lookup
from runner.cost.kv import ContextSettings, padded
from runner.planning.problem import Problem
from runner.planning.search import largest_whole
from runner.types.drafts import DraftKind
from runner.types.wish import Wish

USUAL_KV_TYPE = "f16"
USUAL_UBATCH = 512
LOWER_KV_TYPE = "q8_0"
_KV_TYPES = (USUAL_KV_TYPE, LOWER_KV_TYPE)
_UBATCHES = (USUAL_UBATCH, 256, 128, 64)
_LEAST_WHOLE = 4096  # llama.cpp's own fit also gives up layers rather than go below it
_SPILLED_CONTEXT = 8192  # where not everything is on devices
_LAST_CONTEXTS = (4096, 2048)
_LAST_TEXTS = (4096, 2048, 1024, 512)
TEXTS_AT_ONCE = 64  # of a few words each they are a usual ubatch


def settings_in_order(problem: Problem, wish: Wish) -> Iterator[ContextSettings]:
    """All settings that may be tried, best first."""
    usual = _usual(problem, wish)
    if wish.pooling is not None:
        yield from _for_vectors(problem, wish)
        return
    if wish.ctx is None:
        ctx = largest_whole(problem, usual)
        if ctx and ctx >= min(problem.trained // 256 * 256, _LEAST_WHOLE):
            yield replace(usual, ctx=ctx)
    contexts = [wish.ctx] if wish.ctx else _contexts_to_spill(problem.trained)
    kv_types = [wish.kv_type] if wish.kv_type else _KV_TYPES
    ubatches = [wish.ubatch] if wish.ubatch else _UBATCHES
    for ctx, kv_type, ubatch in product(contexts, kv_types, ubatches):
        yield replace(usual, ctx=padded(ctx), kv_type=kv_type, ubatch=ubatch)


def _for_vectors(problem: Problem, wish: Wish) -> Iterator[ContextSettings]:
    contexts = [wish.ctx] if wish.ctx else _contexts_to_spill(problem.trained, _LAST_TEXTS)
    kv_types = [wish.kv_type] if wish.kv_type else _KV_TYPES
    found = (
        replace(_usual(problem, wish), ctx=padded(ctx), kv_type=kv_type) for ctx, kv_type in product(contexts, kv_types)
    )
    yield from (_pooled(problem, wish, settings) for settings in found)


def _pooled(problem: Problem, wish: Wish, settings: ContextSettings) -> ContextSettings:
    """The same for a model that makes vectors; for any other, unchanged."""
    if wish.pooling is None:
        return settings
    in_parts = problem.blocks.shape.is_causal and wish.pooling in (Pooling.LAST, Pooling.RANK)
    ubatch = min(settings.ubatch, settings.ctx) if in_parts else settings.ctx
    return replace(settings, ubatch=ubatch, outputs=ubatch, sequences=TEXTS_AT_ONCE, checkpoints=0)


def settings_for_layers(problem: Problem, wish: Wish, count: int) -> ContextSettings:
    """What `count` layers on devices by command are run with: the largest context that fits if these are all."""
    if wish.ctx is None and wish.pooling is None and count == problem.layers_total:
        usual = _usual(problem, wish)
        ctx = largest_whole(problem, usual)
        if ctx:
            return replace(usual, ctx=ctx)
    return settings_to_hope_for(problem, wish)


def settings_to_hope_for(problem: Problem, wish: Wish) -> ContextSettings:
    """What one would like to have where not everything is on the devices."""
    hoped = replace(_usual(problem, wish), ctx=padded(wish.ctx or min(problem.trained, _SPILLED_CONTEXT)))
    return _pooled(problem, wish, hoped)


def _usual(problem: Problem, wish: Wish) -> ContextSettings:
    """What was wished, and the usual for the rest; the context is 0 where none was wished."""
    plain = ContextSettings(
        ctx=wish.ctx or 0,
        kv_type=wish.kv_type or USUAL_KV_TYPE,
        ubatch=wish.ubatch or USUAL_UBATCH,
        sequences=wish.sequences or 1,
        outputs=max(wish.outputs, wish.sequences or 1),
        checkpoints=CHECKPOINTS,
    )
    shape = problem.blocks.shape
    if wish.pooling is not None or wish.draft == DraftKind.OFF:
        return plain
    if wish.draft in (None, DraftKind.LOOKUP):
        return with_lookup(plain, shape, problem.blocks.caches)
    heads = wish.draft == DraftKind.MTP and bool(shape.heads)
    return with_companion(plain, shape, problem.blocks.caches, heads=heads)


def _contexts_to_spill(trained: int, lower: Sequence[int] = _LAST_CONTEXTS) -> list[int]:
    first = min(trained, _SPILLED_CONTEXT)
    return [first, *(ctx for ctx in lower if ctx < first)]
