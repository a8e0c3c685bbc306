"""How tokens are drawn. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn (llama.cpp's chain and defaults). `max_tokens` None: until the end or a full context.

    `seed` None: a fresh one, which the turn reports. `grammar` is GBNF.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    grammar: str | None = None
