"""How likely tokens are: the model's own words before any sampling setting."""

from __future__ import annotations

import math

import numpy as np

from runner.engine.candidates import Logits, Shortlist
from runner.engine.model import Model
from runner.types.generation import LikelyToken, TokenLogprobs

_LOWEST = -9999.0  # JSON knows no infinity


def logprobs_of(model: Model, logits: Logits, token: int, count: int) -> TokenLogprobs:
    """Natural logarithms of softmax(`logits`): of the drawn `token`, and of the `count` likeliest, those first."""
    peak = float(logits.max())
    scale = peak + math.log(float(np.exp(logits - peak).sum(dtype=np.float64)))
    best = Shortlist(logits.size, count).exactly(logits) if count else ()

    def told(one: int) -> LikelyToken:
        data = model.piece(one, special=True)
        value = max(_LOWEST, float(logits[one]) - scale)
        return LikelyToken(one, data.decode("utf-8", "replace"), tuple(data), value)

    return TokenLogprobs(told(token), tuple(told(int(one)) for one in best))
