"""Numbers and foreign text as words: the last step, and the only one that formats. One spelling for each. Pure.

What may be unknown is `n/a`. A cell is the number alone, for a column or a bar that states the unit once.
"""

import re

from models.visible import one_line, visible
from runner.types.machine import Road
from runner.types.units import GIB, gib

__all__ = ["NOT_KNOWN", "gib", "one_line", "visible"]

NOT_KNOWN = "n/a"


def gib_cell(size: float | None) -> str:
    """Bytes in GiB: `15.2`; two decimals below 1 GiB, so that small things are not nothing."""
    if size is None:
        return NOT_KNOWN
    return f"{size / GIB:.2f}" if 0 < abs(size) < GIB else f"{size / GIB:.1f}"


def file_size(size: float) -> str:
    """What a download counts, in powers of 1000 as the Hub does: `42.5 GB`, `98 MB`, `6.2 MB`, `420 kB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= 0.9995 * unit:
            return f"{size / unit:.{_decimals(size / unit, 10 if unit < 1e9 else 1000)}f} {name}"
    return f"{size / 1e3:.0f} kB"


def rate(tokens_per_second: float) -> str:
    """Tokens per second: `17.3 tok/s`."""
    return f"{rate_cell(tokens_per_second)} tok/s"


def rate_cell(tokens_per_second: float | None) -> str:
    """Tokens per second, three digits: `165`, `17.3`, `0.42`."""
    if tokens_per_second is None:
        return NOT_KNOWN
    if 0 < tokens_per_second < 1:
        return f"{tokens_per_second:.2f}"
    return f"{tokens_per_second:.{_decimals(tokens_per_second, 100)}f}"


def rates(bounds: tuple[float, float]) -> str:
    """The least and the most tokens per second: `15.9 to 18.2`."""
    return " to ".join(map(rate_cell, bounds))


def _decimals(number: float, limit: int) -> int:
    """One below the limit that the rounded number still shows."""
    return 1 if round(number, 1) < limit else 0


def seconds(duration: float | None) -> str:
    """A duration for a person: `0.025 s`, `0.42 s`, `3.2 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if duration is None:
        return NOT_KNOWN
    whole = round(duration)
    if duration < 9.95:
        return f"{duration:.{3 if duration < 0.0995 else 2 if duration < 0.995 else 1}f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def context(tokens: int) -> str:
    """A context length as people say it: `8k`, `22.75k`; `500` and `5,000` where it is no multiple of 256."""
    return f"{tokens / 1024:.12g}k" if tokens >= 1024 and tokens % 256 == 0 else f"{tokens:,}"


def parameters(count: int) -> str:
    """`70.6B`, `135M`."""
    return f"{count / 1e9:.3g}B" if count >= 1e9 else f"{count / 1e6:.3g}M"


def plural(count: int, noun: str) -> str:
    """`1 token`, `2 tokens`, `1,024 tokens`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def capital(sentence: str) -> str:
    """With a capital letter in front, and the others as they are."""
    return sentence[:1].upper() + sentence[1:]


def percent(fraction: float | None) -> str:
    """A fraction of 1 as a whole percentage."""
    return NOT_KNOWN if fraction is None else f"{100 * fraction:.0f}%"


def degrees(celsius: float | None) -> str:
    """A temperature."""
    return NOT_KNOWN if celsius is None else f"{celsius:.0f}°C"


def watts(power: float | None) -> str:
    """A power draw."""
    return NOT_KNOWN if power is None else f"{power:.0f} W"


def network(road: Road | None, traffic: int | None = None) -> str:
    """How far away a machine is, how wide the road to it, and what went over it: `0.20 ms · 118 MB/s · 12.3 MB`."""
    known = [f"{1e3 * road.latency_s:.2f} ms"] if road else []
    known += [f"{road.bandwidth / 1e6:.0f} MB/s"] if road and road.bandwidth else []
    known += [] if traffic is None else [f"{traffic / 1e6:.1f} MB"]
    return " · ".join(known) or NOT_KNOWN


def hardware(name: str) -> str:
    """A device's name without the words that every name has: `RTX 3090`, `Ryzen 9 5900X`."""
    plain = re.sub(r"\b(NVIDIA|GeForce|AMD|Intel|Processor|Graphics|CPU)\b|\((R|TM)\)", "", one_line(name))
    return " ".join(plain.split())
