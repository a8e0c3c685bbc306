"""What reaches the screen: nothing that steers a terminal, and numbers people can read."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.view import text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x07\x00\x7f", "␇␀␡"),
        ("\x9b31m", "⟨009B⟩31m"),
        ("a\u202eb", "a⟨202E⟩b"),
        ("a\u2028b\u200bc", "a⟨2028⟩b⟨200B⟩c"),
        ("\ud800", "⟨D800⟩"),
        ("👩\u200d💻 naïve 漢字", "👩\u200d💻 naïve 漢字"),
    ],
)
def test_controls_are_shown(raw: str, shown: str) -> None:
    assert text.visible(raw) == shown


@given(st.text(st.characters(codec=None)))
def test_nothing_visible_steers(raw: str) -> None:
    for character in text.visible(raw):
        assert character in "\n\t\u200d" or unicodedata.category(character) not in {"Cc", "Cf", "Zl", "Zp", "Cs"}
    assert "\n" not in text.one_line(raw)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (text.gib(None), "n/a"),
        (text.gib(0), "0.0"),
        (text.gib(96 << 20), "0.09"),
        (text.gib(int(22.64 * text.GIB)), "22.6"),
        (text.gib(-(1 << 29)), "-0.50"),
        (text.file_size(None), "n/a"),
        (text.file_size(98_362_432), "98 MB"),
        (text.file_size(42_520_000_000), "42.5 GB"),
        (text.rate(None), "n/a"),
        (text.rate(8.44), "8.4"),
        (text.rate(164.6), "165"),
        (text.seconds(None), "n/a"),
        (text.seconds(0.42), "0.42 s"),
        (text.seconds(3.2), "3.2 s"),
        (text.seconds(9.7), "10 s"),
        (text.seconds(200), "3 min 20 s"),
        (text.seconds(7500), "2 h 05 min"),
        (text.context(8192), "8k"),
        (text.context(6400), "6,400"),
        (text.percent(None), "n/a"),
        (text.percent(0.97), "97%"),
        (text.degrees(None), "n/a"),
        (text.degrees(71.4), "71°C"),
        (text.watts(None), "n/a"),
        (text.watts(338.2), "338 W"),
        (text.plural(1, "token"), "1 token"),
        (text.plural(1024, "token"), "1,024 tokens"),
        (text.hardware("NVIDIA GeForce RTX 3090"), "RTX 3090"),
        (text.hardware("Intel(R) Core(TM) i7"), "Core i7"),
    ],
)
def test_numbers(number: str, shown: str) -> None:
    assert number == shown
