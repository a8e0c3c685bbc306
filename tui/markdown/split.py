"""A growing Markdown text as pieces that can each be drawn alone, so that drawing never gets slower. Pure."""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^`\n]*)$")
# Where to cut, the best first: before a new block, before a line without indent, after a line, after a word.
_PLACES = tuple(re.compile(pattern) for pattern in (r"\n[ \t]*\n(?=\S)", r"\n(?=\S)", r"\n", r" "))


def cut(text: str, limit: int) -> tuple[str, str] | None:
    """Cut a piece of more than `limit` characters in two that mean the same side by side; None: no need.

    A code block that is cut is closed in the first part and opened again, with its language, in the second; a
    table's head is repeated. Nothing else is added, nothing is lost; the second part is shorter than `text`.
    """
    if len(text) <= limit:
        return None
    place = next(_places(text, limit), limit)
    before, after = text[:place], text[place:]
    close, reopen = _around(before)
    if len(reopen) >= limit // 8:
        return before, after
    return before + close, reopen + after


def is_inside_code(whole: str, parts: tuple[str, str]) -> bool:
    """Whether `cut` went through a code block: it was closed and opened again."""
    added = len("".join(parts)) > len(whole)
    return added and _FENCE.match(parts[1].partition("\n")[0]) is not None


def _places(text: str, limit: int) -> Iterator[int]:
    """Good places to cut between a quarter of the limit and the limit, the best first."""
    for pattern in _PLACES:
        for place in reversed([match.end() for match in pattern.finditer(text, limit // 4, limit)]):
            new_block = pattern is _PLACES[0]
            opens_a_fence = _FENCE.match(text[:place].rstrip("\n").rpartition("\n")[2])
            if not (new_block and open_fence(text[:place])) and not opens_a_fence:
                yield place


def open_fence(text: str) -> tuple[str, str] | None:
    """The fence (its mark and its info string) that is still open at the end of `text`, if one is."""
    fence: tuple[str, str] | None = None
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if not match:
            continue
        mark, info = match.group(1), match.group(2).strip()
        if fence is None:
            fence = (mark, info)
        elif mark[0] == fence[0][0] and len(mark) >= len(fence[0]) and not info:
            fence = None
    return fence


def _around(before: str) -> tuple[str, str]:
    """What closes a code block or table at the end of `before`, and what opens it again."""
    if fence := open_fence(before):
        newline = "" if before.endswith("\n") else "\n"
        return f"{newline}{fence[0]}\n", f"{fence[0]}{fence[1]}\n"
    block = before.rpartition("\n\n")[2].split("\n")
    in_table = len(block) > 2 and before.endswith("|\n") and set(block[1]) <= set("|-: ")
    return "", f"{block[0]}\n{block[1]}\n" if in_table else ""
