"""The clipboard by the platform's own program, where there is one. Edge: processes."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress

_PATIENCE_S = 3.0
# Each with the variable without which there is nobody to take it.
_PROGRAMS = (
    (("pbcopy",), None),
    (("wl-copy",), "WAYLAND_DISPLAY"),
    (("xclip", "-selection", "clipboard"), "DISPLAY"),
    (("xsel", "--clipboard", "--input"), "DISPLAY"),
    (("clip.exe",), "WSL_DISTRO_NAME"),
)


def program(environment: Mapping[str, str]) -> tuple[str, ...] | None:
    """The command that takes a text on its standard input; None where there is none."""
    found = (
        command
        for command, variable in _PROGRAMS
        if (variable is None or environment.get(variable)) and shutil.which(command[0], path=environment.get("PATH"))
    )
    return next(found, None)


def copy_by_program(text: str) -> None:
    """Let the platform's program have it; where there is none, or it refuses, nothing happens. Blocks a moment."""
    command = program(os.environ)
    if command is None:
        return
    data, quiet = text.encode("utf-8", "replace"), subprocess.DEVNULL
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, input=data, stdout=quiet, stderr=quiet, timeout=_PATIENCE_S, check=False)
