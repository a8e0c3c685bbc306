"""A conversation as Anthropic's clients send it: turns of blocks; results of tools become turns of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator

from runner.api.errors import invalid, no_text
from runner.api.fields import Fields
from runner.types.generation import Message
from runner.types.tools import ToolCall

_ROLES = ("user", "assistant", "system")
_BETWEEN = "\n\n"
_FAILED = "Error: "


def read_messages(fields: Fields, most: int) -> tuple[Message, ...]:
    """`system` and `messages`; what a model cannot be given is refused by name. At most `most` turns, and blocks."""
    system = _words(fields.parts("system", most))
    found = [message for one in fields.objects("messages", most) for message in _turn(one, most)]
    if not found:
        raise invalid("messages", "there are none.")
    return (*((Message("system", system),) if system else ()), *found)


def _turn(one: Fields, most: int) -> Iterator[Message]:
    role, blocks = one.needed_word("role", _ROLES), one.parts("content", most)
    one.done()
    if isinstance(blocks, str):
        yield Message(role, blocks)
    elif role == "assistant":
        yield _answer(blocks)
    else:
        yield from _said(role, blocks, most)


def _said(role: str, blocks: list[Fields], most: int) -> Iterator[Message]:
    """Texts are one turn; results between them are turns of tools."""
    texts: list[str] = []
    for block in blocks:
        if (kind := block.needed_text("type")) != "tool_result":
            texts.append(_text(block, kind))
            continue
        if texts:
            yield Message(role, _BETWEEN.join(texts))
            texts.clear()
        yield _result(block, most)
    if texts:
        yield Message(role, _BETWEEN.join(texts))


def _result(block: Fields, most: int) -> Message:
    """What a call has brought. Templates know no failed calls, so that one says so in words."""
    words = _words(block.parts("content", most))
    content = f"{_FAILED}{words}" if block.flag("is_error") else words
    answers = block.needed_text("tool_use_id")
    _end(block)
    return Message("tool", content, answers=answers)


def _answer(blocks: list[Fields]) -> Message:
    """What the model has said before: thinking, text, calls."""
    texts, thinking, calls = [], [], []
    for block in blocks:
        match block.needed_text("type"):
            case "thinking":
                thinking.append(block.needed_text("thinking"))
                block.idle("signature")  # it proves whose thinking that is, to a server that has a secret
                _end(block)
            case "tool_use":
                calls.append(_call(block))
            case kind:
                texts.append(_text(block, kind))
    return Message("assistant", _BETWEEN.join(texts), _BETWEEN.join(thinking) or None, tuple(calls))


def _call(block: Fields) -> ToolCall:
    arguments = block.take("input")
    if not isinstance(arguments, dict):
        raise invalid(block.place("input"), "it is an object.")
    call = ToolCall(block.needed_text("id"), block.needed_text("name"), json.dumps(arguments, ensure_ascii=False))
    block.idle("caller")
    _end(block)
    return call


def _words(blocks: str | list[Fields]) -> str:
    """Nothing but text."""
    return blocks if isinstance(blocks, str) else _BETWEEN.join(_text(one, one.needed_text("type")) for one in blocks)


def _text(block: Fields, kind: str) -> str:
    if kind != "text":
        raise no_text(block.place("type"), kind)
    text = block.needed_text("text")
    block.idle("citations")  # what other servers add to their answers comes back with them
    _end(block)
    return text


def _end(block: Fields) -> None:
    block.idle("cache_control")  # what prompts have in common is kept whoever asks for it
    block.done()
