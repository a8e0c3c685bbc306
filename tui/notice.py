"""The end of a long answer, told to somebody who looks elsewhere. Edge: processes."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from textual.app import App

from runner.report.words import one_line
from runner.types.notice import Notice
from tui.workers import aside

_PATIENCE_S = 3.0
_LONGEST = 200
_TITLE = "localrun"
# Which terminals show what is sent so, by their own documentation: OSC 9 is iTerm2's, OSC 777 is rxvt-unicode's.
_OSC_9 = {"iTerm.app", "WezTerm", "ghostty"}
_OSC_777 = ("rxvt", "foot")
_APPLE = ("on run argv", f'display notification (item 1 of argv) with title "{_TITLE}"', "end run")


async def give_notice(app: App[Any], how: Notice, words: str) -> None:
    """By the terminal, else by the platform's program, else the bell."""
    wants_desktop = how is Notice.DESKTOP
    if wants_desktop and (sequence := notice_sequence(words, os.environ)) and app._driver:
        app._driver.write(sequence)  # as App.bell does; Textual has no public way
    elif wants_desktop and (command := notice_program(words, os.environ)):
        await aside(partial(run_notice, command))
    elif how is not Notice.OFF:
        app.bell()


def notice_sequence(words: str, environment: Mapping[str, str]) -> str | None:
    """What makes this terminal show the words, none of which steer it; None where it is not known to show any."""
    term, body = environment.get("TERM", ""), f"{_TITLE}: {one_line(words, _LONGEST)}"
    if environment.get("TERM_PROGRAM") in _OSC_9 or "KITTY_WINDOW_ID" in environment:
        found = f"\x1b]9;{body}\a"  # never digits first, which ConEmu's progress bar begins with
    elif term.startswith(_OSC_777) or "VTE_VERSION" in environment or "KONSOLE_VERSION" in environment:
        found = f"\x1b]777;notify;{_TITLE};{one_line(words, _LONGEST)}\a"
    else:
        return None
    return f"\x1bPtmux;{found.replace(chr(27), 2 * chr(27))}\x1b\\" if "TMUX" in environment else found


def notice_program(words: str, environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """The command that shows the words; None where there is none, or its desktop is not the one somebody sits at."""
    if "SSH_CONNECTION" in environment:
        return None
    shown = one_line(words, _LONGEST)
    if shutil.which("osascript", path=environment.get("PATH")):
        return ("osascript", *(word for line in _APPLE for word in ("-e", line)), shown)
    has_desktop = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if has_desktop and shutil.which("notify-send", path=environment.get("PATH")):
        return ("notify-send", "--app-name", _TITLE, "--", _TITLE, _unmarked(shown))
    return None


def run_notice(command: Sequence[str]) -> None:
    """Let the program show it; where it refuses, nothing happens. Blocks a moment."""
    quiet = subprocess.DEVNULL
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=_PATIENCE_S, check=False)


def _unmarked(text: str) -> str:
    """Without what desktops read as markup (a subset of HTML, by the Desktop Notifications Specification)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
