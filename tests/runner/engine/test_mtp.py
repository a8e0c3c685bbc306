"""A model's own heads guess, from the states of the model itself; the answers are those without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import UsageError
from runner.engine import companion, llama, lookup
from runner.engine.chained_heads import ChainedHeads
from runner.engine.draft_length import Choice, DraftLength
from runner.engine.dry_run import rehearse
from runner.engine.mtp import KEPT, States
from runner.types.drafts import DraftKind
from runner.types.placement import Companion, Placement
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write
from tests.runner.engine.test_drafts import DRAFTED, GREEDY, PLAIN, answer, answers, ask, loaded, said
from tests.support.counting import counting
from tests.support.guesses import guesses_of

WALK = replace(GREEDY, max_tokens=60)
ROLLBACK = {"tiny-qwen35": 3, "tiny-glm": 0, "tiny-step35": 0}


def with_heads(name: str) -> Placement:
    return replace(DRAFTED, rollback=ROLLBACK[name], companion=Companion(DraftKind.MTP))


@pytest.fixture(autouse=True)
def bold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three are guessed each time, whatever it takes, and none of the text itself."""
    llama.start(lambda _level, _line: None, lambda _text: None)
    monkeypatch.setattr(DraftLength, "choose", lambda _self, odds, *_, **__: Choice(min(3, len(odds)), 2.0))
    monkeypatch.setattr(companion.Companion, "may_read", lambda *_: True)
    monkeypatch.setattr(lookup.Lookup, "follow", lambda *_: None)


@pytest.mark.parametrize(
    ("name", "ahead", "by_state", "least"),
    [("tiny-qwen35", 1, False, 0.9), ("tiny-glm", 1, False, 0.9), ("tiny-glm", 2, True, 0.3)],
    ids=["qwen35", "glm", "glm by states"],
)
def test_heads_that_can_be_right_are(tmp_path: Path, name: str, ahead: int, by_state: bool, least: float) -> None:
    """Of three guesses from one state of the model the first is right. In the next turn, and of two at once, too."""
    path = counting(tmp_path / "x.gguf", name, ahead, by_state=by_state)
    asked = ask("a b c d", WALK), ask("the e f", WALK)
    with loaded(path, PLAIN) as generator:
        expected = [answer(generator, one) for one in asked]
    with loaded(path, replace(with_heads(name), sequences=2)) as generator:
        found = answers(generator, *asked)
        further = answer(generator, ask("a b c d" + said(found[0]) + " q r", WALK))
    assert [said(one) for one in found] == [said(one) for one in expected]
    for draft in (found[0][-1].draft, found[1][-1].draft, further[-1].draft):
        assert draft is not None and draft.kind is DraftKind.MTP
        assert least <= draft.accepted / draft.drafted


@pytest.mark.parametrize("name", ["tiny-qwen35", "tiny-glm", "tiny-step35"])
def test_heads_guess_the_same_however_they_came_to_a_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Random ones: what they have read and taken back in many steps, or at once, and the states that they go on from.

    What is rounded otherwise may decide one time in a few hundred.
    """
    path = counting(tmp_path / "x.gguf", name, is_random_ahead=True)
    made = guesses_of(monkeypatch, ChainedHeads if name == "tiny-step35" else companion.Companion)
    with loaded(path, with_heads(name)) as generator:
        words = said(answer(generator, ask(" aq", WALK))).split()
    on_the_way = {one.behind: one.tokens for one in made}
    assert len(on_the_way) > 40
    alike = 0
    for count in (1, 5, 17, 40):
        made.clear()
        with loaded(path, with_heads(name)) as generator:
            answer(generator, ask(" " + " ".join(["aq", *words[:count]]), replace(WALK, max_tokens=5)))
        alike += made[0].tokens == on_the_way[made[0].behind] and len(made[0].tokens) == 3
    assert alike >= 3


@pytest.mark.parametrize("name", ["tiny-qwen35", "tiny-glm"])
def test_heads_that_say_nothing_change_nothing(tmp_path: Path, name: str) -> None:
    """Random ones, behind a prompt of which they know the end alone; what they take is rehearsed."""
    path = write(tmp_path / "x.gguf", GEOMETRIES[name], "F16")
    asked = ask(prompt(512, KEPT + 300, 1), replace(GREEDY, max_tokens=30))
    with loaded(path, replace(PLAIN, ctx=2048)) as generator:
        expected = answer(generator, asked)
    placement = replace(with_heads(name), ctx=2048)
    with loaded(path, placement) as generator:
        found = answer(generator, asked)
        said_of_memory = generator.loaded
    draft = found[-1].draft
    assert said(found) == said(expected) and draft is not None and draft.drafted > 20
    with_them, without = rehearse(str(path), (placement, replace(placement, companion=None)))
    assert with_them.memory == said_of_memory.memory and with_them.companion == said_of_memory.companion
    assert with_them.memory is not None and without.memory is not None
    assert with_them.memory[-1].weights > without.memory[-1].weights and not without.companion
    heads = with_them.companion[-1]
    assert heads.weights == 0 and heads.kv == 2048 * 2 * 2 * 64 * 2 and heads.compute > 0


def test_a_model_without_heads_is_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", GEOMETRIES["tiny-dense"], "F16")
    placement = replace(DRAFTED, companion=Companion(DraftKind.MTP))
    with pytest.raises(UsageError, match="no layers that predict"), loaded(path, placement):
        pass
    (rehearsal,) = rehearse(str(path), (placement,))
    assert rehearsal.memory is None and "no layers that predict" in str(rehearsal.refusal)


def test_states_are_kept_of_the_last_tokens() -> None:
    states, rows = States(), np.arange(2 * KEPT, dtype=np.float32)[:, None]
    states.put(0, rows[: KEPT + 10])
    states.put(KEPT, rows[KEPT : KEPT + 2])
    assert (states.base, states.end) == (10, KEPT + 2)
    assert [float(row[0]) for row in states.of(KEPT - 1, 9)] == [KEPT - 1, KEPT, KEPT + 1]
    states.put(9, rows[9:11])
    assert (states.base, states.end) == (9, 11), "nothing is known of what comes between"
