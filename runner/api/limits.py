"""What a client may ask of the server at most. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

from runner.types.units import MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of a body and of its head; messages, answers to one question, texts to make vectors of, requests under way;
    letters of a schema; responses that are kept, and letters of all of these and their conversations. Seconds: `head_s`
    for the head of a request and `body_s` for its body to come; `reader_s` for a client to take what it is sent, which
    may be slow but not for ever.
    """

    body: int = 32 * MIB
    head: int = 64 << 10
    messages: int = 4096
    answers: int = 16
    texts: int = 2048
    at_once: int = 256
    schema: int = 128 << 10
    kept: int = 256
    kept_letters: int = 32 << 20
    head_s: float = 10.0
    body_s: float = 30.0
    reader_s: float = 120.0
