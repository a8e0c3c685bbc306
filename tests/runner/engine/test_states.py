"""What the caches hold of a conversation survives the engine: on the real SmolLM2."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from ctypes import memmove
from dataclasses import replace
from pathlib import Path

import pytest

from runner.client.process import EngineProcess
from runner.engine import llama
from runner.engine.state_file import Cells, read_state, write_state
from runner.types.commands import Generate, KeepState, Kept, Load, RestoreState
from runner.types.generation import Chunk, Message, Phase, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from runner.types.templating import Templating
from scripts.synthetic.random_weights import GEOMETRIES, write
from scripts.synthetic.typed import U32, Typed

CPU = Placement((), 0, 31, (), ctx=1024, threads=1)
GREEDY = Sampling(temperature=0, max_tokens=16)
ASKED = (Message("user", "List some animals: " + "cat, dog, cow, hen, " * 60),)
LoadedEngine = Callable[[Placement], EngineProcess]


@pytest.fixture
def loaded(child: EngineProcess, smollm2: Path) -> LoadedEngine:
    """The engine, freshly loaded."""

    def load(placement: Placement = CPU) -> EngineProcess:
        child.ask(Load(str(smollm2), placement))
        return child

    return load


def answer(engine: EngineProcess, messages: tuple[Message, ...]) -> tuple[str, Chunk]:
    chunks = list(engine.stream(Generate(Request(messages, sampling=GREEDY))))
    return "".join(chunk.text for chunk in chunks), chunks[-1]


def kept(engine: EngineProcess, path: Path) -> tuple[Message, ...]:
    """A conversation whose state is at `path`, and its next question."""
    said, _ = answer(engine, ASKED)
    history = (*ASKED, Message("assistant", said))
    assert engine.ask(KeepState(str(path), "me", history)) == path.stat().st_size
    return (*history, Message("user", "And plants?"))


@pytest.mark.parametrize("kv", ["f16", "q8_0"])
def test_it_goes_on_where_it_was(loaded: LoadedEngine, tmp_path: Path, kv: str) -> None:
    path, placement = tmp_path / "a.state", replace(CPU, kv_type=kv)
    engine = loaded(placement)
    history = kept(engine, path)
    expected, before = answer(engine, history)
    engine = loaded(placement)
    tokens = engine.ask(RestoreState(str(path), "me"))
    said, last = answer(engine, history)
    assert (said, last.cached_tokens, last.prompt_tokens) == (expected, before.cached_tokens, before.prompt_tokens)
    assert 250 < last.cached_tokens <= tokens < last.prompt_tokens


def test_one_that_is_foreign_or_damaged_is_read_anew(loaded: LoadedEngine, tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    history = kept(loaded(CPU), path)
    whole = path.read_bytes()
    engine = loaded(CPU)
    assert engine.ask(RestoreState(str(path), "you")) == 0
    for at in (0, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert engine.ask(RestoreState(str(path), "me")) == 0
    path.write_bytes(whole)
    for other in (replace(CPU, kv_type="q8_0"), replace(CPU, ctx=256)):
        assert loaded(other).ask(RestoreState(str(path), "me")) == 0
    _, last = answer(loaded(CPU), history)
    assert last.cached_tokens == 0


def test_one_of_another_llama_cpp_is_read_anew(loaded: LoadedEngine, tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    engine = loaded(CPU)
    kept(engine, path)
    ours = f"me {llama.version()} f16 short"
    state = read_state(path, ours)
    assert state is not None and llama.version() != "unknown"

    def fill(cells: Cells) -> int:
        memmove(cells, state.cells, len(state.cells))
        return len(state.cells)

    for owner, is_ours in ((f"me {llama.version()}1 f16 short", False), (ours, True)):
        write_state(path, owner, state.tokens, len(state.cells), fill)
        assert bool(loaded(CPU).ask(RestoreState(str(path), "me"))) is is_ours


LETTERS = (Message("user", "a letter of many words " * 10),)


def test_cells_of_a_short_context_are_none_of_a_long_one(child: EngineProcess, tmp_path: Path) -> None:
    """Where the file names the context that its positions were made for; beyond it the model may have others."""
    stretched = {"llama.rope.scaling.original_context_length": Typed(U32, 1024)}
    file = write(tmp_path / "stretched.gguf", GEOMETRIES["tiny-dense"], "Q8_0", further=stretched)
    path = tmp_path / "a.state"

    def load(ctx: int) -> None:
        child.ask(Load(str(file), replace(CPU, ctx=ctx)))

    load(1024)
    answer(child, LETTERS)
    assert child.ask(KeepState(str(path), "me", LETTERS)) > 0
    load(2048)
    assert child.ask(RestoreState(str(path), "me")) == 0
    load(768)
    assert child.ask(RestoreState(str(path), "me")) > 0
    _, last = answer(child, LETTERS)
    assert last.cached_tokens == last.prompt_tokens - 1
    other = replace(GREEDY, templating=Templating("{% for message in messages %}#{{ message.content }}{% endfor %}"))
    *_, last = child.stream(Generate(Request(LETTERS, sampling=other)))
    assert last.cached_tokens < 10, "another template has written other tokens"


def test_nothing_is_written_of_what_is_not_held(loaded: LoadedEngine, tmp_path: Path) -> None:
    engine = loaded(CPU)
    assert engine.ask(KeepState(str(tmp_path / "a.state"), "me", ASKED)) == 0
    answer(engine, ASKED)
    assert engine.ask(KeepState(str(tmp_path / "a.state"), "me", (Message("user", "Another one"),))) == 0
    assert engine.ask(KeepState("/proc/none/a.state", "me", ASKED)) == 0
    assert not list(tmp_path.iterdir())


def test_several_sequences_each_have_theirs(loaded: LoadedEngine, tmp_path: Path) -> None:
    four = replace(CPU, sequences=4, outputs=4)
    engine = loaded(four)
    first, second = tmp_path / "1.state", tmp_path / "2.state"
    history = kept(engine, first)
    other = (Message("user", "One two three four five " * 20),)
    said, _ = answer(engine, other)
    assert engine.ask(KeepState(str(second), "me", (*other, Message("assistant", said)))) > 0
    engine = loaded(four)
    assert engine.ask(RestoreState(str(first), "me")) > 250 and engine.ask(RestoreState(str(second), "me")) > 80
    assert answer(engine, history)[1].cached_tokens > 250
    assert answer(engine, other)[1].cached_tokens > 80


def test_a_prompt_starts_from_what_is_kept_of_its_beginning_whoever_asks(loaded: LoadedEngine, tmp_path: Path) -> None:
    history = kept(loaded(CPU), tmp_path / "a.state")
    (tmp_path / "b.state").write_bytes(b"localrun state 2\xff\xff\xff\xff")
    (tmp_path / "c.state").write_bytes(b"")

    def cached(owner: str, least: int, messages: tuple[Message, ...]) -> int:
        there = Kept(str(tmp_path), owner, least)
        *_, last = engine.stream(Generate(Request(messages, sampling=GREEDY), there))
        return int(last.cached_tokens)

    for owner, least, asked in (("you", 64, history), ("me", 2000, history), ("me", 64, (Message("user", "Hi"),))):
        engine = loaded(CPU)
        assert cached(owner, least, asked) == 0
    engine = loaded(CPU)
    assert cached("me", 64, history) > 250


def test_nobody_waits_for_what_another_starts_from(loaded: LoadedEngine, tmp_path: Path) -> None:
    """While somebody is answered the prompt is read, beside the answer."""
    two = replace(CPU, sequences=2, outputs=2)
    history = kept(loaded(two), tmp_path / "a.state")
    engine = loaded(two)
    endless = Request(raw="The sea", sampling=replace(GREEDY, max_tokens=500), ignore_end=True)
    story = engine.stream(Generate(endless))
    with closing(story):
        assert any(chunk.phase is Phase.DECODE for chunk in story)
        *_, last = engine.stream(Generate(Request(history, sampling=GREEDY), Kept(str(tmp_path), "me", 64)))
    assert last.cached_tokens == 0
