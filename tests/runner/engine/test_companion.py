"""Answers with the guesses of a small model beside are the answers without, whatever the guesses are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from collections.abc import Sequence as Many
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import UsageError
from runner.engine import companion, llama, lookup
from runner.engine.draft_length import Choice, DraftLength
from runner.engine.generator import Generator
from runner.engine.odds import Odds
from runner.engine.step_times import StepTimes
from runner.types.codec import pack
from runner.types.drafts import DraftKind
from runner.types.generation import Chunk, Finish
from runner.types.placement import Companion, Placement
from scripts.synthetic.geometry import Attention
from scripts.synthetic.random_weights import GEOMETRIES, Size, geometry, prompt, write
from scripts.synthetic.typed import U32, Typed
from tests.runner.engine.test_drafts import DRAFTED, GREEDY, PLAIN, accepted, answer, answers, ask, loaded, said
from tests.runner.engine.test_lookup import CPU, GPU
from tests.support.alike import NOISE, check_alike
from tests.support.counting import counting
from tests.support.guesses import Made, guesses_of
from tests.support.waiting import COMMAND_S

PROSE = "A letter from a sailor to his sister about the sea and the people on board. Dear sister,"
SMALL = Placement((), 0, 0, (), ctx=1024, threads=1)


def beside(path: Path, placement: Placement = DRAFTED) -> Placement:
    return replace(placement, companion=Companion(DraftKind.MODEL, str(path), SMALL))


@pytest.fixture
def bold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three are guessed each time, whatever it takes."""
    monkeypatch.setattr(DraftLength, "choose", lambda _self, odds, *_, **__: Choice(min(3, len(odds)), 2.0))
    monkeypatch.setattr(companion.Companion, "may_read", lambda *_: True)


@pytest.fixture(scope="module")
def plain(smollm2: Path) -> Iterator[Generator]:
    llama.start(lambda _level, _line: None, lambda _text: None)
    with loaded(smollm2, PLAIN) as generator:
        yield generator


@pytest.fixture(scope="module")
def own(smollm2: Path) -> Iterator[Generator]:
    """SmolLM2 as its own draft, for two answers at once."""
    with loaded(smollm2, beside(smollm2, replace(DRAFTED, sequences=2))) as generator:
        yield generator


def share(chunks: list[Chunk]) -> float:
    """Of the guesses that came true."""
    draft = chunks[-1].draft
    assert draft is not None
    return draft.accepted / draft.drafted


def check_right(chunks: list[Chunk], made: Many[Made]) -> None:
    """All guesses of an answer came true, but for one behind which two tokens are as likely as each other.

    None is cut by the answer's limit: of the last tokens no more are guessed than it may have.
    """
    drawn = [one for chunk in chunks for one in chunk.logprobs]
    true = 0
    for step in made:
        for one, guess in zip(drawn[step.behind - chunks[-1].prompt_tokens :], step.tokens, strict=False):
            if one.drawn.id != guess:
                first, second = one.top
                assert first.logprob - second.logprob < NOISE
                break
            true += 1
    draft = chunks[-1].draft
    assert draft is not None and draft.kind is DraftKind.MODEL
    assert (draft.drafted, draft.accepted) == (sum(len(step.tokens) for step in made), true)


@pytest.mark.usefixtures("bold")
def test_a_model_that_guesses_for_itself_is_right(
    own: Generator, plain: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to what llama.cpp rounds otherwise in a batch of several; behind a border of the prompt that was kept, too."""
    monkeypatch.setattr(lookup.Lookup, "follow", lambda *_: None)  # which is wrong now and then
    made = guesses_of(monkeypatch)
    found, expected = answer(own, ask(PROSE)), answer(plain, ask(PROSE))
    check_alike(found, expected)
    check_right(found, made)
    assert accepted(found) > 15
    made.clear()
    again = ask(PROSE + said(found) + " Your brother sends", replace(GREEDY, max_tokens=12))
    going_on = answer(own, again)
    assert going_on[-1].cached_tokens > 40 and accepted(going_on) > 5
    check_right(going_on, made)
    check_alike(going_on, answer(plain, again))
    assert own.loaded.companion[-1].weights > 50 << 20


@pytest.mark.usefixtures("bold")
def test_a_guess_of_a_model_is_cut_short(own: Generator, plain: Generator) -> None:
    """By a stop string, by whoever asked, and by a grammar that ends the answer."""
    whole = said(answer(plain, ask(PROSE)))
    word = whole.split()[9]
    stopped = answer(own, ask(PROSE, replace(GREEDY, stop=(word,))))
    assert (said(stopped), stopped[-1].finish) == (whole[: whole.index(word)], Finish.STOP)
    last = answer(own, ask(PROSE), most=8)[-1]
    assert last.finish is Finish.INTERRUPTED and last.completion_tokens < 30
    bound = replace(GREEDY, grammar=llama.grammar_of_schema('{"enum": ["the sea", "the people"]}'))
    found, expected = (answer(one, ask(PROSE, bound, ignore_end=False)) for one in (own, plain))
    assert (said(found), found[-1].finish) == (said(expected), Finish.STOP)


@pytest.mark.usefixtures("bold")
def test_two_answers_have_guesses_of_one_companion(own: Generator, plain: Generator) -> None:
    asked = [ask(PROSE), ask("One two three four five six seven eight nine ten, and then")]
    for ours, one in zip(answers(own, *asked), asked, strict=True):
        check_alike(ours, answer(plain, one))
        assert accepted(ours) > 10


# ---- caches of all kinds, with weights that say nothing but take no time


@pytest.mark.usefixtures("bold")
@pytest.mark.parametrize("name", ["tiny-dense", "tiny-window", "tiny-hybrid"])
def test_every_cache_of_a_companion_goes_back(tmp_path: Path, name: str) -> None:
    """Guesses for what is drawn are wrong mostly; behind all that was taken back those for the likeliest are right."""
    path = write(tmp_path / "x.gguf", GEOMETRIES[name], "F16")
    placement = beside(path, replace(DRAFTED, rollback=3 if name == "tiny-hybrid" else 0))
    text = prompt(512, 700, 1)
    with loaded(path, placement) as generator:
        drawn = answer(generator, ask(text, replace(GREEDY, temperature=1.5, top_k=8, seed=3, max_tokens=40)))
        assert share(drawn) < 0.6
        likeliest = answer(generator, ask(text + said(drawn), replace(GREEDY, max_tokens=40)))
        assert share(likeliest) > 0.8


@pytest.mark.usefixtures("bold")
@pytest.mark.parametrize(("ubatch", "sequences"), [(1, 1), (1, 3), (2, 1), (3, 3), (4, 3)])
@pytest.mark.parametrize("name", ["tiny-dense", "tiny-hybrid"])
def test_a_small_ubatch_has_room_for_a_token_of_each_and_no_more_guesses_than_that(
    tmp_path: Path, name: str, ubatch: int, sequences: int
) -> None:
    """The companion's own is smaller still, and becomes as large as sequences need; what overflows would raise."""
    path = write(tmp_path / "x.gguf", GEOMETRIES[name], "F16")
    placement = replace(DRAFTED, ubatch=ubatch, sequences=sequences, rollback=0)
    tiny = Companion(DraftKind.MODEL, str(path), replace(SMALL, ubatch=1))
    asked = [ask(prompt(512, 20, seed)) for seed in range(sequences)]
    with loaded(path, PLAIN) as generator:
        expected = [answer(generator, one) for one in asked]
    with loaded(path, replace(placement, companion=tiny)) as generator:
        found = answers(generator, *asked)
    for ours, theirs in zip(found, expected, strict=True):
        check_alike(ours, theirs, noise=0.02)
        assert ours[-1].draft is None if ubatch <= sequences else sequences > 1 or accepted(ours) > 0


def test_a_companion_that_is_always_wrong_is_hardly_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows the same tokens and nothing else: asked until that is known, and for a hundredth of the time later."""
    path = write(tmp_path / "x.gguf", GEOMETRIES["tiny-dense"], "F16")
    small = geometry("tiny-small", Size(64, 1, 128, 512), Attention(1, 1, 64))
    other = write(tmp_path / "y.gguf", small, "F16", seed=2)
    asked = [ask(prompt(512, 40, seed), replace(GREEDY, max_tokens=200)) for seed in range(3)]
    with loaded(path, PLAIN) as generator:
        expected = [answer(generator, one) for one in asked]
    made = guesses_of(monkeypatch)
    with loaded(path, beside(other)) as generator:
        found = [answer(generator, one) for one in asked]
    for ours, theirs in zip(found, expected, strict=True):
        check_alike(ours, theirs, noise=0.02)
    assert 0 < sum(len(step.tokens) for step in made) < 120, made


@pytest.mark.usefixtures("bold")
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "within", "last"])
def test_a_companion_guesses_past_an_end_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """The model's file names a word as its last token; the companion's does not, and that one goes on behind it.

    Both say each token of the vocabulary after the other: the first alone, then always four in a step.
    """
    end = 300 + 1 + 4 * 2 + 1 + place
    path = counting(tmp_path / "x.gguf", "tiny-dense", further={"tokenizer.ggml.eos_token_id": Typed(U32, end)})
    other = counting(tmp_path / "y.gguf", "tiny-dense")
    asked = ask(" aq", ignore_end=False)  # token 300
    with loaded(path, PLAIN) as generator:
        expected = answer(generator, asked)
        further = ask(" aq" + said(expected) + " q r", ignore_end=False)
        expected_next = answer(generator, further)
    made = guesses_of(monkeypatch)
    with loaded(path, beside(other)) as generator:
        found = answer(generator, asked)
        assert made[-1].tokens == [*range(end - place, end - place + 3)], "the end is guessed, and what may lie behind"
        found_next = answer(generator, further)
    assert said(found) == said(expected) and said(found_next) == said(expected_next)
    last, last_next = found[-1], found_next[-1]
    assert (last.finish, last.completion_tokens, last.context_used) == (Finish.STOP, end - 300, end - 300)
    assert (last_next.finish, last_next.cached_tokens) == (expected_next[-1].finish, end - 300)
    assert last.draft is not None and (last.draft.drafted, last.draft.accepted) == (9, 6 + place)


def test_a_companion_of_another_vocabulary_is_refused(smollm2: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", GEOMETRIES["tiny-dense"], "F16")
    with (
        pytest.raises(UsageError, match=r"cannot guess for this one: .* vocabulary|token"),
        loaded(path, beside(smollm2)),
    ):
        pass


_NARROW = """
import resource, sys
from pathlib import Path
from models.errors import LocalrunError
from runner.engine import llama
from runner.engine.generator import Generator
from runner.types.codec import unpack
from runner.types.placement import Placement
import json

def progress(done):
    if done >= 0.9:  # the model is loaded, what comes next is its companion
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (80 << 20),) * 2)
    return True

llama.start(lambda *_: None, lambda *_: None)
try:
    Generator(sys.argv[1], unpack(Placement, json.loads(sys.argv[2])), progress, lambda: None)
except LocalrunError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_no_memory_for_the_companion_is_told_as_such(smollm2: Path) -> None:
    """So that the model can be loaded without it."""
    small = Companion(DraftKind.MODEL, str(smollm2), replace(SMALL, load_mode="none"))
    placement = json.dumps(pack(replace(DRAFTED, companion=small)))
    command = [sys.executable, "-c", _NARROW, str(smollm2), placement]
    said = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert said.stdout.startswith("NoRoomToGuess The model has room, but not the draft model beside it: "), said


# ---- when it is asked, on costs as they were measured


class Told:
    """A model and its companion, whose guesses come true as `is_right` says, and take a tenth of a step."""

    def __init__(self, costs: Many[float]) -> None:
        self._costs = costs
        self.times = StepTimes(16)
        self.length, self.odds = DraftLength(self.times, must_try=True), Odds(companion.FIRST_ODDS)

    def says(self, tokens: int, *, is_right: bool) -> float:
        """How many times as fast as a token at a time."""
        said, took = 0, 0.0
        while said < tokens:
            choice = self.length.choose([self.odds.of(depth) for depth in range(15)], each=0.1)
            seconds = self._costs[choice.count]
            brought = 1 + choice.count * is_right
            self.times.learn(1 + choice.count, seconds)
            if choice.count:
                self.odds.learn(0, is_right)
                for depth in range(1, choice.count * is_right):
                    self.odds.learn(depth, True)
                self.length.settle(brought - self.times.of(1 + choice.count) - 0.1 * choice.count)
            else:
                self.length.earn()
            said, took = said + brought, took + seconds + 0.1 * choice.count
        return said / took


@pytest.mark.parametrize(("costs", "least"), [(CPU, 1.1), (GPU, 2.0)])
def test_guesses_that_were_wrong_are_tried_again_for_little(costs: Many[float], least: float) -> None:
    engine = Told(costs)
    assert engine.says(2000, is_right=False) > 0.98
    engine.says(400, is_right=True)
    assert engine.says(400, is_right=True) > least
