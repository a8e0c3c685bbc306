"""Texts that are gone on with, vectors, and the numbers of the server, over HTTP."""

from pathlib import Path

import pytest

from scripts.synthetic.embedders import write
from scripts.synthetic.random_weights import GEOMETRIES
from scripts.synthetic.random_weights import write as write_random
from scripts.synthetic.typed import U32, Typed
from tests.support.server import Served

MODEL = "smollm2-135m"
TEXT = "/v1/completions"
ASKED = {"model": MODEL, "prompt": "The capital of France is", "temperature": 0, "max_tokens": 6}


def test_whole_and_in_pieces_it_is_the_same_text(served: Served) -> None:
    whole = served.post(TEXT, ASKED).json
    *pieces, usage, done = served.post(
        TEXT, {**ASKED, "stream": True, "stream_options": {"include_usage": True}}
    ).events
    assert whole["choices"][0]["text"].startswith(" Paris") and whole["object"] == "text_completion"
    assert "".join(one["choices"][0]["text"] for one in pieces) == whole["choices"][0]["text"]
    assert usage["usage"]["completion_tokens"] == 6 and done == "[DONE]"
    assert usage["choices"] == [] and {one["usage"] for one in pieces} == {None}


def test_echo_and_logprobs_are_those_of_the_older_interface(served: Served) -> None:
    (choice,) = served.post(TEXT, {**ASKED, "echo": True, "logprobs": 2}).json["choices"]
    assert choice["text"].startswith("The capital of France is Paris")
    told = choice["logprobs"]
    assert len(told["tokens"]) == 6 and len(told["top_logprobs"][0]) == 2
    assert choice["text"][told["text_offset"][0] :].startswith(told["tokens"][0])
    assert max(told["token_logprobs"]) <= 0


def test_a_gap_needs_a_model_with_tokens_for_it(served: Served) -> None:
    said = served.post(TEXT, {**ASKED, "prompt": "def add(a, b):\n", "suffix": "\nprint(add(1, 2))"})
    assert said.status == 400 and said.json["error"]["message"].startswith("suffix: this model has no tokens")


def test_a_gap_is_filled_where_the_model_has_tokens_for_it(served: Served, tmp_path: Path) -> None:
    """Three words of its vocabulary are marked for that: a text that says them in their places is answered alike."""
    first = 284  # " aa", behind 258 single bytes and 26 letters
    marks = {
        f"tokenizer.ggml.fim_{name}_token_id": Typed(U32, first + n) for n, name in enumerate(("pre", "suf", "mid"))
    }
    file = write_random(tmp_path / "gaps-Q4_K_M.gguf", GEOMETRIES["tiny-dense"], "Q4_K_M", further=marks)
    served.pool.names.serve(str(file))
    asked = {**ASKED, "model": "gaps-Q4_K_M", "max_tokens": 8}
    filled = served.post(TEXT, {**asked, "prompt": " ba bc", "suffix": " cd"}).json
    said = served.post(TEXT, {**asked, "prompt": " aa ba bc ab cd ac"}).json
    assert filled["choices"][0]["text"] == said["choices"][0]["text"] != ""
    assert filled["usage"]["prompt_tokens"] == said["usage"]["prompt_tokens"] == 6
    options = {"temperature": 0, "num_predict": 8}
    other = {"model": "gaps-Q4_K_M", "prompt": " ba bc", "suffix": " cd", "stream": False, "options": options}
    assert served.post("/api/generate", other).json["response"] == filled["choices"][0]["text"]
    assert "insert" in served.post("/api/show", {"model": "gaps-Q4_K_M"}).json["capabilities"]


def test_marks_in_a_prompt_are_marks(served: Served) -> None:
    """An editor that frames a prompt by itself gets what it meant: here, the end of a turn is one token."""
    plain = served.post(TEXT, {**ASKED, "prompt": "Hi", "max_tokens": 1}).json["usage"]["prompt_tokens"]
    marked = served.post(TEXT, {**ASKED, "prompt": "Hi<|im_end|>", "max_tokens": 1}).json["usage"]["prompt_tokens"]
    assert marked == plain + 1


def test_lists_of_tokens_are_refused(served: Served) -> None:
    said = served.post(TEXT, {**ASKED, "prompt": [1, 2]})
    assert (said.status, said.json["error"]["param"]) == (400, "prompt")


def test_vectors(served: Served, tmp_path: Path) -> None:
    served.pool.names.serve(str(write(tmp_path / "tiny-embed-F16.gguf", "nomic-bert")))
    texts = [f"text {number}" for number in range(40)]
    asked = {"model": "tiny-embed-F16", "input": texts}
    found = served.post("/v1/embeddings", asked).json
    assert [one["index"] for one in found["data"]] == [*range(40)]
    alone = served.post("/v1/embeddings", {**asked, "input": texts[7]}).json["data"][0]["embedding"]
    assert alone == pytest.approx(found["data"][7]["embedding"], abs=1e-3)
    assert sum(value * value for value in alone) == pytest.approx(1, abs=1e-4)
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 40
    long = served.post("/v1/embeddings", {**asked, "input": "word " * 9000})
    assert long.status == 400 and long.json["error"]["message"].startswith("input[0]: The text has")
    assert served.post("/v1/embeddings", {**asked, "dimensions": 3}).json["error"]["param"] == "dimensions"
    for path, other in (("/v1/embeddings", MODEL), ("/v1/completions", "tiny-embed-F16")):
        body = {"model": other, **({"input": "x"} if other == MODEL else {"prompt": "x"})}
        assert served.post(path, body).status == 400


def test_metrics_have_what_was_asked_and_what_is_loaded(served: Served) -> None:
    served.post(TEXT, ASKED)
    served.post(TEXT, {**ASKED, "foo": 1})
    found = served.get("/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = dict(line.rsplit(" ", 1) for line in found.body.decode().splitlines() if not line.startswith("#"))
    model = f'model="{MODEL}"'
    assert int(lines[f'localrun_answers_total{{{model},finish="length"}}']) >= 1
    assert int(lines[f'localrun_tokens_total{{{model},kind="completion"}}']) >= 6
    assert int(lines['localrun_requests_refused_total{kind="invalid"}']) >= 1
    assert (
        lines[f'localrun_ttft_seconds_bucket{{{model},le="+Inf"}}'] == lines[f"localrun_ttft_seconds_count{{{model}}}"]
    )
    assert int(lines[f'localrun_memory_bytes{{{model},device="CPU",source="measured",part="weights"}}']) > 50_000_000
    assert f'localrun_memory_bytes{{{model},device="CPU",source="planned",part="kv"}}' in lines
    assert (
        lines[f'localrun_queue_seconds_bucket{{{model},le="+Inf"}}']
        == lines[f"localrun_queue_seconds_count{{{model}}}"]
    )
    assert float(lines[f"localrun_decode_tokens_per_second_sum{{{model}}}"]) > 0
    assert lines[f"localrun_kv_fill_ratio{{{model}}}"] == "0" == lines[f"localrun_answers_waiting{{{model}}}"]
    assert lines[f"localrun_answers_running{{{model}}}"] == "0"
