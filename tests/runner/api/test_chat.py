"""Chat completions of OpenAI's dialect, by the real small model over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest

from runner.api.pool import Pool
from runner.types.wish import Wish
from tests.support.server import Served, serving

pytestmark = pytest.mark.usefixtures("a_user_of_their_own")
MODEL = "smollm2-135m"
ASKED = {"model": MODEL, "messages": [{"role": "user", "content": "Name three colours."}], "temperature": 0}
SHORT = {**ASKED, "max_tokens": 8}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def served(a_user_of_their_own: None) -> Iterator[Served]:
    with serving(Pool(Wish(ctx=2048, sequences=4, threads=1))) as one:
        yield one


def text_of(events: list[Any], key: str = "content") -> str:
    choices = [choice for one in events if one != "[DONE]" for choice in one["choices"]]
    return "".join(choice["delta"].get(key, "") for choice in choices)


def test_what_is_here_is_loaded_when_a_request_names_it_and_says_so(served: Served) -> None:
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
        ({"tools": [{"type": "function"}]}, "tools"),
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
    long = served.post(CHAT, {**SHORT, "messages": [{"role": "user", "content": "word " * 4000}]})
    assert (long.status, long.json["error"]["code"]) == (400, "context_length_exceeded")
    assert served.get("/v1/nothing").status == 404
    assert served.send("POST", CHAT, b"{", {}).status == 400
