"""Numbers and foreign text on their way to the screen: the last step, and the only one that formats. Pure."""

import re
import unicodedata

GIB = 1 << 30
NOT_KNOWN = "n/a"

# C0 controls have pictures of their own in Unicode; newline and tab are layout, and stay.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}


class _Visible(dict[int, str | int]):
    """A translation table that fills itself: characters that would steer the terminal become visible."""

    def __missing__(self, code: int) -> str | int:
        character = chr(code)
        steers = unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"} and character not in "\n\t\u200d"
        self[code] = shown = f"⟨{code:04X}⟩" if steers else character
        return shown


_TABLE = _Visible(_PICTURES)


def visible(text: str) -> str:
    """Text from a model or a file, with control, format and bidirectional characters shown, not obeyed.

    The result has none of Unicode's categories Cc, Cf (but the joiner inside emoji), Zl, Zp and Cs besides
    newline and tab, so nothing in it moves the cursor, colours, reorders or breaks a line by itself.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_TABLE)


def one_line(text: str) -> str:
    """Foreign text as a single visible line."""
    return " ".join(visible(text).split())


def hardware(name: str) -> str:
    """A device's name without the words that every name has."""
    return re.sub(r"\b(NVIDIA|GeForce|AMD|Intel|Processor|Graphics|CPU)\b|\((R|TM)\)", "", one_line(name)).strip()


def gib(size: int | None) -> str:
    """Bytes as GiB with one decimal: `15.2`; two below 1 GiB, so that small things are not nothing."""
    if size is None:
        return NOT_KNOWN
    return f"{size / GIB:.2f}" if 0 < abs(size) < GIB else f"{size / GIB:.1f}"


def file_size(size: int | None) -> str:
    """A file's size: `42.5 GB` as the Hub counts, MB below one."""
    if size is None:
        return NOT_KNOWN
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.0f} MB"


def rate(tokens_per_second: float | None) -> str:
    """Tokens per second: three digits are enough."""
    if tokens_per_second is None:
        return NOT_KNOWN
    return f"{tokens_per_second:.0f}" if tokens_per_second >= 100 else f"{tokens_per_second:.1f}"


def seconds(duration: float | None) -> str:
    """A duration for a person: `0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if duration is None:
        return NOT_KNOWN
    whole = round(duration)
    if whole < 10:
        return f"{duration:.2f} s" if duration < 1 else f"{duration:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def context(tokens: int) -> str:
    """A context length as people say it: `8k`, `128k`, `6,400`."""
    return f"{tokens // 1024}k" if tokens >= 1024 and tokens % 1024 == 0 else f"{tokens:,}"


def percent(fraction: float | None) -> str:
    """A fraction of 1 as a whole percentage."""
    return NOT_KNOWN if fraction is None else f"{100 * fraction:.0f}%"


def degrees(celsius: float | None) -> str:
    """A temperature."""
    return NOT_KNOWN if celsius is None else f"{celsius:.0f}°C"


def watts(power: float | None) -> str:
    """A power draw."""
    return NOT_KNOWN if power is None else f"{power:.0f} W"


def plural(count: int, noun: str) -> str:
    """`1 token`, `2 tokens`, `1,024 tokens`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
