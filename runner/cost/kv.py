"""What a context remembers: KV caches and recurrent states, in bytes, to the byte as llama.cpp allocates them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import UsageError
from models.headers.quants import CACHE_TYPES, TYPES
from models.headers.shape import LayerMemory, ModelShape


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What a context is made with; `sequences` share one pool of `ctx` cells, `outputs` is n_outputs_max.

    `checkpoints`: how many states of each sequence are kept where the caches cannot be rolled back. `drafts`: the most
    tokens that are guessed in a step. `rollback` is n_rs_seq: further copies of each recurrent state. `heads`: whether
    the model's own heads are loaded, with a context of their own.
    """

    ctx: int
    kv_type: str = "f16"
    ubatch: int = 512
    sequences: int = 1
    outputs: int = 1
    checkpoints: int = 0
    drafts: int = 0
    rollback: int = 0
    heads: bool = False


def padded(ctx: int) -> int:
    """Cells of a context: a multiple of 256 (llama-context.cpp: n_ctx)."""
    return -(-ctx // 256) * 256


@dataclass(frozen=True, slots=True)
class Caches:
    """What all layers remember: few `kinds`, and the kind of every layer."""

    kinds: tuple[LayerMemory, ...]
    layers: tuple[int, ...]

    def held(self, settings: ContextSettings) -> list[int]:
        """Bytes that each repeating layer's cache and recurrent state take.

        A layer with a sliding window keeps the windows of all sequences and one ubatch (llama-kv-cache-iswa.cpp:
        size_swa); recurrent states are float32, one per sequence and its copies (llama-memory-recurrent.cpp). Raises
        UsageError for a type that a cache cannot have.
        """
        sizes = [_bytes(memory, settings) for memory in self.kinds]
        return [sizes[kind] for kind in self.layers]

    def read(self, settings: ContextSettings, depth: int) -> list[int]:
        """Bytes of each kind of cache and state that one token reads with `depth` tokens behind it."""
        return [
            min(depth, memory.window or depth) * _cell(memory, settings.kv_type) + 4 * memory.state_values
            for memory in self.kinds
        ]

    def checkpoint(self, kv_type: str, depth: int) -> int:
        """Bytes of what cannot be rolled back of one sequence with `depth` tokens: windows and recurrent states.

        It is copied out as it is (llama-kv-cache-iswa.cpp, llama-memory-hybrid.cpp: state_write), with some bytes for
        each cell beside its values.
        """
        sizes = [
            (min(depth, memory.window) * _cell(memory, kv_type) if memory.window else 0) + 4 * memory.state_values
            for memory in self.kinds
        ]
        return sum(sizes[kind] for kind in self.layers)

    def seen(self, depth: int) -> list[int]:
        """Tokens that attention looks at in each kind of layer with `depth` behind it; 0 where there is none."""
        return [min(depth, memory.window or depth) if memory.k_width else 0 for memory in self.kinds]


def caches_of(shape: ModelShape) -> Caches:
    """Sort the layers by what they remember."""
    return _sorted(shape.memory)


def head_caches_of(shape: ModelShape) -> Caches:
    """Those of the heads' own context."""
    return _sorted(shape.heads)


def _sorted(layers: Sequence[LayerMemory]) -> Caches:
    kinds = tuple(dict.fromkeys(layers))
    number = {memory: index for index, memory in enumerate(kinds)}
    return Caches(kinds, tuple(number[memory] for memory in layers))


def _bytes(memory: LayerMemory, settings: ContextSettings) -> int:
    """One layer's, as llama_kv_cache's constructor allocates K and V, with one pool of cells (kv_unified)."""
    cells = padded(settings.ctx)
    if memory.window:
        ubatch = min(settings.ubatch, settings.ctx)
        cells = padded(min(cells, memory.window * settings.sequences + ubatch))
    states = settings.sequences * (1 + settings.rollback)
    return cells * _cell(memory, settings.kv_type) + 4 * memory.state_values * states


def _cell(memory: LayerMemory, kv_type: str) -> int:
    """One token's K and V in one layer, in whole blocks of the type (ggml_row_size)."""
    if kv_type not in CACHE_TYPES:
        raise UsageError(f"{kv_type!r} is not a type of KV cache; choose one of {', '.join(CACHE_TYPES)}.")
    kind = TYPES[CACHE_TYPES[kv_type]]
    return sum(width * kind.block_bytes // kind.block for width in (memory.k_width, memory.v_width))
