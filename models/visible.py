"""Foreign text made visible: what a model, a file, a name or the Hub supplies steers no terminal. Pure."""

import unicodedata

# C0 controls have pictures of their own in Unicode; newline and tab are layout, and stay.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}
_STEERING = {"Cc", "Cf", "Zl", "Zp", "Cs"}
_LAYOUT = "\n\t\u200d"  # U+200D joins emoji
LONGEST = 300  # characters of foreign text in a sentence of ours


class _Visible(dict[int, str | int]):
    """A translation table that fills itself: characters that would steer the terminal become visible."""

    def __missing__(self, code: int) -> str | int:
        character = chr(code)
        steers = unicodedata.category(character) in _STEERING and character not in _LAYOUT
        self[code] = shown = f"⟨{code:04X}⟩" if steers else character
        return shown


_TABLE = _Visible(_PICTURES)


class _InPlace(dict[int, str]):
    """The same, with one character for each."""

    def __missing__(self, code: int) -> str:
        shown = visible(chr(code))
        self[code] = shown if len(shown) == 1 else "\ufffd"
        return self[code]


_IN_PLACE = _InPlace()


def visible(text: str) -> str:
    """Text with control, format and bidirectional characters shown, not obeyed: `␛[2J`, `⟨202E⟩`.

    The result has none of Unicode's categories Cc, Cf (but the joiner inside emoji), Zl, Zp and Cs besides
    newline and tab, so nothing in it moves the cursor, colours, reorders or breaks a line by itself.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_TABLE)


def visible_in_place(text: str) -> str:
    """As `visible`, and each character stays where it was: for text that somebody goes about in, and changes."""
    return text.translate(_IN_PLACE)


def is_plain(name: str, limit: int = LONGEST) -> bool:
    """Whether a name from elsewhere shows as what it is; one that does not may pose as another."""
    return name.isprintable() and name == one_line(name, limit)


def one_line(text: str, limit: int | None = None) -> str:
    """Foreign text as a single visible line, cut to `limit` characters."""
    line = " ".join(visible(text).split())
    return line if limit is None or len(line) <= limit else line[: limit - 1] + "…"
