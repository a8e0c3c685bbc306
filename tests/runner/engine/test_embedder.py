"""Vectors and scores from the engine in its child process, on small models with random weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from models.errors import BadFile, EngineError
from models.headers.pooling import NUMBERS, Pooling
from models.stores.header_files import read_header
from runner.client.process import EngineProcess
from runner.types.commands import Embed, Generate, Load, Rehearse, Score
from runner.types.engine import Loaded
from runner.types.generation import Request
from runner.types.pipe import reply_behind
from runner.types.placement import Placement
from runner.types.vectors import Made
from scripts.synthetic.embedders import EMBEDDERS, RERANK_TEMPLATE, write
from tests.support.waiting import COMMAND_S

MAKERS = {"bert": Pooling.CLS, "nomic-bert": Pooling.MEAN, "qwen3-embedding": Pooling.LAST}
RANKERS = ("bert-reranker", "qwen3-reranker")
POOLINGS = {**MAKERS, **dict.fromkeys(RANKERS, Pooling.RANK)}
TEXTS = ("hello world", "a", "the quick brown fox", "x y z " * 20, "what <|end|> [SEP] is")
QUERY = "which a b?"
# Of 1. BERT's GELU is looked up by float16 (ggml-cpu/vec.h: ggml_table_gelu_f16): a last bit makes a difference.
SAME = {"bert": 5e-4, "bert-reranker": 5e-4, "nomic-bert": 2e-7, "qwen3-embedding": 2e-6, "qwen3-reranker": 2e-6}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {name: write(folder / f"{name}.gguf", name, quant="F32") for name in EMBEDDERS}


def placement(name: str, ctx: int = 512, ubatch: int = 512, sequences: int = 8) -> Placement:
    pooling = POOLINGS[name]
    return Placement((), 0, 3, (), ctx, ubatch=ubatch, outputs=ubatch, sequences=sequences, pooling=pooling)


def load(child: EngineProcess, path: Path, placed: Placement) -> Loaded:
    return reply_behind(child.stream(Load(str(path), placed)))


def steps_of(child: EngineProcess, command: Embed | Score) -> list[tuple[Made, ...]]:
    return list(child.stream(command))


def made(child: EngineProcess, command: Embed | Score) -> list[Made]:
    return [one for step in steps_of(child, command) for one in step]


def rows(results: Sequence[Made]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([one.values for one in results], np.float32)


def command(name: str, texts: Sequence[str], *, truncate: bool = False) -> Embed | Score:
    if POOLINGS[name] is Pooling.RANK:
        return Score(QUERY, tuple(texts), truncate)
    return Embed(tuple(texts), truncate)


@pytest.fixture(params=POOLINGS)
def model(request: pytest.FixtureRequest, child: EngineProcess, files: dict[str, Path]) -> str:
    name: str = request.param
    load(child, files[name], placement(name))
    return name


def plain(path: Path, pooling: Pooling, texts: Sequence[str]) -> list[list[float]]:
    words = [sys.executable, "-m", "tests.support.plain_llama", str(path), str(NUMBERS[pooling]), *texts]
    done = subprocess.run(
        words, capture_output=True, timeout=COMMAND_S, check=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    found: list[list[float]] = json.loads(done.stdout)
    return found


def test_vectors_and_scores_are_llama_cpps_own(model: str, child: EngineProcess, files: dict[str, Path]) -> None:
    texts = TEXTS[:4]  # in the last one we read no marks
    found = rows(made(child, command(model, texts)))
    asked = {
        "bert-reranker": [f"{QUERY}<|end|><|end|>{text}" for text in texts],
        "qwen3-reranker": [RERANK_TEMPLATE.replace("{query}", QUERY).replace("{document}", text) for text in texts],
    }
    expected = np.array(plain(files[model], POOLINGS[model], asked.get(model, texts)))
    assert np.abs(found - expected[:, : found.shape[1]]).max() < SAME[model]


def test_a_text_has_the_same_numbers_alone_and_among_others(model: str, child: EngineProcess) -> None:
    together = rows(made(child, command(model, TEXTS)))
    alone = rows([made(child, command(model, [text]))[0] for text in TEXTS])
    backwards = rows(made(child, command(model, TEXTS[::-1])))[::-1]
    assert np.abs(together - alone).max() < SAME[model]
    assert np.abs(together - backwards).max() < SAME[model]


def test_vectors_have_length_1_and_texts_differ(model: str, child: EngineProcess) -> None:
    found = rows(made(child, command(model, TEXTS)))
    if POOLINGS[model] is not Pooling.RANK:
        assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-6
    assert np.abs(found[:, None] - found[None]).max(axis=2)[~np.eye(len(TEXTS), dtype=bool)].min() > 2e-6


def test_more_texts_than_fit_a_batch_come_in_order_step_by_step(child: EngineProcess, files: dict[str, Path]) -> None:
    load(child, files["nomic-bert"], placement("nomic-bert", sequences=4))
    texts = [f"{number} " * (number % 7 + 1) for number in range(30)]
    steps = steps_of(child, Embed(tuple(texts)))
    assert max(map(len, steps)) == 4
    together = rows([one for step in steps for one in step])
    assert np.abs(together - rows([made(child, Embed((text,)))[0] for text in texts])).max() < SAME["nomic-bert"]


def test_what_is_too_long_is_told_in_numbers_and_stops_nobody(model: str, child: EngineProcess) -> None:
    first, long, far, last = made(child, command(model, ["a", "a b c " * 300, "a " * 40_000, "b"]))
    assert long.refusal == f"The text has {long.whole} tokens; the model takes 512 here." and long.whole > 900
    assert far.refusal is not None and "more than" in far.refusal
    assert not long.numbers and not long.tokens
    assert first.refusal is last.refusal is None and first.numbers != last.numbers


def test_a_text_is_cut_where_that_is_allowed(child: EngineProcess, files: dict[str, Path]) -> None:
    load(child, files["bert"], placement("bert"))
    (cut,) = made(child, Embed(("a " * 700,), truncate=True))
    (whole,) = made(child, Embed(("a " * 510,)))
    assert (cut.tokens, cut.whole, cut.is_cut, whole.is_cut) == (512, 702, True, False)
    assert cut.numbers == whole.numbers


def test_a_query_that_leaves_no_room_is_refused(child: EngineProcess, files: dict[str, Path]) -> None:
    load(child, files["bert-reranker"], placement("bert-reranker"))
    (one,) = made(child, Score("a " * 600, ("b",), truncate=True))
    assert one.refusal is not None and one.refusal.startswith("The query alone has ")


def test_a_model_that_reads_forward_takes_longer_texts_than_a_ubatch(
    child: EngineProcess, files: dict[str, Path]
) -> None:
    texts = ("a b c " * 400, "short")
    load(child, files["qwen3-embedding"], placement("qwen3-embedding", ctx=2048, ubatch=256))
    parts = made(child, Embed(texts))
    load(child, files["qwen3-embedding"], placement("qwen3-embedding", ctx=2048, ubatch=2048))
    at_once = made(child, Embed(texts))
    assert parts[0].tokens == at_once[0].tokens > 1200
    assert np.abs(rows(parts) - rows(at_once)).max() < 1e-5


def test_marks_in_a_text_are_text(child: EngineProcess, files: dict[str, Path]) -> None:
    load(child, files["qwen3-reranker"], placement("qwen3-reranker"))
    marked, spelled = made(child, Score(QUERY, ("b<|end|>a", "b<|End|>a")))
    assert marked.tokens == spelled.tokens


def test_an_end_token_that_the_file_does_not_ask_for_is_told(child: EngineProcess, tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", "qwen3-embedding", without=("tokenizer.ggml.add_eos_token",))
    assert "end token" in " ".join(load(child, path, placement("qwen3-embedding")).notes)


def test_no_tokens_are_no_vector(child: EngineProcess, tmp_path: Path) -> None:
    path = write(tmp_path / "x.gguf", "qwen3-embedding", without=("tokenizer.ggml.add_eos_token",))
    load(child, path, placement("qwen3-embedding"))
    assert [one.refusal for one in made(child, Embed(("", "a")))] == ["The text is empty.", None]


def test_a_rehearsal_knows_every_byte(model: str, child: EngineProcess, files: dict[str, Path]) -> None:
    (rehearsed,) = child.ask(Rehearse(str(files[model]), (placement(model),)))
    assert rehearsed.memory == load(child, files[model], placement(model)).memory


def test_weights_of_zeros_are_no_model(child: EngineProcess, files: dict[str, Path], tmp_path: Path) -> None:
    empty = tmp_path / "empty.gguf"
    content, start = files["qwen3-embedding"].read_bytes(), read_header(files["qwen3-embedding"]).data_start
    empty.write_bytes(content[:start] + bytes(len(content) - start))
    load(child, empty, placement("qwen3-embedding"))
    with pytest.raises(BadFile, match="no weights in it"):
        made(child, Embed(("a",)))


@pytest.fixture
def loaded(child: EngineProcess, files: dict[str, Path]) -> Iterator[EngineProcess]:
    load(child, files["bert"], placement("bert"))
    yield child


def test_a_model_for_vectors_neither_answers_nor_ranks(loaded: EngineProcess) -> None:
    with pytest.raises(EngineError, match="answers nothing"):
        list(loaded.stream(Generate(Request(raw="a"))))
    with pytest.raises(EngineError, match="ranks no texts"):
        made(loaded, Score("a", ("b",)))


def test_a_stop_ends_it_with_what_is_there(loaded: EngineProcess) -> None:
    steps = loaded.stream(Embed(("a b c " * 80,) * 400))
    first = next(steps)
    loaded.stop()
    assert first and sum(map(len, steps)) < 399
