"""How much faster answers come with a companion that guesses, before anybody has measured it here. Pure.

A step that checks k guesses, of which the share r comes true, says 1 + k r tokens, and takes as long as

    1 + k (g + d)

single tokens: g is what each further token of a batch costs the model, d what a guess costs. d follows from the bytes
that a guess reads, or from the small model's own predicted speed. What was published for r and g:

    r    own heads, 2 a step: 1054 of 1313 came true, Qwen3.6 35B-A3B (github.com/ggml-org/llama.cpp/pull/22673);
         82 %, Qwen3.6 27B (github.com/Blaizzy/mlx-vlm/pull/1167)
         a small model, 4 a step: 59 % of 8 came true, Llama 3 70B with its 8B (devquasar.com, "Speculative decoding
         tradeoffs"); 52 %, Gemma 4 with E2B (github.com/joryirving/home-ops/pull/6704); 34 % of 16, Qwen2.5 Coder 32B
         with 3B (github.com/ggml-org/llama.cpp/pull/10455)
    g    GPUs: Qwen3.8 27B with its heads, tokens a second: 3090 41.3 to 63.5, 4090 47.7 to 76.3, 5090 61 to 135,
         Radeon 780M 4.1 to 8.4; Llama 3.3 70B with 1B on a Radeon 890M 2.2 to 3.5 (reddit.com/r/LocalLLaMA, 1oq5msi)
         Apple: M4 5.8 to 5.8. Mixtures: 10 to 20 % faster on CUDA, for every token reads experts of its own
         CPUs: a batch of four takes 1.7 (Q8_0) to 2.7 (Q4_1) single tokens (docs/measurements.md, Drafts)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from models.headers.shape import ModelShape
from runner.cost.blocks import Blocks
from runner.cost.forecast import REFERENCE_DEPTH
from runner.cost.kernels import backend_of
from runner.cost.laid_out import laid_out
from runner.cost.speed import decode_seconds
from runner.cost.work import Work
from runner.types.drafts import DraftKind
from runner.types.machine import Machine
from runner.types.placement import Placement
from runner.types.plan import Guesses


@dataclass(frozen=True, slots=True)
class Prior:
    """Tokens guessed in a step, and the share of them that comes true."""

    guessed: int
    acceptance: float


PRIORS = {DraftKind.MTP: Prior(2, 0.8), DraftKind.MODEL: Prior(4, 0.55)}

_GPU, _APPLE, _CPU = 0.2, 0.7, 0.4
_ROUTED = 0.3  # beside these, of the bytes that are routed experts


def expected(kind: DraftKind, growth: float, guess: float) -> Guesses:
    """By what was published; a further token and a guess take these shares of a single token's time."""
    prior = PRIORS[kind]
    said, taken = 1 + prior.guessed * prior.acceptance, 1 + prior.guessed * (growth + guess)
    return Guesses(kind, prior.acceptance, said / taken, prior.guessed)


def growth_of(works: Sequence[Work], machine: Machine) -> float:
    """What each further token of a small batch takes, as a share of a single one's time; `works` are one token's."""
    seconds = [decode_seconds(work, machine) for work in works]
    return sum(share * _growth(work) for share, work in zip(seconds, works, strict=True)) / max(sum(seconds), 1e-12)


def placed_growth(shape: ModelShape, machine: Machine, placement: Placement) -> float:
    """The same of a model as it is placed."""
    there = laid_out(shape, machine, replace(placement, companion=None))
    return growth_of(there.work(min(REFERENCE_DEPTH, placement.ctx)), machine)


def _growth(work: Work) -> float:
    routed = (1 - work.untouched) * work.routed_bytes / work.weight_bytes if work.weight_bytes else 0.0
    return _by_hardware(work) + _ROUTED * min(1.0, routed)


def _by_hardware(work: Work) -> float:
    if work.device is None or (work.device.lent is not None and work.device.lent.cores is not None):
        return _CPU
    return _APPLE if backend_of(work.device).startswith("Metal") else _GPU


def head_share(blocks: Blocks) -> float:
    """Bytes that a guess of the model's own heads reads over those of a token: one head, and the output layer again."""
    whole = sum(block.whole.read for block in blocks.layers)
    return (max(head.read for head in blocks.heads) + blocks.layers[-1].whole.read) / max(1.0, whole)
