"""Colours and marks. Whatever has a colour also has a mark or a word, so that nothing is lost without colour."""

from collections.abc import Sequence
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

from tui.view.layers import CPU
from tui.view.meters import Use

THEME = Theme(
    name="localrun",
    primary="#6cb6ff",
    secondary="#b48ef5",
    accent="#4fd1b5",
    success="#63c174",
    warning="#e6b450",
    error="#f47067",
    foreground="#d3dae3",
    background="#0d1117",
    surface="#12171f",
    panel="#1b222c",
    dark=True,
    variables={
        "weights": "#5ea5f2",
        "kv": "#b48ef5",
        "compute": "#e6b450",
        "companion": "#63c174",
        "other": "#8a94a3",
        "free": "#4a5666",
        "quiet": "#8a94a3",
        "device-0": "#4fd1b5",
        "device-1": "#6cb6ff",
        "device-2": "#d8a5ff",
        "device-3": "#f2cc60",
        "device-cpu": "#f0915a",
        "footer-key-foreground": "#4fd1b5",
        "block-cursor-text-style": "none",
    },
)

PART_MARKS = {
    Use.WEIGHTS: ("█", "$weights"),
    Use.KV_USED: ("▓", "$kv"),
    Use.KV_FREE: ("░", "$kv"),
    Use.COMPUTE: ("▚", "$compute"),
    Use.COMPANION: ("╬", "$companion"),
    Use.OTHER: ("╱", "$other"),
    Use.FREE: ("·", "$free"),
}

_DEVICE_MARKS = "■▣▤▥▧▨▩▦"
PARTLY = "◧"


def device_mark(device: str, devices: Sequence[str]) -> tuple[str, str]:
    """The mark and the style of a device among those that hold layers."""
    if device == CPU or device not in devices:
        return "□", "$device-cpu"
    place = list(devices).index(device)
    return _DEVICE_MARKS[place % len(_DEVICE_MARKS)], f"$device-{place % 4}"


_BRIGHT = 0.18  # of white: between the panels and what is chosen on them


class Colourless(LineFilter):
    """Takes every colour from what is drawn (NO_COLOR); bold, italic and underlined letters stay so.

    What only a bright background shows, as a chosen row, is reversed.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments in the terminal's own two colours."""
        return [Segment(text, style and _without_colours(style), control) for text, style, control in segments]


@lru_cache(1024)
def _without_colours(style: Style) -> Style:
    behind = style.color if style.reverse else style.bgcolor
    stands_out = behind is not None and Color.from_rich_color(behind).brightness > _BRIGHT
    return style.without_color + Style.from_meta(style.meta) + Style(reverse=stands_out)
