"""What editors, agents and libraries send, by plain HTTP: fields that ask nothing of an answer are taken."""

from typing import Any

import pytest

from tests.support.asked import COUNTRY, MODEL, QUESTION
from tests.support.server import Served

CHAT, TEXT, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
SAID = [{"role": "user", "content": QUESTION}]
PARTS = [
    {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
    {"role": "user", "content": [{"type": "text", "text": "One."}, {"type": "text", "text": QUESTION}]},
]
CAPITAL = {"type": "function", "function": {"name": "capital", "parameters": COUNTRY, "strict": True}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "capital", "arguments": '{"country": "France"}'}}
CALLED = [
    *SAID,
    {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None, "annotations": []},
    {"role": "tool", "tool_call_id": "call_1", "name": "capital", "content": [{"type": "text", "text": "Paris"}]},
]
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        # Zed: everything that its requests have
        (
            CHAT,
            {
                "messages": PARTS,
                "stream": True,
                "max_completion_tokens": 2,
                "temperature": 1.0,
                "stop": [],
                "tools": [CAPITAL],
                "tool_choice": "auto",
                "parallel_tool_calls": False,
                "prompt_cache_key": "thread",
            },
        ),
        # Continue
        (
            CHAT,
            {"messages": PARTS, "max_tokens": 2, "temperature": 0.5, "top_p": 1, "stop": ["\n\n\n"], "stream": True},
        ),
        (TEXT, {"prompt": "def add(a, b):", "max_tokens": 2, "temperature": 0.01, "stop": ["\n\n"], "stream": True}),
        # aider and others behind LiteLLM
        (CHAT, {"messages": SAID, "temperature": 0, "max_tokens": 2, "user": "me", **USAGE}),
        # LangChain's ChatOpenAI, with all that can be set
        (
            CHAT,
            {
                "messages": CALLED,
                "n": 1,
                "seed": 1,
                "max_completion_tokens": 2,
                "logprobs": False,
                **USAGE,
                "tools": [CAPITAL],
                "tool_choice": {"type": "function", "function": {"name": "capital"}},
                "frequency_penalty": 0,
                "presence_penalty": 0,
                "logit_bias": {},
                "top_logprobs": 0,
                "metadata": {"a": "b"},
                "response_format": {"type": "text"},
                "service_tier": "auto",
                "store": False,
                "reasoning_effort": "none",
            },
        ),
        # Open WebUI
        (
            CHAT,
            {
                "messages": SAID,
                "max_tokens": 2,
                "stream": False,
                "temperature": 0.8,
                "top_k": 40,
                "repeat_penalty": 1.1,
            },
        ),
        # AutoGen: one name for each role
        (CHAT, {"messages": [{"role": "user", "name": "ada", "content": one} for one in "ab"], "max_tokens": 2}),
        # The agents of OpenAI
        (
            RESPONSES,
            {
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
                "instructions": "Be brief.",
                "max_output_tokens": 2,
                "stream": True,
                "store": False,
                "tool_choice": "auto",
                "tools": [{"type": "function", "name": "capital", "parameters": COUNTRY, "strict": False}],
                "reasoning": {"effort": "none", "summary": "auto"},
                "include": ["reasoning.encrypted_content"],
                "parallel_tool_calls": False,
                "prompt_cache_key": "key",
                "text": {"verbosity": "medium"},
            },
        ),
        # Zed and Home Assistant by Ollama's interface
        (
            "/api/chat",
            {
                "messages": SAID,
                "stream": True,
                "keep_alive": -1,
                "think": False,
                "tools": [CAPITAL],
                "options": {"num_ctx": 4096, "num_predict": 2, "stop": [], "temperature": 1.0},
            },
        ),
    ],
)
def test_it_is_answered(served: Served, path: str, sent: dict[str, Any]) -> None:
    said = served.post(path, {"model": MODEL, **sent}, Authorization="Bearer none", OpenAI_Organization="x")
    assert said.status == 200 and b'"error":{' not in said.body.replace(b" ", b""), said.body


def test_no_answer_depends_on_who_asks(served: Served) -> None:
    plain = {"model": MODEL, "messages": SAID, "temperature": 0, "max_tokens": 4}
    told = {
        **plain,
        "user": "u",
        "metadata": {"a": "b"},
        "safety_identifier": "s",
        "store": False,
        "verbosity": "medium",
    }
    one, other = (served.post(CHAT, asked).json["choices"] for asked in (plain, told))
    assert one == other
