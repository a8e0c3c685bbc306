"""Conversations by their words."""

from pathlib import Path

from runner.storage.full_text import find_words
from runner.types.conversation import Conversation, Listed, Turn


def conversation(*turns: str, name: str = "", system: str = "") -> Listed:
    said = [Turn(("user", "assistant")[number % 2], text) for number, text in enumerate(turns)]
    return Listed(Conversation("model", system, name, tuple(said)), Path(f"{turns[0]}.jsonl"), 0.0)


SEA = conversation("The sea", "The sea is blue, and the SEA is deep.")
SKY = conversation("The sky", "The sky is blue. Far below it lies a sea." + " Clouds." * 60)
NAMED = conversation("Hello", "Good morning.", name="About the sea")
OTHER = conversation("Straße", "Eine lange Straße.", system="Answer in German.")
ALL = [SKY, SEA, NAMED, OTHER]


def found(*words: str) -> list[str]:
    return [one.path.stem for one in find_words(ALL, words)]


def test_all_words_must_be_there_in_any_case_and_within_words() -> None:
    assert found("blue") == ["The sea", "The sky"]
    assert found("BLUE", "clouds") == ["The sky"]
    assert found("blue", "german") == []
    assert found("morn") == ["Hello"]
    assert found("STRASSE") == ["Straße"]
    assert find_words([], ["x"]) == []


def test_where_it_is_said_most_comes_first() -> None:
    assert found("sea") == ["The sea", "Hello", "The sky"]


def test_equals_keep_their_order() -> None:
    one, two = conversation("same words"), conversation("same words")
    assert find_words([one, two], ["same"])[0].path is one.path


def test_the_place_is_shown() -> None:
    sky = find_words(ALL, ["sea", "below"])[0]
    assert (sky.turn, sky.excerpt.startswith("The sky is blue. Far below it lies a sea."), sky.excerpt[-1]) == (
        1,
        True,
        "…",
    )
    (german,) = find_words(ALL, ["german"])
    assert (german.turn, german.excerpt) == (None, "Straße Answer in German.")
    deep = conversation("Where?", "Far away. " * 20 + "There is the needle." + " And more." * 20)
    (needle,) = find_words([deep], ["needle"])
    assert needle.excerpt.startswith("…") and "the needle." in needle.excerpt and len(needle.excerpt) < 130
