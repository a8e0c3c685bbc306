"""Compute buffers in bytes, where no rehearsal can tell. Pure.

A buffer is as large as everything that is alive at the widest point of the graph, and what the allocator
(ggml-alloc.c: ggml_dyn_tallocr_alloc takes the best fitting free block) could not fill again. The graph is built by
llama-graph.cpp: build_attn, build_ffn, build_moe_ffn, and is cut by device in ggml-backend.cpp
(ggml_backend_sched_split_graph). What is alive follows from these; what the allocator leaves open was found by
rehearsing the geometries of `scripts/synthetic/geometries.py`, and `scripts/checks/ledger` prints how far the
formulas are off. They hold for flash attention.
"""

from dataclasses import dataclass, replace

from runner.cost.blocks import Blocks, Widths
from runner.cost.kv import ContextSettings, padded
from runner.cost.layout import HOST, Layout

_UNROTATED = ("f32", "f16", "bf16")
_INPUT_COPIES = 4  # of every input, under pipeline parallelism (ggml-backend.cpp: GGML_SCHED_MAX_COPIES)


@dataclass(frozen=True, slots=True)
class Compute:
    """Bytes of compute buffers: one entry per device of the layout, and the host's."""

    devices: tuple[int, ...]
    host: int


def compute_bytes(blocks: Blocks, layout: Layout, settings: ContextSettings) -> Compute:
    """Compute buffers with flash attention; with pipeline parallelism every input exists four times."""
    pipelined = _is_pipelined(layout)
    terms = _terms(blocks, settings, pipelined)
    work = _work(blocks, layout)
    devices = [_on_device(terms, layout, index, work[index], pipelined) for index in range(len(layout.devices))]
    helper = helper_of(layout)
    if helper is not None:
        devices[helper] += blocks.largest
    return Compute(tuple(devices), _on_host(terms, blocks, layout, work[HOST], pipelined))


def helper_of(layout: Layout) -> int | None:
    """The device that computes long batches with the host's weights, if there is one.

    It needs scratch for the largest of them. The scheduler takes the first device that offers it (ggml-backend.cpp:
    ggml_backend_sched_backend_id_from_cur, op_offload).
    """
    if not layout.layers_on_host and not layout.touched:
        return None
    return next((index for index, device in enumerate(layout.devices) if device.has_host_buffer), None)


@dataclass(frozen=True, slots=True)
class _Terms:
    """Bytes of one ubatch in what a layer computes.

    `row` is one value (float32) per token, `stream` the residual stream, `queries` those of all heads, `keys` all
    heads' keys. `gap` is what attention leaves too small or too odd for the allocator to use again. `answers` are what
    all used experts give back before they are summed (build_moe_ffn), and it `reuses` the place of gate and up. `mask`
    is that of full attention, `masks` all: float16, a value per cell and token (llama-graph.cpp:
    build_attn_inp_kq_mask). `logits` are those of the outputs that may be asked for (n_outputs_max).
    """

    row: int
    stream: int
    queries: int
    keys: int
    gap: int
    answers: int
    reuses: bool
    mask: int
    masks: int
    logits: int

    @property
    def is_grouped(self) -> bool:
        """Whether several query heads share a KV head."""
        return self.keys < self.queries


def _terms(blocks: Blocks, settings: ContextSettings, pipelined: bool) -> _Terms:
    shape, kinds = blocks.shape, blocks.caches.kinds
    ubatch = min(settings.ubatch, settings.ctx)
    row = 4 * ubatch
    stream = row * shape.embedding
    queries = stream if shape.kv_same_type else row * shape.attention_width
    keys = row * max((memory.k_width for memory in kinds), default=0)
    window = max((memory.window for memory in kinds), default=0)
    mask = 2 * ubatch * padded(settings.ctx)
    seen = padded(min(settings.ctx, window * settings.sequences + ubatch)) if window else 0
    return _Terms(
        row=row,
        stream=stream,
        queries=queries,
        keys=keys,
        gap=_gap(blocks, settings, stream, queries, keys),
        answers=shape.experts_used * stream,
        reuses=not (pipelined and shape.kv_same_type),
        mask=mask,
        masks=mask + 2 * ubatch * seen,
        logits=4 * shape.vocabulary * min(ubatch, settings.outputs),
    )


def _gap(blocks: Blocks, settings: ContextSettings, stream: int, queries: int, keys: int) -> int:
    """Attention leaves the place of its queries; a recurrent layer leaves two streams.

    A quantized cache rotates queries and results (llama-kv-cache.cpp: attn_rot_k, attn_rot_v): one more place each,
    which the stream uses again if it is as wide.
    """
    if any(memory.state_values for memory in blocks.caches.kinds):
        return 2 * stream
    if settings.kv_type in _UNROTATED or blocks.shape.kv_same_type:
        return queries
    if queries < stream or keys >= queries:
        return 2 * queries
    return 0 if queries == stream else queries


_Work = set[tuple[Widths, bool]]  # the kinds of layers on a device, and whether their movable parts are there too


def _work(blocks: Blocks, layout: Layout) -> dict[int, _Work]:
    """What every device and the host compute."""
    work: dict[int, _Work] = {index: set() for index in range(HOST, len(layout.devices))}
    moved = [0] * len(blocks.widths)
    for (layer, _stem), target in layout.moved.items():
        moved[layer] += 1
        work[target].add((blocks.widths[layer], True))
    stays = [gone < len(block.movable) for gone, block in zip(moved, blocks.layers, strict=False)]
    for home, widths, whole in set(zip(layout.layers, blocks.widths, stays, strict=False)):
        work[home].add((widths, whole))
    return work


def _is_pipelined(layout: Layout) -> bool:
    """Several devices, every layer on them, no override (llama-context.cpp: pipeline_parallel).

    That the devices work asynchronously, which it asks for as well, is taken for granted.
    """
    overridden = layout.sequential or bool(layout.moved)
    return len(layout.devices) > 1 and not layout.layers_on_host and not overridden


def _widest(terms: _Terms, work: _Work) -> int:
    """Everything alive at the widest point of these layers, without inputs: the residual stream, its normed copy."""
    return 2 * terms.stream + max((_layer(terms, *kind) for kind in work), default=0)


def _layer(terms: _Terms, widths: Widths, whole: bool) -> int:
    """What a layer keeps alive beside these, at its widest: in attention, routing, the mixer or the FFN.

    Attention holds queries, and keys or what it gives back (build_attn_mha); a recurrent layer three of its projection.
    """
    attention = 2 * (terms.queries if terms.is_grouped else terms.queries + terms.keys)
    answers = terms.answers if widths.routes else 0
    movable = _ffn(terms, widths.movable, widths.fused, answers) if whole else 0
    routing = terms.gap + answers if answers else 0
    return max(attention, routing, 3 * widths.mixer * terms.row, _ffn(terms, widths.fixed, widths.fused), movable)


def _ffn(terms: _Terms, values: int, fused: bool, answers: int = 0) -> int:
    """Gate, up and their product (build_ffn) beside the gap, which takes one of them if that is small enough.

    What experts answer goes where gate and up were, if it fits and these are given back.
    """
    if not values:
        return 0
    width, gap = values * terms.row, 0 if fused else terms.gap
    gate_and_up = 2 * width if terms.reuses else 0
    beyond = answers if answers > gate_and_up else 0
    return gap + (2 if width < gap else 3) * width + beyond


def _on_device(terms: _Terms, layout: Layout, index: int, work: _Work, pipelined: bool) -> int:
    """Layers and inputs, or the logits where they are more.

    Pipelined, every input exists four times: the masks, the stream that arrives, and the one that is handed on.
    """
    inputs, beside_logits = terms.masks, 0
    if pipelined:
        received = 1 if index == 0 else 2
        inputs = beside_logits = _INPUT_COPIES * (terms.masks + received * terms.stream)
    elif _is_gap_filled(terms, layout, index, work):
        terms = replace(terms, gap=0)
    layers = _widest(terms, work) + inputs
    has_output = index == len(layout.devices) - 1
    return max(layers, terms.logits + terms.stream + beside_logits) if has_output else layers


def _is_gap_filled(terms: _Terms, layout: Layout, index: int, work: _Work) -> bool:
    """Whether what arrives in the middle of the graph goes where attention left a gap, as rehearsals show it does."""
    first = layout.layers.index(index)
    routes = any(widths.routes for widths, _whole in work)
    if not terms.is_grouped:
        return False
    if first:
        return not routes or layout.layers[first - 1] != HOST
    return terms.queries == terms.stream and not routes and 0 in layout.touched


def _on_host(terms: _Terms, blocks: Blocks, layout: Layout, work: _Work, pipelined: bool) -> int:
    """The inputs at least; with layers on the host what they compute, with parts of layers what visits it."""
    if pipelined:
        return _INPUT_COPIES * (terms.masks + terms.stream) + terms.stream
    if layout.layers_on_host:
        logits = 0 if layout.devices else terms.logits
        return max(_widest(terms, work) + terms.masks, logits) + terms.stream
    idle = terms.masks + 2 * terms.stream
    if not work:
        return idle
    free = _free_place(terms, blocks, layout)
    return max(idle, *(_visiting(terms, widths, free) for widths, _whole in work))


def _visiting(terms: _Terms, widths: Widths, free: int) -> int:
    """Movable parts alone: gate, up and product, of which some go where the mask was."""
    width = widths.movable * terms.row
    inside = min(3, max(0, free - 1) // max(1, width))
    crowded = widths.routes and terms.answers > max(2 * width, free - inside * width)
    streams = 1 if free >= terms.stream else 2
    beyond = terms.answers if crowded else 0
    return terms.masks + streams * terms.stream + (3 - inside) * width + beyond


def _free_place(terms: _Terms, blocks: Blocks, layout: Layout) -> int:
    """The full mask's place on the host is free once every device has a copy: at its first layer of full attention."""
    firsts: dict[int, int] = {}
    for layer, (home, memory) in enumerate(zip(layout.layers, blocks.shape.memory, strict=False)):
        if memory.k_width and not memory.window:
            firsts.setdefault(home, layer)
    return terms.mask if min(layout.touched) >= max(firsts.values(), default=0) else 0
