"""What people and models say stays text: none of it becomes a control token of the prompt. Pure.

A template puts its own marks and foreign words into one text, and the marks of that are read as control tokens. So
words that are spelled like a mark are cut within it, and words whose end could become one together with what the
template puts beside them are cut off there, by a character that Unicode gives to nobody; what lies on its two sides is
tokenized apart. All other words are tokenized together with the template's own, as the model saw them in its training.
A cut also keeps templates that look for marks in what was said from finding them there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

CUT = "\ufdd0"  # a noncharacter: "intended for process-internal uses" (The Unicode Standard, 23.7)


class Shield:
    """Against marks that are spelled so."""

    def __init__(self, marks: Iterable[str]) -> None:
        self._marks = frozenset(mark for mark in marks if len(mark) > 1)
        lengths: dict[str, set[int]] = defaultdict(set)
        for mark in self._marks:
            lengths[mark[0]].add(len(mark))
        self._lengths = dict(lengths)
        self._heads = frozenset(mark[:end] for mark in self._marks for end in range(1, len(mark)))
        self._tails = frozenset(mark[start:] for mark in self._marks for start in range(1, len(mark)))
        self._longest = max(map(len, self._marks), default=0)

    def cut(self, text: str) -> str:
        """`text` as it may go through a template."""
        text = text.replace(CUT, "\ufffd")
        for at in sorted({*self._within(text), *self._at_ends(text)}, reverse=True):
            text = f"{text[:at]}{CUT}{text[at:]}"
        return text

    def cut_all(self, value: Any) -> Any:
        """The same for every text in a JSON value."""
        if isinstance(value, str):
            return self.cut(value)
        if isinstance(value, list):
            return [self.cut_all(one) for one in value]
        if isinstance(value, dict):
            return {self.cut(key): self.cut_all(one) for key, one in value.items()}
        return value

    def _within(self, text: str) -> Iterator[int]:
        """Behind the first letter of everything that is spelled like a mark."""
        for first, lengths in self._lengths.items():
            at = text.find(first)
            while at >= 0:
                if any(text[at : at + length] in self._marks for length in lengths):
                    yield at + 1
                at = text.find(first, at + 1)

    def _at_ends(self, text: str) -> Iterator[int]:
        """Ends that could be the rest or the beginning of a mark; space around them may be trimmed, or not."""
        for words in {text, text.strip()} - {""}:
            start = text.find(words)
            sizes = range(1, min(self._longest, len(words)) + 1)
            if any(words[:size] in self._tails for size in sizes):
                yield start
            if any(words[-size:] in self._heads for size in sizes):
                yield start + len(words)


def parts(prompt: str) -> list[str]:
    """What a template has made, in the pieces that are tokenized apart."""
    return [part for part in prompt.split(CUT) if part]
