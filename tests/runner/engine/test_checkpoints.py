"""States kept of caches that cannot be rolled back: what is read on from one is as if all had been read again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from models.headers.reader import parse
from models.headers.shape import shape_of
from models.stores.header_files import read_header
from runner.cost.kv import caches_of
from runner.engine import llama
from runner.engine.batch import Piece
from runner.engine.candidates import Logits
from runner.engine.checkpoints import Checkpoints, are_needed
from runner.engine.context import Context
from runner.engine.model import Model
from runner.types.placement import Placement
from scripts.synthetic.random_weights import GEOMETRIES, header, write

PLACEMENT = Placement((), 0, 0, (), ctx=4096, ubatch=256, threads=1)
PLENTY = 64 << 20
RANDOM = np.random.default_rng(1)
PROMPT, QUESTION, OTHER = (RANDOM.integers(0, 400, size).tolist() for size in (1280, 160, 96))
SAME = 1e-5  # of logits up to 4, read in the same pieces
NEAR = 5e-3  # where a window lies in other cells: its values are added up in another order


@pytest.fixture(scope="module", autouse=True)
def _backends() -> None:
    llama.start(lambda _level, _line: None, lambda _text: None)


@pytest.fixture(scope="module", params=["tiny-window", "tiny-hybrid"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    path = write(tmp_path_factory.mktemp("weights") / "x.gguf", GEOMETRIES[request.param], "F16")
    with closing(Model(str(path), PLACEMENT)) as loaded:
        yield loaded


@pytest.fixture
def context(model: Model) -> Iterator[Context]:
    with closing(Context(model, PLACEMENT)) as made:
        yield made


def read(context: Context, tokens: Sequence[int]) -> Logits:
    """What the model makes of the token behind these."""
    behind = context.positions()
    for start in range(0, len(tokens), context.ubatch):
        assert context.decode([Piece(0, behind + start, tokens[start : start + context.ubatch])])
    return context.logits().copy()


def read_anew(model: Model, *parts: Sequence[int]) -> Logits:
    with closing(Context(model, PLACEMENT)) as fresh:
        return [read(fresh, part) for part in parts][-1]


def test_another_question_is_read_as_if_all_were_read_again(model: Model, context: Context) -> None:
    checkpoints = Checkpoints(context, PLENTY)
    read(context, PROMPT)
    assert are_needed(context) and checkpoints.keep(0, PROMPT)
    first = read(context, QUESTION)
    assert checkpoints.go_back(0, PROMPT) == len(PROMPT) == context.positions()
    again = read(context, OTHER)
    assert np.abs(again - read_anew(model, PROMPT, OTHER)).max() < SAME
    assert np.abs(again - first).max() > SAME
    assert checkpoints.go_back(0, PROMPT) == len(PROMPT)
    assert np.abs(read(context, QUESTION) - first).max() < SAME


def test_the_last_state_that_is_still_wanted_is_taken_and_later_ones_are_forgotten(
    model: Model, context: Context
) -> None:
    checkpoints = Checkpoints(context, PLENTY)
    for end in (256, 768, 1280):
        read(context, PROMPT[end - 512 if end > 256 else 0 : end])
        assert checkpoints.keep(0, PROMPT[:end])
    assert checkpoints.go_back(0, PROMPT[:1000]) == 768
    assert checkpoints.counts == ((0, 256), (0, 768))
    assert np.abs(read(context, OTHER) - read_anew(model, PROMPT[:256], PROMPT[256:768], OTHER)).max() < NEAR


def test_where_there_is_no_state_the_sequence_is_empty(context: Context) -> None:
    checkpoints = Checkpoints(context, PLENTY)
    read(context, PROMPT)
    checkpoints.keep(0, PROMPT)
    assert checkpoints.go_back(0, PROMPT[:-1]) == 0
    assert context.positions() == 0 and not checkpoints.counts


def test_a_state_of_other_tokens_is_not_taken(context: Context) -> None:
    """As after somebody has emptied the sequence without a word, and read something else."""
    checkpoints = Checkpoints(context, PLENTY)
    read(context, PROMPT[:256])
    checkpoints.keep(0, PROMPT[:256])
    context.keep(0)
    read(context, PROMPT[256:768])
    assert checkpoints.go_back(0, PROMPT[256:768]) == 0 == context.positions()


def test_they_are_bounded_and_the_oldest_goes_first(context: Context) -> None:
    one = Checkpoints(context, PLENTY)
    read(context, PROMPT[:512])
    one.keep(0, PROMPT[:512])
    few = Checkpoints(context, 2 * one.bytes + 100)
    for end in range(512, 1280, 256):
        few.keep(0, PROMPT[:end])
        read(context, PROMPT[end : end + 256])
    assert [count for _, count in few.counts] == [768, 1024]
    few.keep(0, PROMPT[:768])  # known already: it is no longer the oldest
    few.keep(0, PROMPT)
    assert [count for _, count in few.counts] == [768, 1280]
    assert few.bytes <= 2 * one.bytes + 100
    none = Checkpoints(context, one.bytes // 2)
    assert not none.keep(0, PROMPT) and not none.bytes


def test_a_cut_forgets_what_is_held_no_longer(context: Context) -> None:
    checkpoints = Checkpoints(context, PLENTY)
    read(context, PROMPT[:256])
    checkpoints.keep(0, PROMPT[:256])
    read(context, PROMPT[256:512])
    checkpoints.keep(0, PROMPT[:512])
    checkpoints.cut(1, 0)
    assert [count for _, count in checkpoints.counts] == [256, 512]
    checkpoints.cut(0, 300)
    assert [count for _, count in checkpoints.counts] == [256]


@pytest.mark.parametrize("tokens", [256, 1280])
def test_the_planner_knows_their_size(model: Model, context: Context, tokens: int) -> None:
    checkpoints = Checkpoints(context, PLENTY)
    read(context, PROMPT[:tokens])
    checkpoints.keep(0, PROMPT[:tokens])
    geometry = GEOMETRIES["tiny-window" if model.window else "tiny-hybrid"]
    shape = shape_of([parse(header(geometry, "F16"))])
    planned = caches_of(shape).checkpoint("f16", tokens)
    assert planned <= checkpoints.bytes < 1.06 * planned + 1024


def test_a_plain_cache_needs_none(smollm2: Path) -> None:
    with closing(Model(str(smollm2), PLACEMENT)) as model, closing(Context(model, PLACEMENT)) as context:
        assert not are_needed(context)
    assert not caches_of(shape_of([read_header(smollm2)])).checkpoint("f16", 1000)
