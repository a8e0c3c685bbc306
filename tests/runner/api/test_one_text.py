"""At temperature 0 every door of the server says what `-p` says."""

import subprocess
import sys
from typing import Any

import pytest

from tests.support.asked import DAYS, FRAMED, MODEL, QUESTION
from tests.support.server import Said, Served
from tests.support.waiting import COMMAND_S

TOKENS = 24
ASKED = [{"role": "user", "content": DAYS}]
GREEDY = {"model": MODEL, "temperature": 0, "max_tokens": TOKENS}
OPTIONS = {"model": MODEL, "options": {"temperature": 0, "num_predict": TOKENS}}
DOORS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {**GREEDY, "messages": ASKED}),
    ("/v1/completions", {**GREEDY, "prompt": FRAMED.replace(QUESTION, DAYS)}),
    ("/v1/responses", {"model": MODEL, "temperature": 0, "max_output_tokens": TOKENS, "input": ASKED}),
    ("/v1/messages", {**GREEDY, "messages": ASKED}),
    ("/api/chat", {**OPTIONS, "messages": ASKED}),
    ("/api/generate", {**OPTIONS, "prompt": DAYS}),
]


@pytest.fixture(scope="module")
def said(home: None) -> str:
    """What the command says."""
    words = ["-p", DAYS, "--temp", "0", "--max-tokens", str(TOKENS)]
    words += ["--ctx", "4096", "--threads", "1", "--draft", "off", "--no-stdin"]
    command = [sys.executable, "-P", "-m", "localrun", MODEL, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=True)
    assert "Monday, Tuesday, Wednesday" in done.stdout
    return done.stdout.strip()


def whole(answer: Any) -> str:
    """The text of an answer in any dialect."""
    match answer:
        case {"choices": [{"message": {"content": str(text)}}]} | {"choices": [{"text": str(text)}]}:
            return text
        case {"output": [{"content": [{"text": str(text)}]}]} | {"content": [{"text": str(text)}]}:
            return text
        case {"message": {"content": str(text)}} | {"response": str(text)}:
            return text
    raise AssertionError(answer)


def piece(event: Any) -> str:
    """What an event or a line of any dialect adds to the text."""
    match event:
        case {"choices": [{"delta": {"content": str(text)}}]} | {"choices": [{"text": str(text)}]}:
            return text
        case {"type": "response.output_text.delta", "delta": str(text)} | {"delta": {"text": str(text)}}:
            return text
        case {"message": {"content": str(text)}} | {"response": str(text)}:
            return text
    return ""


@pytest.mark.parametrize(("path", "asked"), DOORS)
def test_each_door_says_what_the_command_says(served: Served, said: str, path: str, asked: dict[str, Any]) -> None:
    assert whole(served.post(path, {**asked, "stream": False}).json).strip() == said
    streamed = served.post(path, {**asked, "stream": True})
    assert "".join(map(piece, parts(streamed))).strip() == said


def parts(streamed: Said) -> list[Any]:
    """Events, or lines where there are none."""
    return streamed.events or streamed.lines
