"""The numbers of a header below `{arch}.`, read as llama.cpp reads them. Pure.

Source: `llama_model_base::load_hparams` and `llama_model_loader::get_key_or_arr` of the pinned llama.cpp.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import BadFile
from models.headers import architectures as known
from models.headers.gguf import Array, Value

_MOST_LAYERS = 512
_MOST_EXPERTS = 1024


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """A header's numbers below `{arch}.`; a value of the wrong kind is a BadFile."""

    kv: Mapping[str, Value]
    arch: str

    def number(self, key: str, default: int = 0) -> int:
        """A whole number of 0 or more."""
        value = self.kv.get(f"{self.arch}.{key}")
        return default if value is None else self._count(key, value)

    def required(self, key: str) -> int:
        """A number that llama.cpp cannot do without."""
        if f"{self.arch}.{key}" not in self.kv:
            raise BadFile(f"the header lacks {self.arch}.{key}, which llama.cpp needs")
        return self.number(key)

    def array(self, key: str) -> tuple[int, ...] | None:
        """An array of whole numbers or booleans; None where the key is missing or a single number."""
        value = self.kv.get(f"{self.arch}.{key}")
        if not isinstance(value, Array):
            return None
        if value.values is None:
            raise BadFile(f"{self.arch}.{key} has {value.count} elements, more than a model has layers")
        return tuple(self._count(key, element) for element in value.values)

    def per_layer(self, key: str) -> tuple[int, ...]:
        """One number a block, from an array or from one number for all."""
        values = self.array(key)
        if values is None:
            return (self.number(key),) * self.blocks
        if len(values) != self.blocks:
            raise BadFile(f"{self.arch}.{key} has {len(values)} elements for {self.blocks} blocks")
        return values

    @property
    def blocks(self) -> int:
        """Blocks in the file, those for multi-token prediction included."""
        return self._bounded("block_count", self.required("block_count"))

    @property
    def trunk(self) -> int:
        """Blocks that a model runs with: those at the end that predict further tokens are left out."""
        return max(0, self.blocks - self.number("nextn_predict_layers"))

    @property
    def layers(self) -> int:
        """Layers as llama.cpp counts them: blocks run in a loop count each time, and a router counts too."""
        loops = max(1, self.number("num_loops", 1)) if self.arch in known.LOOPED else 1
        routers = 1 if self.arch in known.WITH_ROUTER_LAYER else 0
        return self._bounded("num_loops", self.blocks * loops) + routers

    @property
    def experts(self) -> tuple[int, int]:
        """Routed experts, and how many of them a token uses (the most of any layer)."""
        count, used = self.number("expert_count"), max(self.per_layer("expert_used_count"))
        if count <= 1 and self.arch in known.ONE_EXPERT:
            return 0, 0
        if not (0 < used <= count <= _MOST_EXPERTS or used == count == 0):
            raise BadFile(f"{self.arch} has {count} experts and uses {used}; llama.cpp cannot run that")
        return count, used

    @property
    def is_mla(self) -> bool:
        """Multi-head latent attention: the cache holds one compressed K and no V."""
        return bool(self.number("attention.key_length_mla") and self.number("attention.value_length_mla"))

    @property
    def kv_heads(self) -> tuple[int, ...]:
        """KV heads of every block; as many as query heads where the header does not say."""
        said = f"{self.arch}.attention.head_count_kv" in self.kv
        return self.per_layer("attention.head_count_kv" if said else "attention.head_count")

    def head_length(self, side: str, *, sliding: bool = False) -> int:
        """Values per head of K (`side` key) or V (`side` value)."""
        heads = self.per_layer("attention.head_count")[0]
        if heads == 0 and self.arch not in known.HEADLESS_FIRST:
            return 0
        full = self.number(f"attention.{side}_length", self.required("embedding_length") // max(1, heads))
        return self.number(f"attention.{side}_length_swa", full) if sliding else full

    def _bounded(self, key: str, layers: int) -> int:
        if not 0 < layers <= _MOST_LAYERS:
            raise BadFile(f"{self.arch}.{key} makes {layers} layers; llama.cpp takes 1 to {_MOST_LAYERS}")
        return layers

    def _count(self, key: str, value: Value) -> int:
        if not isinstance(value, int) or value < 0:
            shown = "an array" if isinstance(value, Array) else repr(value)
            raise BadFile(f"{self.arch}.{key} is {shown}, not a whole number")
        return int(value)
