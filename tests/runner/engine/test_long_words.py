"""Long text: words without an end, and prompts without hope."""

import time
from pathlib import Path

import pytest

from models.errors import PromptTooLong
from runner.client.process import EngineProcess
from runner.engine.long_words import parts
from runner.types.commands import Generate, Load
from runner.types.generation import Chunk, Message, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling

CPU = Placement((), 0, 31, (), 8192, threads=1, load_mode="mmap")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [""]),
        ("a bc def", ["a bc def"]),
        ("abcd", ["abcd"]),
        ("abcde", ["abcd", "e"]),
        ("a bcdefghij k", ["a bcde", "fghi", "j k"]),
        ("a          b", ["a    ", "    ", "  b"]),
    ],
)
def test_only_what_is_too_long_is_cut(text: str, expected: list[str]) -> None:
    assert list(parts(text, 4)) == expected


def test_cutting_takes_no_time() -> None:
    text = ("A" * 9_999 + " ") * 50
    started = time.process_time()
    assert list(parts(text, 10_000)) == [text]
    assert time.process_time() - started < 1, "by the square of the words' length it takes 14 s"


@pytest.fixture(scope="module")
def gpt_4o(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2, as if its words were to be split by the rules of gpt-oss."""
    whole, key = smollm2.read_bytes(), b"tokenizer.ggml.pre\x08\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
    assert whole.count(key + b"smollm") == 1
    path = tmp_path_factory.mktemp("gpt-4o") / "model.gguf"
    path.write_bytes(whole.replace(key + b"smollm", key + b"gpt-4o"))
    return path


def first(child: EngineProcess, content: str) -> Chunk:
    asked = Request((Message("user", content),), sampling=Sampling(temperature=0, max_tokens=1))
    chunks = child.stream(Generate(asked))
    try:
        return next(chunks)
    finally:
        chunks.close()


@pytest.mark.parametrize("letters", [60_000, 1_000_000])
def test_a_word_without_an_end_ends_no_engine(child: EngineProcess, gpt_4o: Path, letters: int) -> None:
    child.ask(Load(str(gpt_4o), CPU))
    if letters > 60_000:
        with pytest.raises(PromptTooLong):
            first(child, "A" * letters)
    else:
        assert 7000 < first(child, "A" * letters + " say ok").prompt_tokens < 8192
    assert child.is_alive()


def test_ten_megabytes_are_refused_in_two_seconds(child: EngineProcess, smollm2: Path) -> None:
    child.ask(Load(str(smollm2), CPU))
    started = time.monotonic()
    with pytest.raises(PromptTooLong, match="far more than 8192 tokens; the context holds 8192"):
        first(child, "The sea is wide. " * 600_000)
    assert time.monotonic() - started < 2
