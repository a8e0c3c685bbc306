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


def compute_bytes(blocks: Blocks, layout: Layout, settings: ContextSettings) -> dict[int, int]:
    """Compute buffers with flash attention, by device of the layout and HOST."""
    if layout.is_by_tensor:
        return _on_each(blocks, layout, settings)
    pipelined = _is_pipelined(layout)
    inputs = _inputs(blocks, settings, pipelined)
    alive = _alive(blocks, settings, pipelined)
    work = _work(blocks, layout)
    buffers = {HOST: _on_host(alive, inputs, blocks, layout, work[HOST])}
    for index in range(len(layout.devices)):
        buffers[index] = _on_device(alive, inputs, layout, index, work[index])
    helper = helper_of(layout)
    if helper is not None:
        buffers[helper] += blocks.largest
    return buffers


def _on_each(blocks: Blocks, layout: Layout, settings: ContextSettings) -> dict[int, int]:
    """Every layer split over all devices: the buffer of one that has the whole model, on each of them.

    Sizes are those of undivided tensors (ggml-backend-meta.cpp: ggml_backend_meta_buffer_type_get_alloc_size). A few
    residual streams more, for adding up, come while it computes and are left to what stays free anyway.
    """
    alone = compute_bytes(blocks, Layout(layout.devices[:1], layout.layers), settings)
    return {HOST: alone[HOST], **dict.fromkeys(range(len(layout.devices)), alone[0])}


def helper_of(layout: Layout) -> int | None:
    """The device that computes long batches with the host's weights, if there is one.

    It needs scratch for the largest of them. The scheduler takes the first device that offers it (ggml-backend.cpp:
    ggml_backend_sched_backend_id_from_cur, op_offload).
    """
    if not layout.layers_on_host and not layout.touched:
        return None
    return next((index for index, device in enumerate(layout.devices) if device.has_host_buffer), None)


def _is_pipelined(layout: Layout) -> bool:
    """Several devices, every layer on them, no override (llama-context.cpp: pipeline_parallel).

    That the devices work asynchronously, which it asks for as well, is taken for granted.
    """
    overridden = layout.sequential or bool(layout.moved)
    return len(layout.devices) > 1 and not layout.layers_on_host and not overridden


# ---- what there is to hold


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Bytes of what a graph is given and gives back for one ubatch.

    `mask` is that of full attention, `masks` all: float16, a value per cell and token (llama-graph.cpp:
    build_attn_inp_kq_mask). `logits` are those of the outputs that may be asked for (n_outputs_max). `copies` of every
    input exist: several where the devices pipeline.
    """

    mask: int
    masks: int
    logits: int
    copies: int


def _inputs(blocks: Blocks, settings: ContextSettings, pipelined: bool) -> _Inputs:
    ubatch = min(settings.ubatch, settings.ctx)
    window = max((memory.window for memory in blocks.caches.kinds), default=0)
    seen = padded(min(settings.ctx, window * settings.sequences + ubatch)) if window else 0
    mask = 2 * ubatch * padded(settings.ctx)
    logits = 4 * blocks.shape.vocabulary * min(ubatch, settings.outputs) if blocks.shape.has_logits else 0
    return _Inputs(mask, mask + 2 * ubatch * seen, logits, _INPUT_COPIES if pipelined else 1)


@dataclass(frozen=True, slots=True)
class _Alive:
    """Bytes of one ubatch in what a layer computes.

    `row` is one value (float32) per token, `stream` the residual stream, `queries` those of all heads, `keys` all
    heads' keys. `gap` is what attention leaves too small or too odd for the allocator to use again. `answers` are what
    all used experts give back before they are summed (build_moe_ffn), and it `reuses` the place of gate and up.
    """

    row: int
    stream: int
    queries: int
    keys: int
    gap: int
    answers: int
    reuses: bool

    @property
    def is_grouped(self) -> bool:
        """Whether several query heads share a KV head."""
        return self.keys < self.queries


def _alive(blocks: Blocks, settings: ContextSettings, pipelined: bool) -> _Alive:
    shape, kinds = blocks.shape, blocks.caches.kinds
    row = 4 * min(settings.ubatch, settings.ctx)
    stream = row * shape.embedding
    queries = stream if shape.kv_same_type else row * shape.attention_width
    keys = row * max((memory.k_width for memory in kinds), default=0)
    gap = _gap(blocks, settings, stream, queries, keys)
    reuses = not (pipelined and shape.kv_same_type)
    return _Alive(row, stream, queries, keys, gap, shape.experts_used * stream, reuses)


def _gap(blocks: Blocks, settings: ContextSettings, stream: int, queries: int, keys: int) -> int:
    """What is free after a layer's attention and yet not used for its FFN, whose tensors are wider.

    How much it is was rehearsed; the comments say what the allocator most likely does.
    """
    if any(memory.state_values for memory in blocks.caches.kinds):
        return 2 * stream  # a recurrent layer reads and writes the stream in places of their own
    if settings.kv_type in _UNROTATED or blocks.shape.kv_same_type:
        return queries  # their place, once attention has read them
    # A quantized cache rotates queries and results (llama-kv-cache.cpp: attn_rot_k, attn_rot_v): two such places.
    if queries < stream or keys >= queries:
        return 2 * queries  # too small for the stream, or apart from each other with keys as wide between them
    # The stream goes into the one that fits it best: into both, one after the other, where they are just as wide.
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


# ---- the widest point of a layer


def _widest(alive: _Alive, work: _Work) -> int:
    """Everything alive at the widest point of these layers, without inputs: the residual stream, its normed copy."""
    return 2 * alive.stream + max((_layer(alive, *kind) for kind in work), default=0)


def _layer(alive: _Alive, widths: Widths, whole: bool) -> int:
    """What a layer keeps alive beside these, at its widest: in attention, routing, the mixer or the FFN.

    Attention holds queries, and keys or what it gives back (build_attn_mha); a recurrent layer three of its projection.
    """
    attention = 2 * (alive.queries if alive.is_grouped else alive.queries + alive.keys)
    answers = alive.answers if widths.routes else 0
    movable = _ffn(alive, widths.movable, widths.fused, answers) if whole else 0
    routing = alive.gap + answers if answers else 0
    return max(attention, routing, 3 * widths.mixer * alive.row, _ffn(alive, widths.fixed, widths.fused), movable)


def _ffn(alive: _Alive, values: int, fused: bool, answers: int = 0) -> int:
    """Gate, up and their product (build_ffn) beside the gap, which takes one of them if that is small enough.

    What experts answer goes where gate and up were, if it fits and these are given back.
    """
    if not values:
        return 0
    width, gap = values * alive.row, 0 if fused else alive.gap
    gate_and_up = 2 * width if alive.reuses else 0
    beyond = answers if answers > gate_and_up else 0
    return gap + (2 if width < gap else 3) * width + beyond


# ---- one device, and the host


def _on_device(alive: _Alive, inputs: _Inputs, layout: Layout, index: int, work: _Work) -> int:
    """Layers and inputs, or the logits where they are more.

    Pipelined, every input exists four times: the masks, and the stream that arrives.
    """
    given, beside_logits = inputs.masks, 0
    if inputs.copies > 1:
        given = beside_logits = inputs.copies * (inputs.masks + alive.stream)
    elif _is_gap_filled(alive, layout, index, work):
        alive = replace(alive, gap=0)
    layers = _widest(alive, work) + given
    has_output = index == len(layout.devices) - 1
    return max(layers, inputs.logits + alive.stream + beside_logits) if has_output else layers


def _is_gap_filled(alive: _Alive, layout: Layout, index: int, work: _Work) -> bool:
    """Whether what arrives in the middle of the graph goes where attention left a gap.

    When it does was rehearsed; the comments say what the allocator most likely does.
    """
    first = layout.layers.index(index)
    routes = any(widths.routes for widths, _whole in work)
    if not alive.is_grouped:
        return False  # keys as wide as the queries have taken it
    if first:
        # The stream of the device before. Before routing, the host's is copied too early to find the gap; and where no
        # layer is on the host the stream is there before its norm is (llama-context.cpp: graph_get_cb, full_offload).
        return bool(layout.layers_on_host) and (not routes or layout.layers[first - 1] != HOST)
    # Nothing arrives before the first layer, but after it what the host gives back of its FFN: a stream.
    return alive.queries == alive.stream and not routes and 0 in layout.touched


def _on_host(alive: _Alive, inputs: _Inputs, blocks: Blocks, layout: Layout, work: _Work) -> int:
    """The inputs at least; with layers on the host what they compute, with parts of layers what visits it."""
    if inputs.copies > 1:
        return inputs.copies * (inputs.masks + alive.stream) + alive.stream
    if layout.layers_on_host:
        logits = 0 if layout.devices else inputs.logits
        return max(_widest(alive, work) + inputs.masks, logits) + alive.stream
    idle = inputs.masks + 2 * alive.stream
    if not work:
        return idle
    free = _free_place(inputs, blocks, layout)
    return max(idle, *(inputs.masks + _visiting(alive, widths, free) for widths, _whole in work))


def _visiting(alive: _Alive, widths: Widths, free: int) -> int:
    """Movable parts alone on the host beside the masks, where `free` bytes are a mask's that nobody needs any more.

    The sizes were rehearsed; the comments say what the allocator most likely does.
    """
    width = widths.movable * alive.row
    # Gate, up and product: as many as the free place holds (with a byte to spare) go there, the others behind it.
    inside = min(3, max(0, free - 1) // max(1, width))
    # What experts answer goes where gate and up were, or into what they left of the free place; else behind as well.
    crowded = widths.routes and alive.answers > max(2 * width, free - inside * width)
    beyond = alive.answers if crowded else 0
    # The stream arrives before any of them, and takes the free place first if that is large enough.
    streams = 1 if free >= alive.stream else 2
    return streams * alive.stream + (3 - inside) * width + beyond


def _free_place(inputs: _Inputs, blocks: Blocks, layout: Layout) -> int:
    """The full mask's place on the host is free once every device has a copy: at its first layer of full attention."""
    firsts: dict[int, int] = {}
    for layer, (home, memory) in enumerate(zip(layout.layers, blocks.shape.memory, strict=False)):
        if memory.k_width and not memory.window:
            firsts.setdefault(home, layer)
    return inputs.mask if min(layout.touched) >= max(firsts.values(), default=0) else 0
