"""Conversations by the words that were said in them. Computes."""

import math
from collections.abc import Sequence
from dataclasses import replace

from runner.types.conversation import Conversation, Listed

_AROUND = 60  # characters shown on each side of what was found
_TITLE_COUNTS = 4  # a word in the title weighs as much as so many in the text
_K1, _B = 1.2, 0.75


def find_words(listed: Sequence[Listed], words: Sequence[str]) -> list[Listed]:
    """Those that have every word, in any case and as a part of one too, the best first; equals keep their order.

    Each has as `excerpt` the first place that has the most of the words. Ranked by BM25 (Robertson and Zaragoza, "The
    Probabilistic Relevance Framework", 2009, formula 3.15).
    """
    wanted = [word.casefold() for word in words if word]
    places = [_places(one.conversation) for one in listed]
    counts = [[_count(texts, word) for word in wanted] for texts in places]
    scores = _scores(counts, [sum(map(len, texts)) for texts in places])
    order = sorted((index for index, row in enumerate(counts) if all(row)), key=lambda index: -scores[index])
    return [_with_excerpt(listed[index], places[index], wanted) for index in order]


def _places(conversation: Conversation) -> list[str]:
    """The title with the system prompt, then every turn."""
    return [text.casefold() for text in (_head(conversation), *(turn.text for turn in conversation.turns))]


def _head(conversation: Conversation) -> str:
    return f"{conversation.title}\n{conversation.system}"


def _count(places: Sequence[str], word: str) -> int:
    head, *turns = places
    return _TITLE_COUNTS * head.count(word) + sum(text.count(word) for text in turns)


def _scores(counts: Sequence[Sequence[int]], lengths: Sequence[int]) -> list[float]:
    """How well each conversation answers: a row of `counts` has how often it has each word."""
    mean = sum(lengths) / max(1, len(lengths)) or 1.0
    rarity = [_rarity(len(counts), len([count for count in column if count])) for column in zip(*counts, strict=True)]
    return [
        sum(rare * _saturated(count, length / mean) for rare, count in zip(rarity, row, strict=True))
        for row, length in zip(counts, lengths, strict=True)
    ]


def _rarity(number: int, having: int) -> float:
    return math.log(1 + (number - having + 0.5) / (having + 0.5))


def _saturated(count: int, length: float) -> float:
    return count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))


def _with_excerpt(one: Listed, places: Sequence[str], words: Sequence[str]) -> Listed:
    """The turns come before the title, which is shown anyway."""
    order = [*range(1, len(places)), 0]
    best = max(order, key=lambda place: len([word for word in words if word in places[place]]))
    text = one.conversation.turns[best - 1].text if best else _head(one.conversation)
    return replace(one, excerpt=_excerpt(text, words), turn=best - 1 if best else None)


def _excerpt(text: str, words: Sequence[str]) -> str:
    """One line around the first of the words."""
    line = " ".join(text.split())
    folded = line.casefold()
    at = min((place for word in words if (place := folded.find(word)) >= 0), default=0)
    start, end = max(0, at - _AROUND), min(len(line), at + _AROUND)
    return f"{'…' if start else ''}{line[start:end].strip()}{'…' if end < len(line) else ''}"
