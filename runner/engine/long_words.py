"""Text without a space in it for a long time, which llama.cpp's tokenizers of many models read by recursion.

std::regex takes 313 bytes of stack a letter (60,000 letters: 18.8 MB, measured with the splitting rules of gpt-4o,
tekken, deepseek-v3 and minimax-m2), and where the stack ends the process does. So the stack may grow, and what would be
too long even then is tokenized in parts: that costs a token at a cut.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator

_STACK = 96 << 20  # Linux leaves at least 128 MiB below a stack free
_PER_LETTER = 640


def grow_stack() -> None:
    """Let the stack of the main thread grow; before that thread has need of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = _STACK if hard == resource.RLIM_INFINITY else min(_STACK, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def longest() -> int:
    """How many letters in a row the stack bears."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return (_STACK if soft == resource.RLIM_INFINITY else min(soft, _STACK)) // _PER_LETTER


def parts(text: str, limit: int) -> Iterator[str]:
    """The text, cut where letters (or spaces) follow each other for longer than `limit`."""
    start, many = 0, f"{{{limit + 1},}}"
    for run in re.finditer(rf"(?<!\S)\S{many}|(?<!\s)\s{many}", text):
        for end in range(run.start() + limit, run.end(), limit):
            yield text[start:end]
            start = end
    yield text[start:]
