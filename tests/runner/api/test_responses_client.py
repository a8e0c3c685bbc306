"""`responses` of the package `openai`, as programs use it, against the real small model."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall, ResponseInputParam

from runner.api.openai.responses.conversation import joined
from runner.api.remembered import Memory, Remembered
from runner.types.generation import Message
from runner.types.sampling import Sampling
from runner.types.tools import ToolCall
from tests.support.asked import COUNTRY, MODEL, QUESTION, STORY, THINKS, Answer
from tests.support.server import PATIENCE_S, Served

TOOLS: list[FunctionToolParam] = [
    {
        "type": "function",
        "name": "capital",
        "description": "The capital of a country.",
        "parameters": {**COUNTRY, "additionalProperties": False},
        "strict": True,
    }
]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    with closing(openai.OpenAI(base_url=served.url, api_key="none", timeout=PATIENCE_S, max_retries=0)) as one:
        yield one


def chat(served: Served, messages: list[dict[str, str]], most: int) -> str:
    asked = {"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": most}
    content = served.post("/v1/chat/completions", asked).json["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def test_texts_are_those_of_a_chat_and_a_next_request_goes_on_from_them(client: openai.OpenAI, served: Served) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    first = client.responses.create(
        model=MODEL,
        instructions="Be brief.",
        input=QUESTION,
        temperature=0,
        max_output_tokens=6,
        metadata={"for": "a test"},
    )
    assert first.output_text == chat(served, turns, 6)
    assert first.status == "incomplete" and first.metadata == {"for": "a test"}
    assert first.incomplete_details is not None and first.incomplete_details.reason == "max_output_tokens"
    turns = [*turns[1:], {"role": "assistant", "content": first.output_text}, {"role": "user", "content": "And Spain?"}]
    parts: ResponseInputParam = [{"role": "user", "content": [{"type": "input_text", "text": "And Spain?"}]}]
    next_one = client.responses.create(
        model=MODEL, previous_response_id=first.id, input=parts, temperature=0, max_output_tokens=6
    )
    assert next_one.output_text == chat(served, turns, 6) and next_one.previous_response_id == first.id
    used = next_one.usage
    assert used is not None and used.output_tokens == 6 and used.total_tokens == used.input_tokens + 6
    assert used.input_tokens_details.cached_tokens > 0 and used.output_tokens_details.reasoning_tokens == 0
    by_items: ResponseInputParam = [
        {"role": "user", "content": QUESTION},
        *[one.to_dict() for one in first.output],  # type: ignore[list-item]
        *parts,
    ]
    again = client.responses.create(model=MODEL, input=by_items, temperature=0, max_output_tokens=6, store=False)
    assert again.output_text == next_one.output_text
    assert client.responses.retrieve(first.id).output_text == first.output_text
    client.responses.delete(first.id)
    for name in (first.id, again.id):
        with pytest.raises(openai.NotFoundError, match="there is no response"):
            client.responses.retrieve(name)
    with pytest.raises(openai.BadRequestError) as gone:
        client.responses.create(model=MODEL, previous_response_id=first.id, input="?")
    assert gone.value.param == "previous_response_id"


def test_events_come_in_order_with_their_numbers(client: openai.OpenAI, served: Served) -> None:
    end = chat(served, [{"role": "user", "content": QUESTION}], 12).split()[2]
    asked: dict[str, Any] = {"model": MODEL, "input": QUESTION, "temperature": 0, "max_output_tokens": 40}
    asked["extra_body"] = {"stop": [end]}  # which is no field of OpenAI's
    events = list(client.responses.create(**asked, stream=True))
    assert [one.sequence_number for one in events] == [*range(len(events))]
    kinds = [one.type.removeprefix("response.") for one in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert {*kinds[4:-4]} == {"output_text.delta"}
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    with client.responses.stream(**asked) as stream:
        text = "".join(one.delta for one in stream if one.type == "response.output_text.delta")
        final = stream.get_final_response()
    whole = client.responses.create(**asked)
    assert text == final.output_text == whole.output_text and final.status == whole.status == "completed"
    followed = client.responses.create(model=MODEL, previous_response_id=final.id, input="So?", max_output_tokens=1)
    assert followed.usage is not None and whole.usage is not None
    assert followed.usage.input_tokens > whole.usage.input_tokens + 3
    cut = [one.type for one in client.responses.create(**{**asked, "max_output_tokens": 2}, stream=True)]
    assert cut[-1] == "response.incomplete"


def test_functions_are_called_and_their_outputs_come_back(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "input": QUESTION, "tools": TOOLS, "temperature": 0}
    asked |= {"max_output_tokens": 60, "parallel_tool_calls": False}
    found = client.responses.create(**asked, tool_choice="required")
    (call,) = found.output
    assert isinstance(call, ResponseFunctionToolCall) and call.name == "capital"
    assert json.loads(call.arguments)["country"] in ("France", "Spain")
    forced = {"type": "function", "name": "capital"}
    events = list(client.responses.create(**{**asked, "tool_choice": forced}, stream=True))
    kinds = [one.type.removeprefix("response.") for one in events]
    assert kinds[2] == "output_item.added" and kinds[3] == "function_call_arguments.delta"
    assert kinds[-3:] == ["function_call_arguments.done", "output_item.done", "completed"]
    pieces = [one.delta for one in events if one.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == call.arguments
    output: ResponseInputParam = [{"type": "function_call_output", "call_id": call.call_id, "output": "Paris"}]
    after = client.responses.create(
        model=MODEL, previous_response_id=found.id, input=output, tools=TOOLS, max_output_tokens=4
    )
    assert after.usage is not None and found.usage is not None
    assert after.usage.input_tokens > found.usage.input_tokens + 4


def test_thinking_is_an_item_and_comes_back(
    client: openai.OpenAI, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.desk, "sampling", replace(Sampling(), templating=THINKS, think_budget=8))
    asked: dict[str, Any] = {"model": MODEL, "input": QUESTION, "temperature": 0, "max_output_tokens": 60}
    asked |= {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        kinds = [one.type.removeprefix("response.") for one in stream]
        final = stream.get_final_response()
    thinking, message = whole.output
    assert thinking.type == "reasoning" and message.type == "message" and thinking.content
    assert kinds.index("reasoning_text.done") < kinds.index("output_text.delta")
    streamed = final.output[0]
    assert streamed.type == "reasoning" and streamed.content and streamed.content[0].text == thinking.content[0].text
    assert whole.usage is not None and whole.usage.output_tokens_details.reasoning_tokens >= 8
    question = {"role": "user", "content": QUESTION}
    more = {"role": "user", "content": "Are you sure?"}
    sealed = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": thinking.encrypted_content}
    counts = set()
    for item in (thinking.to_dict(), sealed):
        said = client.responses.create(**{**asked, "input": [question, item, message.to_dict(), more]})
        assert said.usage is not None
        counts.add(said.usage.input_tokens)
    assert len(counts) == 1
    off = client.responses.create(**{**asked, "reasoning": {"effort": "none"}})
    assert [one.type for one in off.output] == ["message"]


def test_structured_output_and_likelihoods(client: openai.OpenAI) -> None:
    found = client.responses.parse(model=MODEL, input=QUESTION, temperature=0, max_output_tokens=60, text_format=Answer)
    assert found.output_parsed is not None and found.output_parsed.city
    with client.responses.stream(
        model=MODEL, input=QUESTION, temperature=0, max_output_tokens=60, text_format=Answer
    ) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Answer)
    form = {"format": {"type": "json_object"}}
    asked: dict[str, Any] = {"model": MODEL, "input": QUESTION, "temperature": 0, "max_output_tokens": 4, "text": form}
    asked |= {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    (message,) = client.responses.create(**asked).output
    assert message.type == "message" and message.content[0].type == "output_text"
    part = message.content[0]
    assert part.text.startswith("{") and part.logprobs and len(part.logprobs[0].top_logprobs) == 2
    ends = [one for one in client.responses.create(**asked, stream=True) if one.type == "response.output_text.done"]
    assert [one.token for one in ends[0].logprobs] == [one.token for one in part.logprobs]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"foo": 1}, "foo"),
        ({"input": []}, "input"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [{"type": "reasoning", "encrypted_content": "gAAAAB?"}]}, "input[0].encrypted_content"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"truncation": "auto"}, "truncation"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"store": "yes"}, "store"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(served: Served, change: dict[str, Any], param: str) -> None:
    said = served.post("/v1/responses", {"model": MODEL, "input": QUESTION, "max_output_tokens": 4, **change})
    error = said.json["error"]
    assert (said.status, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert error["message"].startswith(f"{param}: ")


def test_errors_are_those_that_it_knows_and_leaving_a_stream_stops_it(client: openai.OpenAI, served: Served) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model="gpt-9", input="Hi")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as long:
        client.responses.create(model=MODEL, input="word " * 40_000, stream=True)
    assert long.value.code == "context_length_exceeded"
    with served.leaving():
        stream = client.responses.create(model=MODEL, input=STORY, max_output_tokens=2000, stream=True)
        assert any(one.type == "response.output_text.delta" for one in stream)
        stream.close()


def test_items_of_one_turn_become_one_turn() -> None:
    call, other = ToolCall("1", "f"), ToolCall("2", "g")
    thought, text = Message("assistant", "", "hm"), Message("assistant", "so")
    calls = [Message("assistant", "", calls=(one,)) for one in (call, other)]
    result = Message("tool", "x", answers="1")
    assert joined([thought, text, *calls]) == (Message("assistant", "so", "hm", (call, other)),)
    assert joined([calls[0], result, thought, text]) == (calls[0], result, Message("assistant", "so", "hm"))
    assert joined([text, text, Message("user", "?"), text]) == (text, text, Message("user", "?"), text)
    assert joined([calls[0], thought]) == (calls[0], thought)


def test_what_is_kept_is_bounded() -> None:
    memory = Remembered(2, 100)
    for name in "abc":
        memory.keep(name, Memory((Message("user", name),), "{}"))
        memory.of("a")
    assert [name for name in "abc" if memory.of(name)] == ["a", "c"]
    memory.keep("d", Memory((Message("user", "d" * 90),), "{}"))
    assert [name for name in "abcd" if memory.of(name)] == ["c", "d"]
    memory.keep("e", Memory((Message("user", "e" * 101),), "{}"))
    assert not [name for name in "abcde" if memory.of(name)]
