"""What the speed model is asked about: what devices do for one token, and how a prompt is fed. Pure data."""

from collections.abc import Sequence
from dataclasses import dataclass

from runner.types.machine import Device
from runner.types.placement import USUAL_OFFLOAD_BATCH


@dataclass(frozen=True, slots=True)
class Work:
    """What one device (None: the host's CPU) does for one token.

    `weight_bytes`, `weights`: bytes and number of the weights that decode reads (a routed expert counts used/total);
    `floats` of them are stored as floats. `unpack`: cycles of one multiprocessor that unpacking them takes, `slow` of
    them for types that some backends are bad at; None: as for K-quants. `kv_bytes`: KV cache read at the depth in
    question; `attention`: multiply-adds of attention there. `stored_bytes`: all weights lying there, of which
    `routed_bytes` (`routed` weights) are experts; each token leaves the share `untouched` of them alone. `layers`:
    layers that compute here, fractions for parts of a layer; `homes` whole ones, with their caches; `routing` of them
    route, `recurrent` keep a state. Where every layer is split over several devices, each adds up `reduced` values with
    the others for every token, `reductions` times; by layers never.
    """

    device: Device | None
    weight_bytes: float
    weights: float
    kv_bytes: float = 0.0
    stored_bytes: float = 0.0
    layers: float = 0.0
    homes: int = 0
    floats: float = 0.0
    unpack: float | None = None
    slow: float = 0.0
    attention: float = 0.0
    routed: float = 0.0
    routed_bytes: float = 0.0
    untouched: float = 0.0
    routing: float = 0.0
    recurrent: float = 0.0
    reductions: float = 0.0
    reduced: int = 0


def is_by_tensor(work: Sequence[Work]) -> bool:
    """Whether the devices work at once on slices of every layer."""
    return len(work) > 1 and work[0].reductions > 0


@dataclass(frozen=True, slots=True)
class Offload:
    """How weights in the host's memory reach a GPU that computes with them.

    `pinned`: at the bus's full rate, not mapped from their file. `offload_batch`: for batches of so many tokens and
    more; smaller ones are computed where the weights are (ggml-cuda.cu: GGML_OP_OFFLOAD_MIN_BATCH).
    """

    pinned: bool = True
    offload_batch: int = USUAL_OFFLOAD_BATCH


PINNED = Offload()


@dataclass(frozen=True, slots=True)
class Prefill:
    """A prompt of `tokens`, computed `ubatch` at a time; `distinct` of a ubatch's tokens differ (None: all of them)."""

    tokens: int = 512
    ubatch: int = 512
    offload: Offload = PINNED
    distinct: int | None = None

    @property
    def batches(self) -> int:
        """How many ubatches it takes."""
        return max(1, -(-self.tokens // max(1, self.ubatch)))

    @property
    def batch(self) -> float:
        """Tokens of a mean ubatch."""
        return max(1, self.tokens) / self.batches
