"""What every layer of a model remembers: KV cache, sliding window, recurrent state. Pure.

Source: llama-hparams.cpp (`n_embd_k_gqa`, `n_embd_r`, `n_embd_s`), `create_memory` of llama-model.cpp,
llama-kv-cache.cpp. Widths are those with flash attention; without it every V is as wide as the widest.
"""

from dataclasses import dataclass
from itertools import cycle, islice

from models.headers import architectures as known
from models.headers.hyperparameters import Hyperparameters


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


def layer_memory(header: Hyperparameters) -> tuple[LayerMemory, ...]:
    """The memory of every layer, in order; all empty for models that keep none."""
    if header.arch in known.WITHOUT_MEMORY:
        return (LayerMemory(0, 0),) * header.layers
    recurrent = _recurrent(header)
    state = _state_values(header) if any(recurrent) else 0
    rows = zip(_widths(header), _caching(header, recurrent), recurrent, strict=True)
    blocks = [
        LayerMemory(*(widths if caches else (0, 0, 0)), state_values=state if recurs else 0)
        for widths, caches, recurs in rows
    ]
    if header.arch in known.WITH_ROUTER_LAYER:
        blocks.append(LayerMemory(header.head_length("key"), header.head_length("value")))
    return tuple(islice(cycle(blocks), header.layers))


def head_memory(header: Hyperparameters) -> tuple[LayerMemory, ...]:
    """What each block for multi-token prediction remembers where it is loaded, in a context of its own."""
    if header.arch not in known.PREDICTS_AHEAD:
        return ()
    return tuple(LayerMemory(k, v) for k, v, _window in _widths(header)[header.trunk :])


def _widths(header: Hyperparameters) -> list[tuple[int, int, int]]:
    """Values of K and V in one cell, and the window, of every block as if each had a cache."""
    lengths = {
        sliding: (header.head_length("key", sliding=sliding), header.head_length("value", sliding=sliding))
        for sliding in (False, True)
    }
    rows = []
    for heads, window in zip(header.kv_heads, _windows(header), strict=True):
        k, v = lengths[window > 0]
        rows.append((heads * k, 0 if header.is_mla else heads * v, window))
    return rows


def _windows(header: Hyperparameters) -> tuple[int, ...]:
    """The window of every block; 0 where it sees the whole context."""
    none = (0,) * header.blocks
    rule = known.SLIDING_WINDOWS.get(header.arch)
    if rule is None or rule.blocks not in (None, header.trunk):
        return none
    window = header.number("attention.sliding_window", rule.window)
    if window and rule.fixed:
        window = rule.window
    return tuple(window if slides else 0 for slides in _pattern(header, rule)) if window else none


def _pattern(header: Hyperparameters, rule: known.SlidingWindow) -> tuple[bool, ...]:
    """Whether each block slides."""
    if header.arch in known.WINDOW_BY_HEADS:
        return tuple(heads > 0 for heads in header.kv_heads)
    key = "attention.sliding_window_pattern"
    if (pattern := header.array(key)) is not None:
        missing = (0,) * header.blocks
        return tuple(slides > 0 for slides in (*pattern, *missing)[: header.blocks])
    period = header.number(key, rule.period)
    full = 0 if rule.full_first else period - 1
    return tuple(index < header.trunk and (period == 0 or index % period != full) for index in range(header.blocks))


def _recurrent(header: Hyperparameters) -> tuple[bool, ...]:
    """Whether each block keeps a recurrent state."""
    arch, blocks = header.arch, header.blocks
    if arch in known.RECURRENT | known.BOTH_IN_ONE:
        recurs = (True,) * blocks
    elif arch in known.HYBRID_BY_INTERVAL:
        interval = max(1, header.number("full_attention_interval", known.HYBRID_BY_INTERVAL[arch]))
        key = "attention.recurrent_layers"
        by_interval = tuple((index + 1) % interval != 0 for index in range(blocks))
        recurs = by_interval if header.array(key) is None else tuple(map(bool, header.per_layer(key)))
    elif arch in known.HYBRID_BY_HEADS:
        recurs = tuple(heads == 0 and not feeds for heads, feeds in zip(header.kv_heads, _feeds(header), strict=True))
    else:
        recurs = (False,) * blocks
    return tuple(recurs[index] and index < header.trunk for index in range(blocks))


def _feeds(header: Hyperparameters) -> tuple[bool, ...]:
    """Whether a block is nothing but a feed-forward part."""
    if header.arch not in known.ONE_THING_PER_LAYER:
        return (False,) * header.blocks
    return tuple(width > 0 for width in header.per_layer("feed_forward_length"))


def _caching(header: Hyperparameters, recurrent: tuple[bool, ...]) -> tuple[bool, ...]:
    """Whether each block owns a KV cache."""
    arch, blocks = header.arch, header.blocks
    if arch in known.RECURRENT | known.BOTH_IN_ONE:
        return (arch in known.BOTH_IN_ONE,) * blocks
    attends = tuple(not (recurs or feeds) for recurs, feeds in zip(recurrent, _feeds(header), strict=True))
    if arch in known.HYBRID_BY_HEADS:  # here blocks for prediction have a cache, though nothing uses it
        return attends
    own = min(header.trunk, _own_kv(header))
    return tuple(attends[index] and index < own for index in range(blocks))


def _own_kv(header: Hyperparameters) -> int:
    """How many blocks from the first own their KV; the others reuse it."""
    shared = header.number("attention.shared_kv_layers") if header.arch in known.SHARING_KV else 0
    return known.OWN_KV.get(header.arch, header.blocks - shared)


def _state_values(header: Hyperparameters) -> int:
    """Values of one recurrent layer's state (R + S) for one sequence."""
    arch, embedding = header.arch, header.required("embedding_length")
    heads, kernel = header.per_layer("attention.head_count")[0], header.number("ssm.conv_kernel")
    if arch in known.RWKV:
        return embedding * (header.number("token_shift_count", 2) + header.number("wkv.head_size"))
    if arch in known.SHORT_CONVOLUTION:
        return embedding * max(0, header.number("shortconv.l_cache") - 1)
    if arch in known.DELTA_ATTENTION:
        size = header.number("kda.head_dim")
        return heads * size * (3 * (kernel - 1 if kernel else 3) + size)
    if arch in known.LINEAR_ATTENTION:
        return heads * header.head_length("key") ** 2
    inner, state = header.number("ssm.inner_size"), header.number("ssm.state_size")
    groups = 0 if arch in known.WITHOUT_GROUPS else header.number("ssm.group_count")
    return max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner
