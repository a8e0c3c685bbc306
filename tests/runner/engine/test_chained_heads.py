"""Several heads of a model guess in a chain, each one token further; the answers are those without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.engine import chained_heads, companion, llama, lookup
from runner.engine.chained_heads import ChainedHeads
from runner.engine.draft_length import Choice, DraftLength
from runner.engine.dry_run import rehearse
from runner.types.drafts import DraftKind
from runner.types.placement import Companion
from scripts.synthetic.random_weights import GEOMETRIES, prompt, write
from tests.runner.engine.test_drafts import DRAFTED, GREEDY, PLAIN, answer, answers, ask, loaded, said
from tests.support.counting import counting
from tests.support.guesses import guesses_of

NAME, HEADS = "tiny-step35", 3
WITH_HEADS = replace(DRAFTED, companion=Companion(DraftKind.MTP))
WALK = replace(GREEDY, max_tokens=60)


@pytest.fixture(autouse=True)
def bold(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many are guessed as may be, whatever it takes, and none of the text itself."""
    llama.start(lambda _level, _line: None, lambda _text: None)
    monkeypatch.setattr(DraftLength, "choose", lambda _self, odds, *_, **__: Choice(len(odds), 2.0))
    monkeypatch.setattr(companion.Companion, "may_read", lambda *_: True)
    monkeypatch.setattr(lookup.Lookup, "follow", lambda *_: None)


def test_each_guess_is_by_a_head_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say the next token, the one behind that, and the next again: so who has guessed what is known."""
    path, made = counting(tmp_path / "x.gguf", NAME, 1, 2, 1), guesses_of(monkeypatch, ChainedHeads)
    with loaded(path, PLAIN) as generator:
        expected = answer(generator, ask(" aq", WALK))
    with loaded(path, WITH_HEADS) as generator:
        found = answer(generator, ask(" aq", WALK))
    assert said(found) == said(expected)
    last = 300  # the token of the prompt; as many tokens have come by then as were read
    assert len(made) > 20
    for one in made[:-1]:
        token = last + one.behind - 1
        assert one.tokens == [token + 1, token + 3, token + 4]
    draft = found[-1].draft
    assert draft is not None and draft.kind is DraftKind.MTP and draft.accepted == len(made)


def test_heads_that_are_all_right_are_all_accepted(tmp_path: Path) -> None:
    """Of two answers at once, and in the next turn, too."""
    path = counting(tmp_path / "x.gguf", NAME, 1, 1, 1)
    asked = ask("a b c d", WALK), ask("the e f", WALK)
    with loaded(path, PLAIN) as generator:
        expected = [answer(generator, one) for one in asked]
    with loaded(path, replace(WITH_HEADS, sequences=2)) as generator:
        found = answers(generator, *asked)
        further = answer(generator, ask("a b c d" + said(found[0]) + " q r", WALK))
    assert [said(one) for one in found] == [said(one) for one in expected]
    for draft in (found[0][-1].draft, found[1][-1].draft, further[-1].draft):
        assert draft is not None and draft.drafted > 30 and draft.accepted == draft.drafted


def test_what_was_read_of_a_text_is_kept_where_a_window_has_not_moved_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next request begins as the one before: random heads guess what they guessed there."""
    path = counting(tmp_path / "x.gguf", NAME, is_random_ahead=True)
    made = guesses_of(monkeypatch, ChainedHeads)
    with loaded(path, WITH_HEADS) as generator:
        words = said(answer(generator, ask(" aq", WALK))).split()
        on_the_way = {one.behind: one.tokens for one in made}
        alike = 0
        for count in (40, 17, 5):
            made.clear()
            answer(generator, ask(" " + " ".join(["aq", *words[:count]]), replace(WALK, max_tokens=5)))
            alike += made[0].tokens == on_the_way[made[0].behind]
    assert alike >= 2, "what is rounded otherwise may decide once"


def test_random_ones_change_nothing_and_are_rehearsed(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", GEOMETRIES[NAME], "F16")
    asked = ask(prompt(512, 700, 1), replace(GREEDY, max_tokens=30))
    with loaded(path, PLAIN) as generator:
        expected = answer(generator, asked)
    with loaded(path, WITH_HEADS) as generator:
        found, held = answer(generator, asked), generator.loaded
    draft = found[-1].draft
    assert said(found) == said(expected) and draft is not None and draft.drafted > 20
    (rehearsal,) = rehearse(str(path), (WITH_HEADS,))
    assert (rehearsal.memory, rehearsal.companion) == (held.memory, held.companion)
    assert held.companion[-1].kv == HEADS * 1024 * 2 * 2 * 64 * 2


def test_where_this_llama_cpp_chooses_no_head_the_first_guesses_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a build that is older than the call."""
    path = counting(tmp_path / "x.gguf", NAME, 1, 2, 2)

    def lacks(*_: object) -> None:
        raise AttributeError

    monkeypatch.setattr(chained_heads, "ggml", lacks)
    with loaded(path, WITH_HEADS) as generator:
        draft = answer(generator, ask("a b c d", WALK))[-1].draft
    assert draft is not None and draft.drafted > 30 and draft.accepted == draft.drafted
