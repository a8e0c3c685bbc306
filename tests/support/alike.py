"""Answers that should be the same, however many tokens were decoded at once."""

from collections.abc import Sequence

import pytest

from runner.types.generation import Chunk

NOISE = 0.3  # of a logarithm: llama.cpp computes in another order where more tokens are in a batch


def check_alike(found: Sequence[Chunk], expected: Sequence[Chunk], noise: float = NOISE) -> None:
    """The same tokens as likely as before, until noise decides between two of them. Both asked for two logprobs."""
    pairs = list(
        zip(*([one for chunk in chunks for one in chunk.logprobs] for chunks in (found, expected)), strict=False)
    )
    assert pairs
    for ours, theirs in pairs:
        if ours.drawn.id != theirs.drawn.id:
            first, second = theirs.top
            assert first.logprob - second.logprob < noise
            return
        assert ours.drawn.logprob == pytest.approx(theirs.drawn.logprob, abs=noise)
