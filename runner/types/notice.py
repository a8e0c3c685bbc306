"""How somebody who looks elsewhere hears that a long answer has ended. Pure data."""

from enum import StrEnum


class Notice(StrEnum):
    """DESKTOP is a notice of the desktop, where one can be had, else the bell."""

    OFF = "off"
    BELL = "bell"
    DESKTOP = "desktop"
