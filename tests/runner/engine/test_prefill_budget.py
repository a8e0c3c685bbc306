"""How much of a prompt joins the answers, on machines that take `answers_s` for these and `token_s` for each token."""

import pytest

from runner.engine.prefill_budget import PrefillBudget


def steps(budget: PrefillBudget, answers_s: float, token_s: float, count: int) -> list[tuple[int, float]]:
    """(tokens read, seconds) of so many steps with one answer."""
    found = []
    for _ in range(count):
        read = budget.tokens(1)
        found.append((read, answers_s + read * token_s))
        budget.learn(found[-1][1], 1, read)
    return found


@pytest.mark.parametrize(
    ("answers_s", "token_s", "longest_s"),
    [
        (0.004, 0.0001, 0.07),  # a GPU
        (0.025, 0.015, 0.07),  # a small model on one core
        (0.5, 0.05, 0.75),  # a large one
        (0.5, 0.4, 0.9),  # whose prompt goes on all the same, by one token a step
        (0.03, 0.03, 0.07),  # where a token of a prompt is as dear as one of an answer
    ],
)
def test_no_step_takes_longer_than_it_may_the_first_one_included(
    answers_s: float, token_s: float, longest_s: float
) -> None:
    found = steps(PrefillBudget(512), answers_s, token_s, 40)
    assert max(seconds for _, seconds in found) <= longest_s + 1e-9
    read = max(tokens for tokens, _ in found)
    assert answers_s + (read + 1) * token_s > longest_s or read == 512


def test_answers_go_alone_now_and_then_and_before_another_prompt() -> None:
    budget = PrefillBudget(512)
    read = [tokens for tokens, _ in steps(budget, 0.015, 0.003, 40)]
    assert read[0] == 0 and 4 <= read.count(0) <= 6
    assert budget.tokens(1)
    budget.renew()
    assert not budget.tokens(1)


def test_what_prompts_took_alone_is_known_beside_answers_and_each_answer_takes_its_part() -> None:
    """25 ms for one answer, 17 for each further one: as SmolLM2 on one core of a Xeon."""
    budget = PrefillBudget(512)
    budget.learn(0.45, 0, 25)
    budget.learn(0.025, 1, 0)
    assert [budget.tokens(answers) for answers in range(1, 9)] == [2, 1, 1, 2, 2, 3, 3, 4]


def test_who_asks_at_the_same_moment_is_waited_for_a_small_part_of_what_reading_takes() -> None:
    budget = PrefillBudget(512)
    assert budget.patience_s(100) == 0
    budget.learn(0.5, 0, 25)
    assert [round(budget.patience_s(tokens), 4) for tokens in (0, 10, 20, 1000)] == [0, 0.006, 0.012, 0.1]


def test_a_ubatch_is_the_most() -> None:
    assert max(tokens for tokens, _ in steps(PrefillBudget(64), 0.001, 1e-6, 20)) == 64


def test_answers_that_were_disturbed_once_make_no_room_for_more() -> None:
    budget = PrefillBudget(512)
    before = steps(budget, 0.02, 0.002, 9)[-1][0]
    budget.learn(0.2, 1, 0)
    assert before - 1 <= budget.tokens(1) <= before + 1
    for _ in range(2):
        budget.learn(0.2, 1, 0)
    assert budget.tokens(1) > 1.5 * before


def test_a_machine_that_gets_slower_reads_less_and_one_lucky_step_is_not_believed() -> None:
    budget = PrefillBudget(512)
    before = steps(budget, 0.02, 0.002, 20)[-1][0]
    budget.learn(0.02 + before * 0.0001, 1, before)
    assert before < budget.tokens(1) <= before * 1.5 + 1
    budget.learn(0.12, 1, budget.tokens(1))
    assert budget.tokens(1) < before
