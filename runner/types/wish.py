"""What a person asked for; what is not said is decided for them. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.headers.pooling import Pooling
from runner.types.exchange import Exchange
from runner.types.placement import SplitMode
from runner.types.vectors import Purpose


class Prefer(StrEnum):
    """What the choice among quantizations leans to."""

    QUALITY = "quality"
    BALANCED = "balanced"
    SPEED = "speed"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for; None: decide for me. Sizes in bytes. `habits`: turns of theirs, as measured.

    `sequences`: requests that are answered at once. `pooling`, for any use but CHAT: how a text becomes
    one vector; None is as the model's header says. `draft`: off, lookup, mtp (runner.types.drafts),
    or the name of a small model that guesses.
    """

    ctx: int | None = None
    kv_type: str | None = None
    quant: str | None = None
    prefer: Prefer = Prefer.BALANCED
    gpu_layers: int | None = None
    tensor_split: tuple[float, ...] | None = None
    devices: tuple[str, ...] | None = None
    rpc: tuple[str, ...] = ()
    ubatch: int | None = None
    threads: int | None = None
    margin: int | None = None
    vram_limit: int | None = None
    ram_limit: int | None = None
    split_mode: SplitMode | None = None
    sequences: int | None = None
    outputs: int = 1
    habits: tuple[Exchange, ...] = ()
    use: Purpose = Purpose.CHAT
    draft: str | None = None
    pooling: Pooling | None = None
