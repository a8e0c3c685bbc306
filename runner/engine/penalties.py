"""What is added to the logits of single tokens before one is drawn: penalties for those that were said, biases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.errors import UsageError
from runner.engine.candidates import Logits
from runner.types.sampling import Chain

_REMEMBERED = 64  # tokens that the repeat penalty looks back
_LEAST = 1e-30  # a repeat penalty; what is divided by less may be no number


class Penalties:
    """Of one answer, token by token; `bias` is added to the logit of each token that it names.

    The repeat penalty is llama.cpp's and looks back a little; frequency and presence count the whole answer, as OpenAI
    describes them. A repeat penalty of 0 is none, as clients mean it. UsageError for a bias of a token that is none of
    `vocabulary`.
    """

    def __init__(self, chain: Chain, bias: Sequence[tuple[int, float]], vocabulary: int) -> None:
        if wrong := [token for token, _ in bias if not 0 <= token < vocabulary]:
            raise UsageError(f"logit_bias names the token {wrong[0]}; the vocabulary ends with {vocabulary - 1}.")
        self._repeat, self._frequency, self._presence = (
            chain.repeat_penalty if chain.repeat_penalty > _LEAST else 1.0,
            chain.frequency_penalty,
            chain.presence_penalty,
        )
        self._biased = np.array([token for token, _ in bias], np.intp)
        self._bias = np.array([value for _, value in bias], np.float32)
        self._recent, self._seen = np.zeros(_REMEMBERED, np.intp), 0
        self._counts: dict[int, int] = {}

    def accept(self, token: int) -> None:
        """It was said."""
        self._recent[self._seen % _REMEMBERED] = token
        self._seen += 1
        if self._frequency or self._presence:
            self._counts[token] = self._counts.get(token, 0) + 1

    def apply(self, logits: Logits) -> None:
        """Change them in place."""
        if self._biased.size:
            logits[self._biased] += self._bias
        if self._repeat != 1.0 and self._seen:
            self._repeated(logits)
        if self._counts:
            tokens = np.fromiter(self._counts, np.intp, len(self._counts))
            counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            logits[tokens] -= counts * self._frequency + self._presence

    def _repeated(self, logits: Logits) -> None:
        """As llama_sampler_penalties does: times the penalty below zero, divided by it above; a token only once."""
        tokens, penalty = self._recent[: self._seen], self._repeat
        found = logits[tokens]
        with np.errstate(all="ignore"):  # logits may be infinite
            logits[tokens] = (np.fmin if penalty > 1 else np.fmax)(found * penalty, found / penalty)
