"""Why a plan is as it is, as data: found out by `runner.planning`, said by `runner.report.sentences`. Pure.

Sizes in bytes, speeds in tokens per second of decode, contexts in tokens.
"""

from dataclasses import dataclass
from enum import StrEnum

from runner.types.drafts import DraftKind

# ---- of a candidate


@dataclass(frozen=True, slots=True)
class Refused:
    """llama.cpp does not take the placement; `said` is why, in its words."""

    said: str


@dataclass(frozen=True, slots=True)
class Overdrawn:
    """A device (`CPU`: RAM) lacks these bytes, the margin included."""

    device: str
    bytes: int


@dataclass(frozen=True, slots=True)
class LayersThatFit:
    """More layers were commanded than fit; so many would."""

    count: int


@dataclass(frozen=True, slots=True)
class NoDevices:
    """Layers were commanded onto GPUs of which there are none."""


@dataclass(frozen=True, slots=True)
class OnHost:
    """What is not on the devices.

    Whole layers are counted as llama.cpp does, with the output layer; `parts` are the layers whose experts (else: whose
    FFN) are away, among the layers that have any.
    """

    layers: int
    layers_total: int
    parts: int
    parts_total: int
    experts: bool


@dataclass(frozen=True, slots=True)
class TunedHere:
    """Measured here, at a time in seconds since 1970, to answer faster than what is planned, by this share."""

    at: float
    gain: float


@dataclass(frozen=True, slots=True)
class SplitByTensor:
    """Each layer is split over so many devices, `faster` times as fast as by layers (None: that would not fit)."""

    devices: int
    faster: float | None


@dataclass(frozen=True, slots=True)
class Spilled:
    """A part is on the host; all of it on the devices would be `slower` times as fast."""

    on_host: OnHost
    slower: float


@dataclass(frozen=True, slots=True)
class WouldFitWith:
    """With these bytes more on the devices, or with a context of `ctx` (None: none worth having), all would fit."""

    bytes: int
    ctx: int | None


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """The system lets the GPU use `limit` of the `ram` bytes that both share; with `wanted` all would fit on it.

    `metal`: it is macOS that says so, else a driver.
    """

    limit: int
    ram: int
    wanted: int
    metal: bool


@dataclass(frozen=True, slots=True)
class BeyondTrained:
    """The context is longer than what the model was trained on."""

    ctx: int
    trained: int


@dataclass(frozen=True, slots=True)
class LessThanTrained:
    """A part is on the host, and the context is shorter than what the model was trained on."""

    ctx: int
    trained: int


@dataclass(frozen=True, slots=True)
class Longer:
    """What a longer context would cost: a share of the speed, and what would be on the host.

    `on_host` is None where all would still be on the devices, but these would not pipeline.
    """

    cost: float
    on_host: OnHost | None


@dataclass(frozen=True, slots=True)
class MostOnDevices:
    """The longest context with everything on the devices; `price` of the `longer` one, None where it does not fit."""

    ctx: int
    longer: int
    price: Longer | None


@dataclass(frozen=True, slots=True)
class Lowered:
    """A setting, by its name in a Placement, is not the usual one, which would not fit."""

    setting: str
    value: str | int
    usual: str | int


@dataclass(frozen=True, slots=True)
class LongerUbatch:
    """Long prompts are read `ubatch` tokens at a time, not the `usual` ones."""

    ubatch: int
    usual: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """The host's weights are mapped from their file: pinning them would take longer than prompts would gain."""


@dataclass(frozen=True, slots=True)
class ShortOnHost:
    """Prompts, and ends of prompts, below so many tokens are computed where the weights are, on the CPU."""

    batch: int


@dataclass(frozen=True, slots=True)
class Accompanied:
    """A companion of this kind guesses, on these devices: what it takes in bytes, and is expected to bring.

    `guessed`, `acceptance`, `gain`: as in runner.types.plan.Guesses. Without it the context would be `ctx` tokens
    longer (0: no longer); `is_split`: all of the model would be on the devices; `better`: this better quantization
    would be taken. `name`: the small model's.
    """

    kind: DraftKind
    name: str
    devices: tuple[str, ...]
    bytes: int
    acceptance: float
    gain: float
    guessed: int | None
    ctx: int = 0
    is_split: bool = False
    better: str | None = None


class Lack(StrEnum):
    """Why a companion does not guess; from EXPERTS on, why heads that nobody has asked for do not.

    Of BATCH and COPIES nobody does, not even the text itself.
    """

    ROOM = "room"
    HEADS = "heads"
    SEQUENCES = "sequences"
    DEVICES = "devices"
    BATCH = "batch"
    COPIES = "copies"
    EXPERTS = "experts"
    HOST = "host"
    GAIN = "gain"


@dataclass(frozen=True, slots=True)
class Unaccompanied:
    """Nobody of this kind guesses, for want of something; `name` is the small model's."""

    kind: DraftKind
    name: str
    lack: Lack


@dataclass(frozen=True, slots=True)
class HeadsLeftOut:
    """The model's own heads would take these bytes, bring `gain` and cost `ctx` tokens of context (0: other things)."""

    bytes: int
    gain: float
    ctx: int


@dataclass(frozen=True, slots=True)
class NothingFits:
    """What all of it needs with a context of `ctx`, what devices and RAM have to give, and what both together lack.

    `short` is 0 or less where the memory is enough in sum, but too scattered. `kept` is free, and left to others: it
    decides where it is not less than `short`.
    """

    needed: int
    ctx: int
    device_bytes: int
    ram_bytes: int
    short: int
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Noted:
    """A sentence as it stands: what was assumed of the machine."""

    sentence: str


# ---- of the choice among candidates


@dataclass(frozen=True, slots=True)
class OnlyOne:
    """There was nothing to choose from."""


@dataclass(frozen=True, slots=True)
class BestAt:
    """The best quality that reaches this speed."""

    tps: float


@dataclass(frozen=True, slots=True)
class FastestWith:
    """The fastest with at least so many bits per weight."""

    bits: float


@dataclass(frozen=True, slots=True)
class LargestThatRuns:
    """Better than nothing."""


@dataclass(frozen=True, slots=True)
class FromHistory:
    """What was measured here before says so."""


Goal = OnlyOne | BestAt | FastestWith | LargestThatRuns | FromHistory


@dataclass(frozen=True, slots=True)
class Taken:
    """The candidate that was chosen, and what made it the one."""

    quant: str
    tps: float
    ctx: int
    goal: Goal


@dataclass(frozen=True, slots=True)
class Better:
    """A better quantization that was given up: its speed (None: it does not run), and the bytes that it lacks.

    `short_of_all`: of all memory there is; `short_of_gpu`: of the devices', to be there as a whole. `refused`: why
    llama.cpp does not take it.
    """

    quant: str
    tps: float | None
    short_of_all: int
    short_of_gpu: int
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Faster:
    """A smaller quantization that the GPU holds whole, where it does not hold the one taken."""

    quant: str
    tps: float


@dataclass(frozen=True, slots=True)
class NoneRuns:
    """Not one of `count` quantizations runs; `reason` is why the smallest, `quant`, does not."""

    count: int
    quant: str
    reason: "Reason"


@dataclass(frozen=True, slots=True)
class WeightsThatFit:
    """The largest weights, in bytes, that would run."""

    bytes: int


@dataclass(frozen=True, slots=True)
class OnOthers:
    """What is on another machine's device: `layers`, or parts of some, and `weights` in bytes.

    `load_s`: until the weights are there, None where the road was not measured; `keeps_weights`: only the first time.
    A token takes so many `round_trips`, which with what goes over the network take `token_s`.
    """

    device: str
    machine: str
    layers: int
    weights: int
    load_s: float | None
    keeps_weights: bool
    round_trips: int
    token_s: float


@dataclass(frozen=True, slots=True)
class OthersLeftOut:
    """Devices of other machines (by endpoint) that nothing is put on; `times` as long with them, None: not computed."""

    machines: tuple[str, ...]
    times: float | None


Reason = (
    Refused
    | Overdrawn
    | LayersThatFit
    | NoDevices
    | TunedHere
    | SplitByTensor
    | OnOthers
    | OthersLeftOut
    | Spilled
    | WouldFitWith
    | SharedLimit
    | BeyondTrained
    | LessThanTrained
    | MostOnDevices
    | Lowered
    | LongerUbatch
    | Mapped
    | ShortOnHost
    | NothingFits
    | Accompanied
    | Unaccompanied
    | HeadsLeftOut
    | Noted
)
Why = Taken | Better | Faster | NoneRuns | WeightsThatFit | Noted
