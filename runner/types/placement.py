"""Where a model goes, in llama.cpp's terms. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.headers.pooling import Pooling
from runner.types.drafts import DraftKind
from runner.types.machine import Numa


class SplitMode(StrEnum):
    """How several devices share a model: whole layers, or a slice of every layer for each."""

    LAYER = "layer"
    TENSOR = "tensor"


USUAL_OFFLOAD_BATCH = 32  # llama.cpp's own


@dataclass(frozen=True, slots=True)
class Override:
    """Tensors whose full name matches `pattern` (ECMAScript regex) go to `device` (`CPU` or a device's id)."""

    pattern: str
    device: str


@dataclass(frozen=True, slots=True)
class Companion:
    """What guesses beside the weights: a second model at `path` (its first shard), placed by itself in `placement`.

    The model's own nextn layers (`kind` mtp) have neither.
    """

    kind: DraftKind
    path: str | None = None
    placement: Placement | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Everything llama.cpp is told when it loads, in its own terms.

    `gpu_layers` counts from the back and includes the output layer, as `layers_total` does. `tensor_split` holds
    layer counts, one per entry of `devices` (no devices: CPU only); with `split_mode` tensor each device has its slice
    of all of them. `kv_type` is the type of K and V.
    `experts_on_cpu`, `ffn_on_cpu`: repeating layers touched by overrides. `outputs` is n_outputs_max.
    `load_mode` is `mmap` or `none`. Batches of `offload_batch` tokens and more of layers on the host are computed on a
    device (GGML_OP_OFFLOAD_MIN_BATCH). `checkpoints`: bytes of host memory for states that a cache can go back to where
    it cannot be rolled back. `pooling`: what a text becomes, where the model does not answer. `numa`: where the host
    computes and its memory is in several nodes.
    `drafts`: the most tokens that are guessed in a step, each an output. `rollback` is n_rs_seq: how many tokens a
    recurrent state can go back, with a copy of it for each. `companion`: what guesses beside prompt lookup.
    """

    devices: tuple[str, ...]
    gpu_layers: int
    layers_total: int
    tensor_split: tuple[int, ...]
    ctx: int
    kv_type: str = "f16"
    overrides: tuple[Override, ...] = ()
    experts_on_cpu: int = 0
    ffn_on_cpu: int = 0
    ubatch: int = 512
    outputs: int = 1
    sequences: int = 1
    threads: int = 1
    load_mode: str = "mmap"
    offload_batch: int = USUAL_OFFLOAD_BATCH
    split_mode: SplitMode = SplitMode.LAYER
    pooling: Pooling | None = None
    checkpoints: int = 0
    numa: Numa | None = None
    drafts: int = 0
    rollback: int = 0
    companion: Companion | None = None

    @property
    def has_heads(self) -> bool:
        """Whether the model's own nextn layers guess."""
        return self.companion is not None and self.companion.kind is DraftKind.MTP

    @property
    def guesser(self) -> DraftKind | None:
        """Who guesses beside prompt lookup; None: nobody."""
        return self.companion.kind if self.companion else None
