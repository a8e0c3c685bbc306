"""The asynchronous halves of the packages `openai`, `anthropic` and `ollama`, against the real small model."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import ollama
import openai
import pytest

from scripts.synthetic.embedders import write
from tests.support.asked import CALLING, COUNTRY, MODEL, QUESTION, STORY, Answer
from tests.support.server import PATIENCE_S, Served, cancelled

ASKED: Any = [{"role": "user", "content": QUESTION}]
TOLD: Any = [{"role": "user", "content": STORY}]
TOO_LONG: Any = [{"role": "user", "content": "word " * 40_000}]
COUNTRIES = COUNTRY["properties"]["country"]["enum"]
FUNCTION: dict[str, Any] = {"name": "capital", "description": "The capital of a country.", "parameters": COUNTRY}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]
GREEDY: dict[str, Any] = {"model": MODEL, "temperature": 0}


def say(number: int) -> Any:
    return [{"role": "user", "content": f"Say {number}."}]


def served_vectors(served: Served, path: Path) -> str:
    """The name of a model that makes some."""
    served.pool.names.serve(str(write(path, "nomic-bert")))
    return path.stem


# ---- openai


@pytest.fixture
async def gpt(served: Served) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=served.url, api_key="none", timeout=PATIENCE_S, max_retries=0) as one:
        yield one


async def test_openai_streams_side_by_side(gpt: openai.AsyncOpenAI) -> None:
    async def chat(number: int) -> str:
        stream = await gpt.chat.completions.create(**GREEDY, messages=say(number), max_tokens=4, stream=True)
        return "".join([choice.delta.content or "" async for one in stream for choice in one.choices])

    async def text(number: int) -> str:
        stream = await gpt.completions.create(**GREEDY, prompt=f"{number}, ", max_tokens=4, stream=True)
        return "".join([choice.text async for one in stream for choice in one.choices])

    async def respond(number: int) -> str:
        async with gpt.responses.stream(**GREEDY, input=f"Say {number}.", max_output_tokens=60) as stream:
            return "".join([one.delta async for one in stream if one.type == "response.output_text.delta"])

    works = [work(number) for work in (chat, text, respond) for number in range(2)]
    assert all(await asyncio.gather(*works))


async def test_openai_calls_tools(gpt: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {**GREEDY, "messages": ASKED, "max_tokens": 60, "tools": TOOLS, "tool_choice": "required"}
    found = await gpt.chat.completions.create(**asked, parallel_tool_calls=False)
    (call,) = found.choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["country"] in COUNTRIES
    async with gpt.chat.completions.stream(**asked, parallel_tool_calls=False) as stream:
        final = await stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls
    assert streamed and [json.loads(one.function.arguments)["country"] in COUNTRIES for one in streamed] == [True]
    asked = {**GREEDY, "input": QUESTION, "tools": [{"type": "function", **FUNCTION}], "tool_choice": "required"}
    (item,) = (await gpt.responses.create(**asked, max_output_tokens=60, parallel_tool_calls=False)).output
    async with gpt.responses.stream(**asked, max_output_tokens=60, parallel_tool_calls=False) as events:
        (same,) = (await events.get_final_response()).output
    items: list[Any] = [item, same]
    for one in items:
        assert one.type == "function_call" and json.loads(one.arguments)["country"] in COUNTRIES


async def test_openai_answers_in_a_form(gpt: openai.AsyncOpenAI) -> None:
    chat = {**GREEDY, "messages": ASKED, "max_tokens": 60, "response_format": Answer}
    whole = (await gpt.chat.completions.parse(**chat)).choices[0].message.parsed
    async with gpt.chat.completions.stream(**chat) as stream:
        final = await stream.get_final_completion()
    assert isinstance(whole, Answer) and isinstance(final.choices[0].message.parsed, Answer)
    found = await gpt.responses.parse(**GREEDY, input=QUESTION, max_output_tokens=60, text_format=Answer)
    assert isinstance(found.output_parsed, Answer)


async def test_openai_makes_vectors(gpt: openai.AsyncOpenAI, served: Served, tmp_path: Path) -> None:
    name = served_vectors(served, tmp_path / "openai-later-F16.gguf")
    made = await asyncio.gather(*(gpt.embeddings.create(model=name, input=text) for text in ("one", "two")))
    assert [len(one.data[0].embedding) for one in made] == [128, 128] and made[0].data != made[1].data


async def test_openai_knows_errors(gpt: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="There is no model 'gpt-9' here"):
        await gpt.chat.completions.create(model="gpt-9", messages=ASKED)
    with pytest.raises(openai.BadRequestError) as long:
        await gpt.chat.completions.create(model=MODEL, messages=TOO_LONG, stream=True)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as vectors:
        await gpt.embeddings.create(model=MODEL, input="one")
    assert "makes no vectors" in vectors.value.message


async def test_openai_cancels(gpt: openai.AsyncOpenAI, served: Served) -> None:
    async def streamed() -> None:
        async for _ in await gpt.chat.completions.create(model=MODEL, messages=TOLD, max_tokens=2000, stream=True):
            pass

    await cancelled(served, gpt.chat.completions.create(model=MODEL, messages=TOLD, max_tokens=2000))
    await cancelled(served, gpt.completions.create(model=MODEL, prompt=STORY, max_tokens=2000))
    await cancelled(served, gpt.responses.create(model=MODEL, input=STORY, max_output_tokens=2000))
    await cancelled(served, streamed())


# ---- anthropic


@pytest.fixture
async def claude(served: Served) -> AsyncIterator[anthropic.AsyncAnthropic]:
    url = served.url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=url, auth_token="none", timeout=PATIENCE_S, max_retries=0) as one:
        yield one


async def test_anthropic_streams_side_by_side(claude: anthropic.AsyncAnthropic) -> None:
    async def ask(number: int) -> str:
        async with claude.messages.stream(model=MODEL, max_tokens=4, messages=say(number)) as stream:
            return "".join([text async for text in stream.text_stream])

    assert all(await asyncio.gather(*map(ask, range(3))))


async def test_anthropic_calls_tools(claude: anthropic.AsyncAnthropic) -> None:
    tools = [{"name": "capital", "description": "The capital of a country.", "input_schema": COUNTRY}]
    choice = {"type": "any", "disable_parallel_tool_use": True}
    asked: Any = {"model": MODEL, "max_tokens": 60, "messages": ASKED, "tools": tools, "tool_choice": choice}
    (call,) = (await claude.messages.create(**asked, extra_body={"temperature": 0})).content
    async with claude.messages.stream(**asked, extra_body={"temperature": 0}) as stream:
        (streamed,) = (await stream.get_final_message()).content
    blocks: list[Any] = [call, streamed]
    for one in blocks:
        assert one.type == "tool_use" and one.input["country"] in COUNTRIES


async def test_anthropic_answers_in_a_form(claude: anthropic.AsyncAnthropic) -> None:
    asked: Any = {"model": MODEL, "max_tokens": 60, "messages": ASKED, "output_format": Answer}
    found = await claude.messages.parse(**asked, extra_body={"temperature": 0})
    async with claude.messages.stream(**asked, extra_body={"temperature": 0}) as stream:
        final = await stream.get_final_message()
    assert isinstance(found.parsed_output, Answer) and isinstance(final.parsed_output, Answer)


async def test_anthropic_knows_errors(claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="There is no model 'claude-9' here"):
        await claude.messages.create(model="claude-9", max_tokens=1, messages=ASKED)
    with pytest.raises(anthropic.BadRequestError, match="tokens"):
        async with claude.messages.stream(model=MODEL, max_tokens=1, messages=TOO_LONG) as stream:
            await stream.get_final_message()


async def test_anthropic_cancels(claude: anthropic.AsyncAnthropic, served: Served) -> None:
    async def streamed() -> None:
        async with claude.messages.stream(model=MODEL, max_tokens=2000, messages=TOLD) as stream:
            await stream.get_final_message()

    await cancelled(served, claude.messages.create(model=MODEL, max_tokens=2000, messages=TOLD))
    await cancelled(served, streamed())


# ---- ollama


@pytest.fixture
async def llama(served: Served) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(f"http://127.0.0.1:{served.port}", timeout=PATIENCE_S) as one:
        yield one


def options(most: int) -> dict[str, int]:
    return {"temperature": 0, "num_predict": most}


async def test_ollama_streams_side_by_side(llama: ollama.AsyncClient) -> None:
    async def chat(number: int) -> str:
        pieces = await llama.chat(MODEL, say(number), options=options(4), stream=True)
        return "".join([one.message.content or "" async for one in pieces])

    async def text(number: int) -> str:
        pieces = await llama.generate(MODEL, f"Say {number}.", options=options(4), stream=True)
        return "".join([one.response or "" async for one in pieces])

    assert all(await asyncio.gather(*(work(number) for work in (chat, text) for number in range(2))))


async def test_ollama_calls_tools(llama: ollama.AsyncClient) -> None:
    whole = await llama.chat(MODEL, CALLING, tools=TOOLS, options=options(60))
    assert whole.message.tool_calls
    (call,) = whole.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("capital", {"country": "France"})
    pieces = await llama.chat(MODEL, CALLING, tools=TOOLS, options=options(60), stream=True)
    assert [one async for piece in pieces for one in piece.message.tool_calls or ()] == [call]


async def test_ollama_answers_in_a_form(llama: ollama.AsyncClient) -> None:
    schema = Answer.model_json_schema()
    found = await llama.chat(MODEL, ASKED, format=schema, options=options(60))
    pieces = await llama.chat(MODEL, ASKED, format=schema, options=options(60), stream=True)
    assert Answer.model_validate_json(found.message.content or "")
    assert Answer.model_validate_json("".join([one.message.content or "" async for one in pieces]))
    text = await llama.generate(MODEL, QUESTION, format=schema, options=options(60))
    assert Answer.model_validate_json(text.response or "")


async def test_ollama_makes_vectors(llama: ollama.AsyncClient, served: Served, tmp_path: Path) -> None:
    name = served_vectors(served, tmp_path / "ollama-later-F16.gguf")
    made = await llama.embed(name, ["one", "two"])
    assert [len(one) for one in made.embeddings] == [128, 128]
    assert (await llama.embeddings(name, "one")).embedding == pytest.approx(made.embeddings[0], abs=1e-5)


async def test_ollama_knows_errors(llama: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="There is no model 'gpt-9' here") as unknown:
        await llama.chat("gpt-9", ASKED)
    assert unknown.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="the context holds 4096"):
        [one async for one in await llama.chat(MODEL, TOO_LONG, stream=True)]
    with pytest.raises(ollama.ResponseError, match="makes no vectors"):
        await llama.embed(MODEL, "one")


async def test_ollama_cancels(llama: ollama.AsyncClient, served: Served) -> None:
    async def streamed() -> None:
        async for _ in await llama.chat(MODEL, TOLD, options={"num_predict": 2000}, stream=True):
            pass

    await cancelled(served, llama.chat(MODEL, TOLD, options={"num_predict": 2000}))
    await cancelled(served, llama.generate(MODEL, STORY, options={"num_predict": 2000}))
    await cancelled(served, streamed())
