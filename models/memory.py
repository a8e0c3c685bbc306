"""What every layer of a model remembers: KV cache, sliding window, recurrent state. Pure.

Source: llama-hparams.cpp (`n_embd_k_gqa`, `n_embd_r`, `n_embd_s`), `load_hparams` and `create_memory` of
llama-model.cpp, llama-kv-cache.cpp. Widths are those with flash attention; without it every V is as wide as the widest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import overload

from models import architectures as known
from models.errors import BadFile
from models.gguf import Array, Value

_MOST_LAYERS = 512


@dataclass(frozen=True, slots=True)
class LayerMemory:
    """What one layer remembers.

    KV cells of `k_width` + `v_width` values each (n_head_kv x head length; 0 where the layer owns no cache),
    over `window` positions (0: the whole context). `state_values`: recurrent float32 values per sequence.
    """

    k_width: int
    v_width: int
    window: int = 0
    state_values: int = 0


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """A header's numbers below `{arch}.`; a value of the wrong kind is a BadFile."""

    kv: Mapping[str, Value]
    arch: str

    @overload
    def number(self, key: str) -> int | None: ...
    @overload
    def number(self, key: str, default: int) -> int: ...
    def number(self, key: str, default: int | None = None) -> int | None:
        """A whole number of 0 or more."""
        value = self.kv.get(f"{self.arch}.{key}")
        return default if value is None else self._whole(key, value)

    def required(self, key: str) -> int:
        """A number that llama.cpp cannot do without."""
        value = self.number(key)
        if value is None:
            raise BadFile(f"the header lacks {self.arch}.{key}, which llama.cpp needs")
        return value

    def array(self, key: str) -> tuple[int, ...] | None:
        """An array of whole numbers or booleans; None where the key is missing or a single number."""
        value = self.kv.get(f"{self.arch}.{key}")
        if not isinstance(value, Array):
            return None
        if value.values is None:
            raise BadFile(f"{self.arch}.{key} has {value.count} elements, more than a model has layers")
        return tuple(self._whole(key, element) for element in value.values)

    def per_layer(self, key: str, default: int = 0) -> tuple[int, ...]:
        """One number a block, from an array or from one number for all."""
        values = self.array(key)
        if values is None:
            return (self.number(key, default),) * self.blocks
        if len(values) != self.blocks:
            raise BadFile(f"{self.arch}.{key} has {len(values)} elements for {self.blocks} blocks")
        return values

    @property
    def blocks(self) -> int:
        """Blocks in the file, those for multi-token prediction included."""
        count = self.required("block_count")
        if not 0 < count <= _MOST_LAYERS:
            raise BadFile(f"{self.arch}.block_count is {count}; llama.cpp takes 1 to {_MOST_LAYERS}")
        return count

    @property
    def prediction_blocks(self) -> int:
        """Blocks at the end that predict further tokens; a model runs without them."""
        return min(self.number("nextn_predict_layers", 0), self.blocks)

    @property
    def layers(self) -> int:
        """Layers as llama.cpp counts them: blocks run in a loop count each time, and a router counts too."""
        loops = max(1, self.number("num_loops", 1)) if self.arch == "nanbeige" else 1
        return self.blocks * loops + (self.arch == "graniteswitch")

    @property
    def is_mla(self) -> bool:
        """Multi-head latent attention: the cache holds one compressed K and no V."""
        return bool(self.number("attention.key_length_mla", 0) and self.number("attention.value_length_mla", 0))

    def head_length(self, side: str, *, sliding: bool = False) -> int:
        """Values per head of K (`side` key) or V (`side` value)."""
        heads = self.per_layer("attention.head_count")[0]
        if heads == 0 and self.arch != "plamo2":
            return 0
        full = self.number(f"attention.{side}_length", self.required("embedding_length") // max(1, heads))
        return self.number(f"attention.{side}_length_swa", full) if sliding else full

    def _whole(self, key: str, value: Value) -> int:
        if not isinstance(value, int) or value < 0:
            shown = "an array" if isinstance(value, Array) else repr(value)
            raise BadFile(f"{self.arch}.{key} is {shown}, not a whole number")
        return int(value)


def layer_memory(header: Hyperparameters) -> tuple[LayerMemory, ...]:
    """The memory of every layer, in order; all empty for models that keep none."""
    if header.arch in known.WITHOUT_MEMORY:
        return (LayerMemory(0, 0),) * header.layers
    windows, recurrent, caching = _windows(header), _recurrent(header), _caching(header)
    state = _state_values(header)
    blocks = [
        _block(header, index, windows[index], state if recurrent[index] else 0)
        if caching[index]
        else LayerMemory(0, 0, state_values=state if recurrent[index] else 0)
        for index in range(header.blocks)
    ]
    if header.arch == "graniteswitch":  # one head more, which remembers the adapter of each token
        blocks.append(LayerMemory(header.head_length("key"), header.head_length("value")))
    return tuple(islice(cycle(blocks), header.layers))


def _block(header: Hyperparameters, index: int, window: int, state: int) -> LayerMemory:
    heads = _kv_heads(header)[index]
    k, v = (heads * header.head_length(side, sliding=window > 0) for side in ("key", "value"))
    return LayerMemory(k, 0 if header.is_mla else v, window, state)


def _kv_heads(header: Hyperparameters) -> tuple[int, ...]:
    if f"{header.arch}.attention.head_count_kv" in header.kv:
        return header.per_layer("attention.head_count_kv")
    return header.per_layer("attention.head_count")


def _trunk(header: Hyperparameters) -> int:
    return header.blocks - header.prediction_blocks


def _windows(header: Hyperparameters) -> tuple[int, ...]:
    """The window of every block; 0 where it sees the whole context."""
    none = (0,) * header.blocks
    rule = known.SLIDING_WINDOWS.get(header.arch)
    if rule is None or (header.arch == "exaone4" and _trunk(header) != 64):
        return none
    window = header.number("attention.sliding_window", rule.window)
    if window and rule.fixed:
        window = rule.window
    return tuple(window if slides else 0 for slides in _pattern(header, rule)) if window else none


def _pattern(header: Hyperparameters, rule: known.SlidingWindow) -> tuple[bool, ...]:
    if header.arch == "lfm2":
        return tuple(heads > 0 for heads in _kv_heads(header))
    key = "attention.sliding_window_pattern"
    pattern = header.array(key)
    if pattern is not None:
        return tuple(bool(slides) for slides in islice((*pattern, *(0,) * header.blocks), header.blocks))
    period = header.number(key, rule.period)
    full = 0 if rule.full_first else period - 1
    return tuple(index < _trunk(header) and (period == 0 or index % period != full) for index in range(header.blocks))


def _recurrent(header: Hyperparameters) -> tuple[bool, ...]:
    """Whether each block keeps a recurrent state."""
    arch, blocks, trunk = header.arch, range(header.blocks), _trunk(header)
    if arch in known.RECURRENT or arch == "falcon-h1":
        return tuple(index < trunk for index in blocks)
    if arch in known.HYBRID_BY_INTERVAL:
        if listed := header.array("attention.recurrent_layers"):
            return tuple(index < trunk and bool(listed[index]) for index in blocks)
        interval = max(1, header.number("full_attention_interval", known.HYBRID_BY_INTERVAL[arch]))
        return tuple(index < trunk and (index + 1) % interval != 0 for index in blocks)
    if arch in known.HYBRID_BY_HEADS:
        heads = _kv_heads(header)
        feeds = header.per_layer("feed_forward_length") if arch in known.ONE_THING_PER_LAYER else (0,) * len(heads)
        return tuple(index < trunk and heads[index] == 0 and feeds[index] == 0 for index in blocks)
    return (False,) * header.blocks


def _caching(header: Hyperparameters) -> tuple[bool, ...]:
    """Whether each block owns a KV cache."""
    arch, blocks, trunk = header.arch, range(header.blocks), _trunk(header)
    if arch in known.RECURRENT:
        return (False,) * header.blocks
    if arch == "falcon-h1":
        return (True,) * header.blocks
    if arch in known.ONE_THING_PER_LAYER:
        feeds, recurrent = header.per_layer("feed_forward_length"), _recurrent(header)
        return tuple(not recurrent[index] and feeds[index] == 0 for index in blocks)
    if arch in known.HYBRID_BY_HEADS:
        return tuple(not recurrent for recurrent in _recurrent(header))
    recurrent, own = _recurrent(header), _own_kv(header)
    return tuple(index < min(trunk, own) and not recurrent[index] for index in blocks)


def _own_kv(header: Hyperparameters) -> int:
    """How many blocks from the first own their KV; the others reuse it."""
    if header.arch == "gemma3n":
        return 20
    return header.blocks - (header.number("attention.shared_kv_layers", 0) if header.arch == "gemma4" else 0)


def _state_values(header: Hyperparameters) -> int:
    """Values of one recurrent layer's state (R + S) for one sequence."""
    arch, embedding = header.arch, header.required("embedding_length")
    heads, kernel = header.per_layer("attention.head_count")[0], header.number("ssm.conv_kernel", 0)
    if arch in known.RWKV:
        return embedding * (header.number("token_shift_count", 2) + header.number("wkv.head_size", 0))
    if arch in known.SHORT_CONVOLUTION:
        return embedding * max(0, header.number("shortconv.l_cache", 0) - 1)
    if arch in known.DELTA_ATTENTION:
        size = header.number("kda.head_dim", 0)
        return heads * size * (3 * (kernel - 1 if kernel else 3) + size)
    if arch == "minimax-01":
        return heads * header.head_length("key") ** 2
    inner, state = header.number("ssm.inner_size", 0), header.number("ssm.state_size", 0)
    groups = 0 if arch in known.WITHOUT_GROUPS else header.number("ssm.group_count", 0)
    return max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner
