"""How much of a prompt joins the answers, on machines that take `answers_s` for these and `token_s` for each token."""

import pytest

from runner.engine.prefill_budget import PrefillBudget


def steps(answers_s: float, token_s: float, count: int, most: int = 512) -> list[tuple[int, float]]:
    """(tokens read, seconds) of so many steps, behind one of answers alone."""
    budget, found = PrefillBudget(most), []
    budget.learn(answers_s, 0)
    for _ in range(count):
        read = budget.tokens
        found.append((read, answers_s + read * token_s))
        budget.learn(found[-1][1], read)
    return found


@pytest.mark.parametrize(
    ("answers_s", "token_s", "longest_s"),
    [
        (0.004, 0.0001, 0.1),  # a GPU
        (0.015, 0.003, 0.1),  # a small model on a CPU
        (0.5, 0.05, 1.0),  # a large one
        (0.5, 0.4, 2.2),  # where four tokens are the least
    ],
)
def test_steps_take_the_time_that_they_may(answers_s: float, token_s: float, longest_s: float) -> None:
    settled = steps(answers_s, token_s, 40)[20:]
    assert max(seconds for _, seconds in settled) <= longest_s
    read = [tokens for tokens, _ in settled if tokens]
    assert min(read) >= 4
    assert answers_s + (max(read) + 1) * token_s > 0.8 * longest_s or max(read) == 512


def test_answers_go_alone_now_and_then() -> None:
    read = [tokens for tokens, _ in steps(0.015, 0.003, 40)]
    assert 0 < read.count(0) <= 5


def test_a_ubatch_is_the_most() -> None:
    assert {tokens for tokens, _ in steps(0.001, 1e-6, 20, most=64)} <= {0, 16, 32, 64}
    assert PrefillBudget(2).tokens == 2


def test_a_machine_that_gets_slower_reads_less() -> None:
    budget = PrefillBudget(512)
    for seconds in (0.08, 0.16, 0.16):
        budget.learn(seconds, budget.tokens)
    assert budget.tokens == 4
