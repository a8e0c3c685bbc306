"""Chat completions of OpenAI's dialect, by the real small model over HTTP."""

import json
from dataclasses import replace
from typing import Any

import pytest

from runner.types.sampling import Sampling
from tests.support.asked import THINKS
from tests.support.server import Served

MODEL = "smollm2-135m"
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Name three colours."}], "temperature": 0}
SHORT = {**ASKED, "max_tokens": 8}
CHAT = "/v1/chat/completions"
TOOL = "tools[0].function"


def text_of(events: list[Any], key: str = "content") -> str:
    choices = [choice for one in events if one != "[DONE]" for choice in one["choices"]]
    return "".join(choice["delta"].get(key, "") for choice in choices)


def test_what_is_here_is_loaded_when_a_request_names_it_and_says_so(served: Served) -> None:
    for one in served.pool.residents():
        assert served.pool.unload(one)
    assert served.get("/health").json == {"status": "ok"} and not served.pool.residents()
    assert MODEL in [one["id"] for one in served.get("/v1/models").json["data"]]
    said = served.post(CHAT, {**SHORT, "stream": True, "stream_options": {"include_usage": True}})
    assert said.status == 200 and said.headers["content-type"].startswith("text/event-stream")
    assert said.comments[0].startswith(f"loading {MODEL}")
    *pieces, usage, done = said.events
    assert pieces[0]["choices"][0]["delta"]["role"] == "assistant"
    assert pieces[-1]["choices"][0]["finish_reason"] == "length"
    assert usage["choices"] == [] and usage["usage"]["completion_tokens"] == 8 and done == "[DONE]"
    assert [one.known.name for one in served.pool.residents()] == [MODEL]


def test_whole_and_in_pieces_it_is_the_same_text(served: Served) -> None:
    whole = served.post(CHAT, SHORT).json
    pieces = served.post(CHAT, {**SHORT, "stream": True}).events
    (choice,) = whole["choices"]
    assert choice["message"] == {"role": "assistant", "content": text_of(pieces)}
    assert whole["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
    assert "usage" not in pieces[0]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"foo": 1}, "foo"),
        ({"temperature": 11}, "temperature"),
        ({"n": 0}, "n"),
        ({"tools": [{"type": "function"}]}, TOOL),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [{"function": {"name": "x", "colour": 1}}]}, f"{TOOL}.colour"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"parallel_tool_calls": "false"}, "parallel_tool_calls"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"reasoning_effort": "hard"}, "reasoning_effort"),
        ({"stop": ["x"] * 65}, "stop"),
        ({"stop": "x" * 5000}, "stop"),
        ({"tools": [{"function": {"name": "x", "parameters": {"enum": ["x" * 200_000]}}}]}, f"{TOOL}.parameters"),
        ({"messages": [{"role": "user", "name": one, "content": "Hi"} for one in "ab"]}, "messages[1].name"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].type"),
        ({"messages": []}, "messages"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"store": True}, "store"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(served: Served, change: dict[str, Any], param: str) -> None:
    said = served.post(CHAT, {**SHORT, **change})
    error = said.json["error"]
    assert (said.status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert error["message"].startswith(f"{param}: ")


def test_other_errors_have_their_status_and_code(served: Served) -> None:
    unknown = served.post(CHAT, {**SHORT, "model": "/etc/passwd"})
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "model_not_found")
    long = served.post(CHAT, {**SHORT, "messages": [{"role": "user", "content": "word " * 40_000}]})
    assert (long.status, long.json["error"]["code"]) == (400, "context_length_exceeded")
    assert served.get("/v1/nothing").status == 404
    assert served.send("POST", CHAT, b"{", {}).status == 400


def test_what_is_asked_of_sampling_is_done(served: Served) -> None:
    usual = served.post(CHAT, SHORT).json["choices"][0]["message"]["content"]
    first = served.post(CHAT, {**SHORT, "logprobs": True, "top_logprobs": 3}).json["choices"][0]["logprobs"]["content"]
    assert len(first) == 8 and len(first[0]["top_logprobs"]) == 3 and first[0]["bytes"] == list(usual[:1].encode())
    stopped = served.post(CHAT, {**SHORT, "stop": [usual[4:7]]}).json["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == (usual[:4], "stop")
    chosen = served.post(CHAT, {**SHORT, "max_tokens": 3, "logit_bias": {"33": 100}}).json["choices"][0]
    assert len(set(chosen["message"]["content"])) == 1
    rare = {**SHORT, "max_tokens": 40}
    often = served.post(CHAT, {**rare, "frequency_penalty": -2}).json["choices"][0]["message"]["content"]
    seldom = served.post(CHAT, {**rare, "frequency_penalty": 2}).json["choices"][0]["message"]["content"]
    assert len(set(often.split())) < len(set(seldom.split()))


def test_several_answers_to_one_question_differ_in_pieces_too(served: Served) -> None:
    asked = {**SHORT, "n": 3, "seed": 7, "temperature": 1.5}
    found = served.post(CHAT, asked).json
    texts = [one["message"]["content"] for one in found["choices"]]
    assert [one["index"] for one in found["choices"]] == [0, 1, 2] and len(set(texts)) == 3
    assert found["usage"]["completion_tokens"] == 24
    pieces = served.post(CHAT, {**asked, "stream": True}).events
    again = [[piece for piece in pieces[:-1] if piece["choices"][0]["index"] == index] for index in range(3)]
    assert all(text_of(one) and one[-1]["choices"][0]["finish_reason"] == "length" for one in again)


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 0.000001}, {"min_p": 1.0}])
def test_what_leaves_one_word_to_choose_leaves_that_of_temperature_0(served: Served, narrow: dict[str, float]) -> None:
    expected = served.post(CHAT, SHORT).json["choices"][0]["message"]["content"]
    hot = {**SHORT, "temperature": 5, **narrow}
    assert served.post(CHAT, hot).json["choices"][0]["message"]["content"] == expected
    options = {"temperature": 5, "num_predict": 8, **narrow}
    ollama = {"model": MODEL, "messages": SHORT["messages"], "stream": False, "options": options}
    assert served.post("/api/chat", ollama).json["message"]["content"] == expected
    if "min_p" not in narrow:  # which Anthropic does not know
        assert served.post("/v1/messages", hot).json["content"][0]["text"] == expected


def test_penalties_count_what_was_said(served: Served) -> None:
    def kinds(penalty: dict[str, float]) -> int:
        text = served.post(CHAT, {**SHORT, "max_tokens": 40, **penalty}).json["choices"][0]["message"]["content"]
        return len(set(text.split()))

    for name, often, seldom in (("presence_penalty", -2, 2), ("repeat_penalty", 0.5, 2)):
        assert kinds({name: often}) < kinds({name: seldom}), name


def test_a_seed_says_the_same_again(served: Served) -> None:
    warm = {**SHORT, "temperature": 1.5, "max_tokens": 12}
    texts = [served.post(CHAT, {**warm, "seed": seed}).json["choices"][0]["message"]["content"] for seed in (7, 7, 8)]
    assert texts[0] == texts[1] != texts[2]


def test_thinking_is_apart_and_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.desk, "sampling", replace(Sampling(), templating=THINKS))
    asked = {**SHORT, "max_tokens": 60, "reasoning_effort": "high", "think_budget": 8}
    whole = served.post(CHAT, asked).json
    message, details = whole["choices"][0]["message"], whole["usage"]["completion_tokens_details"]
    assert message["content"] and 8 <= details["reasoning_tokens"] < whole["usage"]["completion_tokens"]
    pieces = served.post(CHAT, {**asked, "stream": True}).events
    assert message["reasoning_content"] and text_of(pieces, "reasoning_content") and text_of(pieces)
    off = served.post(CHAT, {**asked, "reasoning_effort": "none", "think_budget": None}).json["choices"][0]["message"]
    assert off["content"] and "reasoning_content" not in off


@pytest.mark.parametrize(
    "form",
    [
        {"response_format": {"type": "json_object"}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "colours",
                    "schema": {"type": "object", "properties": {"name": {"enum": ["red"]}}, "required": ["name"]},
                },
            }
        },
        {"grammar": 'root ::= "{" "}"'},
    ],
)
def test_an_answer_is_held_to_its_form(served: Served, form: dict[str, Any]) -> None:
    (choice,) = served.post(CHAT, {**SHORT, "max_tokens": 60, **form}).json["choices"]
    text = choice["message"]["content"]
    assert choice["finish_reason"] == "length" or isinstance(json.loads(text), dict)
    assert text.startswith("{") and ("schema" not in str(form) or json.loads(text) == {"name": "red"})


def test_a_form_that_is_none_is_refused(served: Served) -> None:
    for form in (
        {"grammar": "root ::= ("},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 3}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": ["x" * 200_000]}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"pattern": "(a+)+$", "minimum": 1}}}},
        {"grammar": "x", "response_format": {"type": "json_object"}},
    ):
        assert served.post(CHAT, {**SHORT, **form}).status == 400, form
