"""The package `anthropic`, as programs use it, against the real small model."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, TextBlockParam, ToolParam, ToolUseBlock

from runner.types.sampling import Sampling
from tests.support.asked import COUNTRY, MODEL, QUESTION, STORY, THINKS, Answer
from tests.support.server import PATIENCE_S, Served

ASKED: list[MessageParam] = [{"role": "user", "content": QUESTION}]
GREEDY = {"temperature": 0}
HEAD = {"anthropic-version": "2023-06-01"}
TOOLS: list[ToolParam] = [
    {
        "name": "capital",
        "description": "The capital of a country.",
        "input_schema": COUNTRY,
        "cache_control": {"type": "ephemeral"},
    }
]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[anthropic.Anthropic]:
    url = served.url.removesuffix("/v1")
    with closing(anthropic.Anthropic(base_url=url, api_key="none", timeout=PATIENCE_S, max_retries=0)) as one:
        yield one


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_texts_are_those_of_openais_chat(client: anthropic.Anthropic, served: Served) -> None:
    system = "Answer in one word."
    conversation = [{"role": "system", "content": system}, *ASKED]
    chat = {"model": MODEL, "messages": conversation, "temperature": 0, "max_tokens": 6}
    expected = served.post("/v1/chat/completions", chat).json["choices"][0]["message"]["content"]
    blocks: list[MessageParam] = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    systems: list[str | list[TextBlockParam]] = [system, [{"type": "text", "text": system}]]
    for said, messages in zip(systems, (ASKED, blocks), strict=True):
        found = client.messages.create(
            model=MODEL,
            max_tokens=6,
            system=said,
            messages=messages,
            metadata={"user_id": "u"},
            extra_body=GREEDY,
        )
        assert (text_of(found), found.stop_reason) == (expected, "max_tokens")
        used, count = found.usage, client.messages.count_tokens(model=MODEL, system=system, messages=ASKED)
        assert used.input_tokens + (used.cache_read_input_tokens or 0) == count.input_tokens
        assert (used.cache_read_input_tokens or 0) > 0 and used.output_tokens == 6


def test_events_come_in_order_and_make_the_same_message(client: anthropic.Anthropic) -> None:
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 8, "messages": ASKED, "extra_body": GREEDY}
    kinds = [one.type for one in client.messages.create(**asked, stream=True)]
    head, tail = kinds[:2], kinds[-3:]
    assert head == ["message_start", "content_block_start"]
    assert tail == ["content_block_stop", "message_delta", "message_stop"]
    assert {*kinds[2:-3]} == {"content_block_delta"}
    with client.messages.stream(**asked) as stream:
        text, final = "".join(stream.text_stream), stream.get_final_message()
    whole = client.messages.create(**asked)
    assert text == text_of(final) == text_of(whole)
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, 8)
    assert final.usage.input_tokens + (final.usage.cache_read_input_tokens or 0) > 8


def test_a_stop_is_told_and_a_begun_answer_goes_on(client: anthropic.Anthropic) -> None:
    whole = client.messages.create(model=MODEL, max_tokens=16, messages=ASKED, extra_body=GREEDY)
    text = text_of(whole)
    end = text.split()[2]
    stopped = client.messages.create(
        model=MODEL, max_tokens=16, messages=ASKED, stop_sequences=["missing", end], extra_body=GREEDY
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", end)
    assert text_of(stopped) == text[: text.index(end)]
    begun: list[MessageParam] = [*ASKED, {"role": "assistant", "content": text[: text.index(end)].rstrip()}]
    more = client.messages.create(model=MODEL, max_tokens=1, messages=begun, extra_body=GREEDY)
    assert text_of(more).strip() and text_of(more).strip() in text


def test_tools_are_called_and_their_results_come_back(client: anthropic.Anthropic, served: Served) -> None:
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 60, "messages": ASKED, "tools": TOOLS, "extra_body": GREEDY}
    forced = {**asked, "tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    found = client.messages.create(**forced)
    (call,) = found.content
    assert isinstance(call, ToolUseBlock) and found.stop_reason == "tool_use"
    assert call.name == "capital" and call.input["country"] in ("France", "Spain")
    with client.messages.stream(**{**forced, "tool_choice": {"type": "tool", "name": "capital"}}) as stream:
        kinds = [one.type for one in stream]
        streamed = stream.get_final_message().content[0]
    assert isinstance(streamed, ToolUseBlock) and streamed.input == call.input and "input_json" in kinds
    results: MessageParam = {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "Paris"}]},
            {"type": "tool_result", "tool_use_id": streamed.id, "content": "no such country", "is_error": True},
            {"type": "text", "text": "So?"},
        ],
    }
    history: list[MessageParam] = [*ASKED, {"role": "assistant", "content": [*found.content, streamed]}, results]
    asked |= {"messages": history}
    after = client.messages.create(**{**asked, "max_tokens": 4})
    counted = client.messages.count_tokens(model=MODEL, messages=history, tools=TOOLS).input_tokens
    assert after.usage.input_tokens + (after.usage.cache_read_input_tokens or 0) == counted
    assert counted > client.messages.count_tokens(model=MODEL, messages=history).input_tokens
    assert 'localrun_answers_total{model="smollm2-135m",finish="tool_calls"}' in served.get("/metrics").body.decode()


def test_thinking_is_a_block_of_its_own(
    client: anthropic.Anthropic, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.desk, "sampling", replace(Sampling(), templating=THINKS))
    asked: dict[str, Any] = {"model": MODEL, "max_tokens": 60, "messages": ASKED, "extra_body": GREEDY}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 8}
    whole = client.messages.create(**asked)
    assert [block.type for block in whole.content] == ["thinking", "text"]
    details = whole.usage.output_tokens_details
    assert details is not None and 8 <= details.thinking_tokens < whole.usage.output_tokens
    with client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert [block.to_dict() for block in final.content] == [block.to_dict() for block in whole.content]
    history: list[MessageParam] = [*ASKED, whole.to_param(), {"role": "user", "content": "Are you sure?"}]
    off = client.messages.create(**{**asked, "messages": history, "thinking": {"type": "disabled"}})
    assert [block.type for block in off.content] == ["text"]


def test_structured_output(client: anthropic.Anthropic) -> None:
    found = client.messages.parse(model=MODEL, max_tokens=60, messages=ASKED, output_format=Answer, extra_body=GREEDY)
    assert found.parsed_output is not None and found.parsed_output.city
    with client.messages.stream(
        model=MODEL, max_tokens=60, messages=ASKED, output_format=Answer, extra_body=GREEDY
    ) as stream:
        assert isinstance(stream.get_final_message().parsed_output, Answer)


def test_models_are_listed_for_both_kinds_of_clients(client: anthropic.Anthropic, served: Served) -> None:
    assert MODEL in [one.id for one in client.models.list(limit=1)]
    loaded = client.models.retrieve(MODEL)
    assert loaded.id == MODEL and loaded.max_input_tokens == 4096 and loaded.created_at.year > 2000
    assert served.get("/v1/models").json["object"] == "list"
    assert served.get("/v1/models/none").json["error"]["code"] == "model_not_found"
    assert served.get("/v1/models/none", **HEAD).json["error"]["type"] == "not_found_error"
    assert served.get("/v1/models?limit=x", **HEAD).status == 400


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"foo": 1}, "foo"),
        ({"temperature": 11}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop_sequences": [""]}, "stop_sequences"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}]}
                ]
            },
            "messages[0].content[0].type",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "redacted_thinking"}]}]},
            "messages[0].content[0].type",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"effort": "low"}}, "output_config.effort"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "thinking.type"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}, "context_management.edits[0].keep"),
        ({"mcp_servers": [{"type": "url", "url": "http://x"}]}, "mcp_servers"),
        ({"container": "x"}, "container"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(served: Served, change: dict[str, Any], param: str) -> None:
    said = served.post("/v1/messages", {"model": MODEL, "max_tokens": 4, "messages": ASKED, **change})
    assert (said.status, said.json["type"], said.json["error"]["type"]) == (400, "error", "invalid_request_error")
    assert said.json["error"]["message"].startswith(f"{param}: ")


def test_what_agents_send_and_no_answer_depends_on_is_passed_over(served: Served) -> None:
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}
    settings = {"service_tier": "auto", "metadata": {"user_id": "u"}, "context_management": edits}
    thinking = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
    asked = {"model": MODEL, "max_tokens": 1, "messages": ASKED, "system": system, **settings, **thinking}
    said = served.post("/v1/messages?beta=true", asked, **HEAD, anthropic_beta="context-management-2025-06-27")
    assert said.status == 200, said.body


def test_errors_are_those_that_it_knows(client: anthropic.Anthropic, served: Served) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(model="claude-9", max_tokens=1, messages=ASKED)
    assert unknown.value.type == "not_found_error"
    long: list[MessageParam] = [{"role": "user", "content": "word " * 40_000}]
    with pytest.raises(anthropic.BadRequestError, match="tokens"):
        client.messages.create(model=MODEL, max_tokens=1, messages=long, stream=True)
    assert served.post("/v1/messages/nothing", {}).json["type"] == "error"


def test_leaving_a_stream_stops_it(client: anthropic.Anthropic, served: Served) -> None:
    told: list[MessageParam] = [{"role": "user", "content": STORY}]
    with served.leaving(), client.messages.stream(model=MODEL, max_tokens=2000, messages=told) as stream:
        assert next(iter(stream.text_stream))
