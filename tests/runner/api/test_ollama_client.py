"""The package `ollama`, as programs use it, against the real small model."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ollama
import pytest

from runner.types.sampling import Sampling
from scripts.synthetic.embedders import write
from tests.support.asked import CALLING, COUNTRY, FRAMED, MODEL, QUESTION, STORY, THINKS
from tests.support.server import PATIENCE_S, Served
from tests.support.waiting import until

ASKED = [{"role": "user", "content": QUESTION}]
GREEDY = {"temperature": 0, "num_predict": 12}
SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
CALL = {"temperature": 0, "num_predict": 60}
CAPITAL = {
    "type": "function",
    "function": {"name": "capital", "description": "The capital of a country.", "parameters": COUNTRY},
}


@pytest.fixture(scope="module")
def host(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}"


@pytest.fixture(scope="module")
def client(host: str) -> Iterator[ollama.Client]:
    with closing(ollama.Client(host, timeout=PATIENCE_S)) as one:
        yield one


def loaded(served: Served) -> list[str]:
    return [one.known.name for one in served.pool.residents()]


def test_texts_are_those_of_the_other_dialect(client: ollama.Client, served: Served) -> None:
    asked = {"model": MODEL, "messages": ASKED, "temperature": 0, "max_tokens": 12}
    other = served.post("/v1/chat/completions", asked).json["choices"][0]["message"]["content"]
    chat = client.chat(MODEL, ASKED, options=GREEDY)
    assert chat.message.content == other and (chat.done, chat.done_reason) == (True, "length")
    assert client.generate(f"{MODEL}:latest", QUESTION, options=GREEDY).response == other
    assert client.generate(MODEL, FRAMED, raw=True, options=GREEDY).response == other
    pieces = [*client.chat(MODEL, ASKED, options=GREEDY, stream=True)]
    assert "".join(one.message.content or "" for one in pieces) == other
    assert [one.done for one in pieces[:-1]] == [False] * (len(pieces) - 1)
    texts = [*client.generate(MODEL, QUESTION, options=GREEDY, stream=True)]
    assert "".join(one.response or "" for one in texts) == other and texts[-1].done_reason == "length"


def test_the_last_object_has_the_numbers(client: ollama.Client) -> None:
    began = time.monotonic()
    *_, last = client.chat(MODEL, ASKED, options=GREEDY, stream=True)
    took = time.monotonic() - began
    assert last.model == MODEL and last.created_at and last.created_at.endswith("Z")
    assert (last.eval_count, last.prompt_eval_count) == (12, 37)
    parts = [last.load_duration, last.prompt_eval_duration, last.eval_duration]
    assert all(isinstance(one, int) and one >= 0 for one in parts) and last.eval_duration
    assert last.total_duration and last.eval_duration < last.total_duration < took * 1e9


def test_thinking_is_apart(client: ollama.Client, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.desk, "sampling", replace(Sampling(), templating=THINKS, think_budget=8))
    long = {"temperature": 0, "num_predict": 60}
    whole = client.chat(MODEL, ASKED, think=True, options=long)
    assert whole.message.thinking and whole.message.content
    pieces = [*client.chat(MODEL, ASKED, think="high", options=long, stream=True)]
    assert any(one.message.thinking for one in pieces) and any(one.message.content for one in pieces)
    assert not any(one.message.thinking and one.message.content for one in pieces)
    text = client.generate(MODEL, QUESTION, think=True, options=long)
    assert text.thinking and text.response
    off = client.chat(MODEL, ASKED, think=False, options=long)
    assert off.message.content and not off.message.thinking


def test_structured_output_and_likelihoods(client: ollama.Client) -> None:
    found = client.chat(MODEL, ASKED, format=SCHEMA, options={"temperature": 0, "num_predict": 40})
    assert json.loads(found.message.content or "")["city"] in ("Paris", "Rome")
    pieces = client.chat(MODEL, ASKED, format=SCHEMA, options={"temperature": 0, "num_predict": 40}, stream=True)
    assert json.loads("".join(one.message.content or "" for one in pieces))["city"] in ("Paris", "Rome")
    free = client.generate(MODEL, "Answer in JSON: a colour.", format="json", options={"num_predict": 20})
    assert (free.response or "").lstrip().startswith("{")
    likely = client.chat(MODEL, ASKED, options=GREEDY, logprobs=True, top_logprobs=2).logprobs
    assert likely and len(likely) == 12 and len(likely[0].top_logprobs or ()) == 2


def test_tools_and_their_results_go_to_the_model(client: ollama.Client) -> None:
    def capital(country: str) -> str:
        """The capital of a country.

        Args:
          country: Its name.
        """
        return country

    one_token = {"num_predict": 1}
    plain = client.chat(MODEL, ASKED, options=one_token)
    calls = [{"function": {"name": "capital", "arguments": {"country": one}}} for one in ("France", "Spain")]
    results = [{"role": "tool", "tool_name": "capital", "content": one} for one in ("Paris", "Madrid")]
    talk: list[dict[str, Any]] = [*ASKED, {"role": "assistant", "content": "", "tool_calls": calls}, *results]
    told = client.chat(MODEL, ASKED, tools=[capital], options=one_token)
    after = client.chat(MODEL, talk, tools=[capital], options=one_token)
    assert (plain.prompt_eval_count or 0) < (told.prompt_eval_count or 0) < (after.prompt_eval_count or 0)


def test_a_call_of_the_model_comes_back_whole(client: ollama.Client) -> None:
    """Nobody demands it, for Ollama has no word for that: a small model calls again as it has called before."""
    asked = partial(client.chat, MODEL, CALLING, tools=[CAPITAL], options=CALL)
    whole = asked()
    assert whole.message.tool_calls and whole.done_reason == "stop" and not whole.message.content
    (call,) = whole.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("capital", {"country": "France"})
    pieces = [*asked(stream=True)]
    told = [one for piece in pieces for one in piece.message.tool_calls or ()]
    assert told == [call] and pieces[-1].done and not pieces[-1].message.tool_calls
    assert not any(piece.message.content for piece in pieces)
    talk: list[Any] = [*CALLING, whole.message, {"role": "tool", "tool_name": "capital", "content": "Paris"}]
    after = client.chat(MODEL, talk, tools=[CAPITAL], options={"num_predict": 1})
    assert (after.prompt_eval_count or 0) > (whole.prompt_eval_count or 0) + 10


def test_vectors(client: ollama.Client, served: Served, tmp_path: Path) -> None:
    served.pool.names.serve(str(write(tmp_path / "ollama-vectors-F16.gguf", "nomic-bert")))
    made = client.embed("ollama-vectors-F16", ["one", "two"])
    assert [len(one) for one in made.embeddings] == [128, 128] and made.prompt_eval_count
    assert sum(value * value for value in made.embeddings[0]) == pytest.approx(1, abs=1e-4)
    old = client.embeddings("ollama-vectors-F16", "one")
    assert list(old.embedding) == pytest.approx(list(made.embeddings[0]), abs=1e-5)
    long = "word " * 9000
    assert client.embed("ollama-vectors-F16", long).embeddings  # cut, as Ollama does unasked
    with pytest.raises(ollama.ResponseError, match="The text has"):
        client.embed("ollama-vectors-F16", long, truncate=False)
    assert client.show("ollama-vectors-F16").capabilities == ["embedding"]
    with pytest.raises(ollama.ResponseError, match="dimensions: "):
        client.embed("ollama-vectors-F16", "one", dimensions=3)


def test_what_is_here_and_what_is_loaded(client: ollama.Client, served: Served) -> None:
    client.generate(MODEL, keep_alive=-1)
    (listed,) = [one for one in client.list().models if one.model == f"{MODEL}:latest"]
    assert listed.details and (listed.details.family, listed.details.parameter_size) == ("llama", "134.52M")
    assert listed.size == 98_362_432 and listed.digest and len(listed.digest) == 64 and listed.modified_at
    shown = client.show(f"{MODEL}:latest")
    assert shown.capabilities == ["completion"] and shown.template and "im_start" in shown.template
    assert shown.modelinfo and shown.modelinfo["llama.context_length"] == 8192
    (running,) = [one for one in client.ps().models if one.model == f"{MODEL}:latest"]
    assert running.size and running.size > 98_000_000 and running.size_vram == 0
    assert running.context_length == 4096 and running.digest == listed.digest
    assert served.get("/api/version").json["version"]
    for method in ("GET", "HEAD"):
        assert served.send(method, "/", None, {}).status == 200


def test_a_model_stays_for_as_long_as_it_is_asked_to(client: ollama.Client, served: Served) -> None:
    assert client.chat(MODEL, keep_alive="10m").done_reason == "load"
    (running,) = [one for one in client.ps().models if one.model == f"{MODEL}:latest"]
    assert running.expires_at and 590 < running.expires_at.timestamp() - time.time() <= 600
    client.generate(MODEL, QUESTION, options=GREEDY, keep_alive="20ms")
    until(lambda: MODEL not in loaded(served), lambda: loaded(served))
    client.generate(MODEL, keep_alive="-1m")
    assert MODEL in loaded(served)
    assert client.generate(MODEL, keep_alive=0).done_reason == "unload" and MODEL not in loaded(served)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": {"mirostat": 2}}, "options.mirostat: "),
        ({"options": {"num_gpu": 3}}, "options.num_gpu: how a model is loaded is planned"),
        ({"options": {"repeat_last_n": 7}}, "options.repeat_last_n: "),
        ({"options": {"num_predict": 0}}, "options.num_predict: "),
        (
            {"options": {"num_ctx": 100_000}},
            "A context of 100000 tokens was asked for; smollm2-135m is loaded with 4096",
        ),
        ({"options": {"colour": 1}}, "options.colour: this server does not know it"),
        ({"think": True}, "think: smollm2-135m does not think"),
        ({"think": "hard"}, "think: it is true, false or one of low"),
        ({"think": "low", "raw": True}, "think: a prompt that is raw"),
        ({"format": "xml"}, "format: "),
        ({"format": {"pattern": "(a+)+$", "minimum": 1}}, "format: a schema with a pattern"),
        ({"keep_alive": "soon"}, "keep_alive: "),
        ({"keep_alive": "1.2.3s"}, "keep_alive: "),
        ({"images": ["aGVsbG8="]}, "images: this server gives models text"),
        ({"context": [1]}, "context: "),
        ({"suffix": " end"}, "suffix: this model has no tokens to fill a gap with"),
        ({"raw": True, "system": "x"}, "system: "),
        ({"template": "{{ if }}"}, "template refuses this conversation: {{ if }}"),
        ({"shift": True}, "shift: "),
        ({"width": 3}, "width: "),
        ({"model": 3}, "model: it is a text"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(served: Served, change: dict[str, Any], said: str) -> None:
    found = served.post("/api/generate", {"model": MODEL, "prompt": QUESTION, "stream": False, **change})
    assert found.status == 400 and found.json["error"].startswith(said), found.body


def test_what_says_nothing_unusual_is_taken(client: ollama.Client) -> None:
    usual = {
        "num_ctx": 2048,
        "num_keep": 4,
        "mirostat": 0,
        "numa": False,
        "seed": -1,
        "repeat_last_n": 64,
        "stop": ["Q"],
    }
    plain = client.generate(MODEL, QUESTION, options=GREEDY)
    found = client.generate(MODEL, QUESTION, options={**usual, **GREEDY}, think=False, context=[], images=[])
    assert found.response == plain.response
    briefer = client.generate(MODEL, QUESTION, options=GREEDY, system="You are brief.", template="{{ .Prompt }}")
    assert (briefer.prompt_eval_count or 0) < (plain.prompt_eval_count or 0)


def test_errors_are_those_that_it_knows(client: ollama.Client, served: Served) -> None:
    for path in ("chat", "show", "embed"):
        assert served.post(f"/api/{path}", {"model": "gpt-9"}).status == 404
    with pytest.raises(ollama.ResponseError, match="There is no model 'gpt-9' here") as unknown:
        list(client.chat("gpt-9", ASKED, stream=True))
    assert unknown.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="the context holds 4096"):
        list(client.chat(MODEL, [{"role": "user", "content": "word " * 40_000}], stream=True))
    with pytest.raises(ollama.ResponseError, match="makes no vectors"):
        client.embed(MODEL, "one")
    assert client.pull(MODEL).status == "success"
    with pytest.raises(ollama.ResponseError, match="localrun pull gpt-9 does"):
        client.pull("gpt-9")
    with pytest.raises(ollama.ResponseError, match="localrun rm NAME does") as refused:
        client.delete(MODEL)
    assert refused.value.status_code == 403
    for path in ("push", "create", "copy", "blobs/sha256:0"):
        said = served.post(f"/api/{path}", {"model": MODEL})
        assert said.status == 403 and said.json["error"].startswith("This server ")
    nothing = served.get("/api/nothing")
    assert (nothing.status, [*nothing.json]) == (404, ["error"])


def test_leaving_a_stream_stops_it(client: ollama.Client, served: Served) -> None:
    long = {"num_predict": 2000}
    with served.leaving():
        answer = client.chat(MODEL, [{"role": "user", "content": STORY}], options=long, stream=True)
        assert not next(iter(answer)).done
        del answer
    with served.leaving():
        text = client.generate(MODEL, STORY, options=long, stream=True)
        assert not next(iter(text)).done
        del text
