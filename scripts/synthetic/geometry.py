"""What models are made of: hyperparameters, and the tensors of attention, feed-forward parts and experts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from scripts.synthetic.mixes import Named

Setting = bool | int | float | str | list[int] | list[bool]


@dataclass(frozen=True, slots=True)
class Geometry:
    """One model. `settings` are the keys below `{arch}.`; `tokenizer` is bpe or spm.

    `imatrix` says whether the published quantizations were made with an importance matrix.
    """

    title: str
    arch: str
    settings: Mapping[str, Setting]
    tensors: tuple[Named, ...]
    vocabulary: int
    tokenizer: str = "bpe"
    pre: str = "llama-bpe"
    imatrix: bool = True

    @property
    def layers(self) -> int:
        """Blocks, those for multi-token prediction included."""
        return self._number("block_count")

    @property
    def experts(self) -> int:
        """Routed experts per layer; 0 for a dense model."""
        return self._number("expert_count")

    @property
    def gqa(self) -> int:
        """Query heads per KV head of the first layer; 0 where it has none."""
        kv_heads = self._number("attention.head_count_kv")
        return self._number("attention.head_count") // kv_heads if kv_heads else 0

    def _number(self, key: str) -> int:
        value = self.settings.get(key, 0)
        first = value[0] if isinstance(value, list) else value
        assert isinstance(first, int)
        return first


@dataclass(frozen=True, slots=True)
class Attention:
    """Plain multi-head attention with `heads` query heads of `head` values over `kv_heads` KV heads."""

    heads: int
    kv_heads: int
    head: int = 128

    def tensors(self, i: int, embd: int) -> Iterator[Named]:
        """Separate Q, K, V and output."""
        yield f"blk.{i}.attn_q.weight", (embd, self.heads * self.head)
        yield f"blk.{i}.attn_k.weight", (embd, self.kv_heads * self.head)
        yield f"blk.{i}.attn_v.weight", (embd, self.kv_heads * self.head)
        yield f"blk.{i}.attn_output.weight", (self.heads * self.head, embd)

    def biases(self, i: int) -> Iterator[Named]:
        """Biases of Q, K and V."""
        yield f"blk.{i}.attn_q.bias", (self.heads * self.head,)
        yield f"blk.{i}.attn_k.bias", (self.kv_heads * self.head,)
        yield f"blk.{i}.attn_v.bias", (self.kv_heads * self.head,)

    def settings(self) -> dict[str, Setting]:
        """The keys that say so."""
        return {
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head,
            "attention.value_length": self.head,
        }


@dataclass(frozen=True, slots=True)
class Dense:
    """What the sizes of one dense family differ in: widths in values, layers, attention; are embeddings tied?"""

    embd: int
    layers: int
    attention: Attention
    width: int
    vocabulary: int
    tied: bool = False


def vectors(i: int, size: int, *names: str) -> Iterator[Named]:
    """Vectors of layer i: norms, and whatever else has one dimension."""
    for name in names:
        yield f"blk.{i}.{name}.weight", (size,)


def ffn(i: int, embd: int, width: int, suffix: str = "") -> Iterator[Named]:
    """A gated feed-forward part; the suffix `_shexp` makes it a shared expert."""
    yield f"blk.{i}.ffn_gate{suffix}.weight", (embd, width)
    yield f"blk.{i}.ffn_up{suffix}.weight", (embd, width)
    yield f"blk.{i}.ffn_down{suffix}.weight", (width, embd)


def experts(i: int, embd: int, width: int, count: int) -> Iterator[Named]:
    """A router and its experts."""
    yield f"blk.{i}.ffn_gate_inp.weight", (embd, count)
    yield f"blk.{i}.ffn_gate_exps.weight", (embd, width, count)
    yield f"blk.{i}.ffn_up_exps.weight", (embd, width, count)
    yield f"blk.{i}.ffn_down_exps.weight", (width, embd, count)


def ends(embd: int, vocabulary: int, *, tied: bool = False) -> Iterator[Named]:
    """Embeddings, the last norm, and the output unless it is tied to the embeddings."""
    yield "token_embd.weight", (embd, vocabulary)
    yield "output_norm.weight", (embd,)
    if not tied:
        yield "output.weight", (embd, vocabulary)


def collect(
    embd: int, layers: int, vocabulary: int, block: Callable[[int], Iterable[Named]], *, tied: bool = False
) -> tuple[Named, ...]:
    """All tensors of a model."""
    blocks = (tensor for i in range(layers) for tensor in block(i))
    return (*ends(embd, vocabulary, tied=tied), *blocks)


def base(embd: int, layers: int, context: int, width: int | list[int]) -> dict[str, Setting]:
    """The keys that every model has."""
    return {
        "block_count": layers,
        "context_length": context,
        "embedding_length": embd,
        "feed_forward_length": width,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }


def moe(count: int, used: int, width: int | None = None) -> dict[str, Setting]:
    """The keys of a mixture: experts, how many of them a token uses, their width."""
    settings: dict[str, Setting] = {"expert_count": count, "expert_used_count": used}
    return settings if width is None else {**settings, "expert_feed_forward_length": width}
