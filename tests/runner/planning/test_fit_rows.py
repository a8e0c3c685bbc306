"""The planner against the placements of llama.cpp's own fitting tool, recorded by scripts/checks/fit.py."""

from functools import cache
from pathlib import Path

import pytest

from runner.cost.blocks import blocks_of
from runner.planning.problem import Problem
from scripts.checks.fit import ASKED, Answer, judge, read
from scripts.checks.fit_rule import fitted

ROWS = Path(__file__).parents[2] / "data" / "fit_rows.csv"


@cache
def answers(model: str) -> tuple[Answer, ...]:
    return tuple(answer for answer in read(ROWS) if answer.model == model)


def test_the_tool_never_does_better() -> None:
    """Requests of 4k and 16k prompts never take longer, and most take less."""
    verdicts = [(answer, judge(answer)) for model in ASKED for answer in answers(model)]
    assert not [(answer, verdict) for answer, verdict in verdicts if not verdict.is_ours_as_good]
    assert sum(verdict.gain > 1.003 for _answer, verdict in verdicts) > len(verdicts) // 2


@pytest.mark.parametrize("model", ASKED)
def test_our_idea_of_the_tools_rule_is_right(model: str) -> None:
    """Dense models to the layer; experts within a layer on one device (it does not count blocks for prediction)."""
    compared = 0
    for answer in answers(model):
        if answer.ctx == 0 or (answer.shape.experts and (len(answer.free) > 1 or answer.ctx > 8192)):
            continue
        tool = answer.layout
        rule = fitted(Problem(blocks_of(answer.shape), answer.machine), answer.settings).layout
        compared += 1
        if answer.shape.experts:
            assert rule.gpu_layers - tool.gpu_layers in (0, 1)
            assert abs(len(rule.touched) - len(tool.touched)) <= 1, answer
        else:
            assert rule.is_whole == tool.is_whole
            assert rule.layers == tool.layers or tool.is_whole, answer
    assert compared
