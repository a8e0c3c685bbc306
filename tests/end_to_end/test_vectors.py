"""`localrun embed` and `localrun rerank` as people and scripts use them: real processes, small random models."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import localrun
from scripts.synthetic.embedders import write

Command = Callable[..., "subprocess.CompletedProcess[str]"]


pytestmark = pytest.mark.usefixtures("a_user_of_their_own")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> str:
    return str(write(folder / "nomic-embed-text-F16.gguf", "nomic-bert"))


@pytest.fixture(scope="module")
def ranker(folder: Path) -> str:
    return str(write(folder / "ranker-F16.gguf", "bert-reranker"))


def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "localrun", *words]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def test_lines_become_rows_in_order_and_a_wrong_one_stops_nobody(embedder: str) -> None:
    done = run("embed", embedder, stdin='hello\n\n{"id": "b", "text": "two\\nlines"}\n' + "a " * 3000 + "\nlast")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["id"] for row in rows] == ["1", "b", "4", "5"] and done.returncode == 2
    assert rows[2]["embedding"] is None and rows[2]["error"]["kind"] == "PromptTooLong"
    assert "Line 4: The text has 3002 tokens; the model takes 2048 here." in done.stderr
    assert "texts of up to 2k tokens" in done.stderr and "--as query" in done.stderr
    assert all(len(rows[number]["embedding"]) == 128 for number in (0, 1, 3))


def test_a_matrix_has_the_same_numbers_with_the_words_in_front(embedder: str, folder: Path) -> None:
    (folder / "texts").write_text("hello\nworld\n")
    saved = run("embed", embedder, str(folder / "texts"), "--as", "query", "--npy", str(folder / "x.npy"))
    assert (saved.returncode, saved.stdout) == (0, "") and "search_query: " in saved.stderr
    told = json.loads(run("embed", embedder, "--json", stdin="search_query: hello\nsearch_query: world\n").stdout)
    matrix = np.load(folder / "x.npy")
    assert np.abs(matrix - np.array([row["embedding"] for row in told["embeddings"]])).max() < 1e-4
    assert told["usage"] == {"texts": 2, "tokens": sum(row["tokens"] for row in told["embeddings"])}
    (row,) = told["memory"]
    assert row["planned"] == row["measured"] and told["placement"]["pooling"] == "mean"


def test_texts_are_ranked_for_a_query(ranker: str) -> None:
    everything = run("rerank", ranker, "--query", "a b?", stdin="hello\nworld\na b c\n")
    rows = [json.loads(line) for line in everything.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["hello", "world", "a b c"]
    best = run("rerank", ranker, "--query", "a b?", "--top", "2", stdin="hello\nworld\na b c\n")
    assert [json.loads(line) for line in best.stdout.splitlines()] == sorted(rows, key=lambda row: -row["score"])[:2]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("rerank", "{embedder}", "--query", "a"), 3, "is an embedding model, not a model that ranks texts"),
        (("{embedder}", "-p", "Hi"), 3, "localrun embed makes vectors with it"),
        (("embed", "smollm2-135m"), 3, "is a model that answers prompts, not an embedding model"),
        (("rerank", "smollm2-135m", "--query", "a"), 3, "is a model that answers prompts, not a model that ranks"),
        (("embed", "{ranker}"), 3, "is a model that ranks texts, not an embedding model"),
        (("{ranker}", "-p", "Hi"), 3, "localrun rerank"),
        (("rerank", "{ranker}"), 2, "--query QUERY"),
        (("embed", "{embedder}", "nowhere.txt"), 2, "nowhere.txt cannot be read"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    embedder: str, ranker: str, words: tuple[str, ...], code: int, sentence: str
) -> None:
    done = run(*(word.format(embedder=embedder, ranker=ranker) for word in words))
    assert done.returncode == code and sentence in done.stderr and "Traceback" not in done.stderr
    assert not done.stdout


def test_python_has_both(embedder: str, ranker: str) -> None:
    with localrun.open(embedder) as llm:
        vectors = llm.embed(["hello", "world"], role="query")
        assert [len(vector) for vector in vectors] == [128, 128]
        plain, document = (llm.embed([f"{words}hello"]) for words in ("search_query: ", "search_document: "))
        assert np.abs(np.array(vectors[:1]) - plain).max() < 1e-4 < np.abs(np.array(plain) - document).max()
        assert np.abs(np.array(llm.embed(["hello"], role="document")) - document).max() < 1e-4
        assert asyncio.run(llm.aembed(["hello", "world"], role="query")) == vectors
        with pytest.raises(localrun.Error, match="Text 2: The text has 3002 tokens") as raised:
            llm.embed(["a", "a " * 3000])
        assert raised.value.code == 2
        assert len(llm.embed(["a " * 3000], truncate=True)) == 1
        with pytest.raises(localrun.Error, match="answers no prompts"):
            llm.ask("Hi")
    with localrun.open(ranker) as llm:
        scores = llm.rerank("a b?", ["hello", "world"])
        assert len(set(scores)) == 2 and asyncio.run(llm.arerank("a b?", ["hello", "world"])) == scores
