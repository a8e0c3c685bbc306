"""The package `openai`, as programs use it, against the real small model."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolUnionParam

from scripts.synthetic.embedders import write
from tests.support.asked import COUNTRY, DAYS, MODEL, QUESTION, STORY, Answer
from tests.support.server import PATIENCE_S, Served

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]


TOOLS: list[ChatCompletionToolUnionParam] = [
    {
        "type": "function",
        "function": {
            "name": "capital",
            "description": "The capital of a country.",
            "parameters": COUNTRY,
        },
    }
]


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[openai.OpenAI]:
    with closing(openai.OpenAI(base_url=served.url, api_key="none", timeout=PATIENCE_S, max_retries=0)) as one:
        yield one


def test_texts_at_temperature_0_are_those_of_the_command(client: openai.OpenAI) -> None:
    words = ["-p", DAYS, "--temp", "0", "--max-tokens", "24", "--ctx", "4096", "--threads", "1", "--draft", "off"]
    command = [sys.executable, "-P", "-m", "localrun", MODEL, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True, stdin=-3)
    asked: list[ChatCompletionMessageParam] = [{"role": "user", "content": DAYS}]
    found = client.chat.completions.create(model=MODEL, messages=asked, temperature=0, max_tokens=24)
    assert (found.choices[0].message.content or "").strip() == done.stdout.strip()
    assert found.usage is not None and found.usage.completion_tokens == 24


def test_pieces_make_the_same_text(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=ASKED, temperature=0, max_completion_tokens=8)
    stream = client.chat.completions.create(
        model=MODEL, messages=ASKED, temperature=0, max_tokens=8, stream=True, stream_options={"include_usage": True}
    )
    pieces = list(stream)
    text = "".join(choice.delta.content or "" for one in pieces for choice in one.choices)
    assert text == whole.choices[0].message.content
    told = pieces[-1].usage
    assert told is not None and told.prompt_tokens_details is not None
    assert told.completion_tokens == 8 and (told.prompt_tokens_details.cached_tokens or 0) > 0


def test_structured_output(client: openai.OpenAI) -> None:
    found = client.chat.completions.parse(
        model=MODEL, messages=ASKED, temperature=0, max_tokens=60, response_format=Answer
    )
    parsed = found.choices[0].message.parsed
    assert parsed is not None and parsed.city
    with client.chat.completions.stream(
        model=MODEL, messages=ASKED, temperature=0, max_tokens=60, response_format=Answer
    ) as stream:
        stream.until_done()
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Answer)


def test_tools_are_called_and_their_results_come_back(client: openai.OpenAI) -> None:
    asked = partial(
        client.chat.completions.create,
        model=MODEL,
        messages=ASKED,
        temperature=0,
        max_tokens=60,
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
    )
    found = asked(stream=False)
    (choice,) = found.choices
    assert choice.finish_reason == "tool_calls" and choice.message.tool_calls
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.function.name == "capital"
    assert isinstance(json.loads(call.function.arguments)["country"], str)
    stream = cast("openai.Stream[ChatCompletionChunk]", asked(stream=True))
    deltas = [one for piece in stream for one in piece.choices[0].delta.tool_calls or ()]
    pieces = [one.function.arguments or "" for one in deltas if one.function]
    assert "".join(pieces) == call.function.arguments and deltas[0].id
    result: ChatCompletionMessageParam = {"role": "tool", "tool_call_id": call.id, "content": "Paris"}
    said = cast("ChatCompletionMessageParam", choice.message.model_dump(exclude_none=True))
    after = client.chat.completions.create(model=MODEL, messages=[*ASKED, said, result], tools=TOOLS, max_tokens=8)
    assert after.usage is not None and after.usage.prompt_tokens > (found.usage.prompt_tokens if found.usage else 0)


def test_calls_side_by_side_are_told_apart(client: openai.OpenAI) -> None:
    """A small model that has made two at a time makes two."""

    def both(one: str, other: str, number: int) -> list[Any]:
        calls = [
            {
                "id": f"{number}{at}",
                "type": "function",
                "function": {"name": "capital", "arguments": f'{{"country": "{of}"}}'},
            }
            for at, of in enumerate((one, other))
        ]
        asked = f"What are the capitals of {one} and {other}?"
        return [{"role": "user", "content": asked}, {"role": "assistant", "content": None, "tool_calls": calls}]

    talk = [*both("Italy", "Peru", 1), *both("Chile", "Japan", 2), both("France", "Spain", 3)[0]]
    asked: dict[str, Any] = {"model": MODEL, "messages": talk, "tools": TOOLS, "temperature": 0, "max_tokens": 100}
    found = client.chat.completions.create(**asked)
    message = found.choices[0].message
    calls = message.tool_calls
    told = [one.function.arguments for one in calls]
    assert told == ['{"country": "France"}', '{"country": "Spain"}'] and calls[0].id != calls[1].id
    with client.chat.completions.stream(**asked) as stream:
        stream.until_done()
        streamed = stream.get_final_completion().choices[0].message.tool_calls or ()
    assert [one.function.arguments for one in streamed] == told
    one = client.chat.completions.create(**asked, parallel_tool_calls=False).choices[0].message
    assert [call.function.arguments for call in one.tool_calls] == told[:1]
    results = [
        {"role": "tool", "tool_call_id": one.id, "content": city}
        for one, city in zip(calls, ("Paris", "Madrid"), strict=True)
    ]
    said = message.model_dump(exclude_none=True)
    after = client.chat.completions.create(**{**asked, "messages": [*talk, said, *results], "max_tokens": 4})
    assert after.usage.prompt_tokens > found.usage.prompt_tokens + 20


def test_texts_and_vectors(client: openai.OpenAI, served: Served, tmp_path: Path) -> None:
    text = client.completions.create(model=MODEL, prompt="One, two, three,", temperature=0, max_tokens=3)
    assert text.choices[0].text.startswith(" four")
    served.pool.names.serve(str(write(tmp_path / "vectors-F16.gguf", "nomic-bert")))
    made = client.embeddings.create(model="vectors-F16", input=["one", "two"])  # base64, which it decodes
    plain = client.embeddings.create(model="vectors-F16", input=["one", "two"], encoding_format="float")
    assert [len(one.embedding) for one in made.data] == [128, 128]
    assert made.data[1].embedding == pytest.approx(plain.data[1].embedding, abs=1e-6)
    assert {MODEL, "vectors-F16"} <= {one.id for one in client.models.list()}
    assert client.models.retrieve(MODEL).id == MODEL


def test_errors_are_those_that_it_knows(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=ASKED)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.chat.completions.create(model=MODEL, messages=ASKED, verbosity="low")
    assert wrong.value.param == "verbosity"
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 40_000}])
    assert long.value.code == "context_length_exceeded"


def test_leaving_a_stream_stops_it(client: openai.OpenAI, served: Served) -> None:
    with served.leaving():
        told: list[ChatCompletionMessageParam] = [{"role": "user", "content": STORY}]
        stream = client.chat.completions.create(model=MODEL, messages=told, max_tokens=2000, stream=True)
        assert any(choice.delta.content for one in stream for choice in one.choices)
        stream.close()
    with served.leaving():
        texts = client.completions.create(model=MODEL, prompt="Once upon a time", max_tokens=2000, stream=True)
        assert any(choice.text for one in texts for choice in one.choices)
        texts.close()
