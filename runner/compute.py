"""Compute buffers in bytes, where no rehearsal can tell. Pure.

The formulas hold for flash attention and come from llama.cpp's own numbers for eight models, ubatches of 256 to 2048
and contexts of 4k to 128k; on 432 devices and 288 hosts they were off by -0.3 % to +1.5 %.
"""

from dataclasses import dataclass

from models.shape import ModelShape, Role
from runner.kv import Settings, padded
from runner.layout import Blocks, Layout

_INPUT_COPIES = 4  # of every input, under pipeline parallelism (GGML_SCHED_MAX_COPIES)


@dataclass(frozen=True, slots=True)
class Compute:
    """Bytes of compute buffers: one entry per device of the layout, and the host's."""

    devices: tuple[int, ...]
    host: int


def compute_bytes(blocks: Blocks, layout: Layout, settings: Settings) -> Compute:
    """Compute buffers with flash attention; with pipeline parallelism every input exists four times."""
    terms = _terms(blocks.shape, settings)
    pipelined = _is_pipelined(layout)
    last = len(layout.devices) - 1
    devices = [_on_device(terms, index, index == last, pipelined) for index in range(last + 1)]
    helper = helper_of(layout)
    if helper is not None:
        devices[helper] += blocks.largest
    return Compute(tuple(devices), _on_host(terms, layout, pipelined))


def helper_of(layout: Layout) -> int | None:
    """The device that computes long batches with the host's weights, if there is one.

    It needs scratch for the largest of them. llama.cpp's scheduler takes the first device that offers it (op_offload).
    """
    if not layout.layers_on_host and not layout.touched:
        return None
    return next((index for index, device in enumerate(layout.devices) if device.has_host_buffer), None)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the buffers consist of, in bytes for one ubatch."""

    embedding: int
    widest: int  # everything that is live at the widest point of a layer
    ffn: int  # the same, of the FFN alone
    mask: int
    logits: int


def _terms(shape: ModelShape, settings: Settings) -> _Terms:
    ubatch = min(settings.ubatch, settings.ctx)
    row = 4 * ubatch
    embedding = shape.embedding * row
    ffn = 3 * row * _ffn_width(shape)
    experts = 0
    if shape.experts:
        experts = shape.experts_used * row * (2 * shape.embedding + _expert_width(shape))
    windows = [memory.window for memory in shape.memory if memory.window]
    cells = padded(settings.ctx) + (padded(min(settings.ctx, max(windows) + ubatch)) if windows else 0)
    return _Terms(
        embedding=embedding,
        widest=max(ffn + 3 * embedding, experts + 2 * embedding if experts else 0),
        ffn=max(ffn, experts),
        mask=2 * cells * ubatch,
        logits=4 * shape.vocabulary * min(ubatch, settings.outputs),
    )


def _ffn_width(shape: ModelShape) -> int:
    """Values of the widest FFN per token: all used experts together, or a dense layer's."""
    if not shape.experts:
        return shape.feed_forward
    has_dense = any(tensor.role is Role.FFN for tensor in shape.tensors)
    return max(_expert_width(shape) * shape.experts_used, shape.feed_forward if has_dense else 0)


def _expert_width(shape: ModelShape) -> int:
    return shape.expert_feed_forward or shape.feed_forward


def _is_pipelined(layout: Layout) -> bool:
    """Several devices, every layer on them, no override; that they work asynchronously is taken for granted."""
    overridden = layout.sequential or bool(layout.moved)
    return len(layout.devices) > 1 and not layout.layers_on_host and not overridden


def _on_device(terms: _Terms, index: int, has_output: bool, pipelined: bool) -> int:
    inputs, beside_logits = terms.mask, 0
    if pipelined:
        received = 1 if index == 0 else 2
        inputs = beside_logits = _INPUT_COPIES * (terms.mask + received * terms.embedding)
    layers = terms.widest + inputs
    return max(layers, terms.logits + terms.embedding + beside_logits) if has_output else layers


def _on_host(terms: _Terms, layout: Layout, pipelined: bool) -> int:
    if pipelined:
        return _INPUT_COPIES * (terms.mask + terms.embedding) + terms.embedding
    if not layout.devices:
        return max(terms.widest + terms.mask, terms.logits) + terms.embedding
    if layout.layers_on_host:
        return terms.widest + terms.mask + terms.embedding
    return (terms.ffn if layout.touched else 0) + 2 * terms.embedding + terms.mask
