"""Foreign text on its way to a terminal: nothing in it is obeyed, and no name poses as another."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.visible import is_plain, one_line, visible, visible_in_place

STEERING = {"Cc", "Cf", "Zl", "Zp", "Cs"}
ANYTHING = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x07\x00\x7f\r", "␇␀␡␍"),
        ("\x9b31m", "⟨009B⟩31m"),
        ("a\u202eb\u2066c\u061cd", "a⟨202E⟩b⟨2066⟩c⟨061C⟩d"),
        ("a\u2028b\u200bc\u00add\ufeff", "a⟨2028⟩b⟨200B⟩c⟨00AD⟩d⟨FEFF⟩"),
        ("a\U000e0041b", "a⟨E0041⟩b"),
        ("\ud800", "⟨D800⟩"),
        ("👩\u200d💻 naïve 漢字", "👩\u200d💻 naïve 漢字"),
    ],
)
def test_controls_are_shown(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@given(ANYTHING)
def test_nothing_visible_steers(raw: str) -> None:
    for character in visible(raw):
        assert character in "\n\t\u200d" or unicodedata.category(character) not in STEERING


@given(ANYTHING)
def test_nothing_visible_in_its_place_steers_and_each_character_stays(raw: str) -> None:
    shown = visible_in_place(raw)
    assert len(shown) == len(raw) and shown == visible(shown)
    assert all(after in (before, "\ufffd") or ord(after) >= 0x2400 for before, after in zip(raw, shown, strict=True))


@given(ANYTHING, st.integers(1, 40))
def test_a_line_is_one_and_bounded(raw: str, limit: int) -> None:
    line = one_line(raw, limit)
    assert len(line) <= limit and "\n" not in line and "\t" not in line
    assert one_line(one_line(raw)) == one_line(raw)


@pytest.mark.parametrize(
    "name",
    [
        "model\u200b.gguf",
        "model\u202e.gguf",
        "a\u200db.gguf",
        "a\x1b.gguf",
        "a\nb",
        "a\u2028b",
        " a",
        "a" * 301,
        "a\xadb",
    ],
)
def test_a_name_that_would_show_as_another_is_not_plain(name: str) -> None:
    assert not is_plain(name)


def test_ordinary_names_are_plain() -> None:
    assert is_plain("Qwen3-30B-A3B-UD-Q4_K_XL.gguf") and is_plain("模型/naïve (1).gguf")
