"""The program on the disk: where it lies, its version, what its children need, whether a process is still of it."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_OF_PROGRAMS = (".py", ".so", ".dylib")

Stamp = list[tuple[str, int, int]]


def environment() -> dict[str, str]:
    """Of a child that looks for its modules here first."""
    return {**os.environ, "PYTHONPATH": module_path()}


def module_path() -> str:
    """PYTHONPATH of such a child."""
    others = os.environ.get("PYTHONPATH")
    return f"{ROOT}{os.pathsep}{others}" if others else str(ROOT)


def localrun_version() -> str:
    """Of this program; empty where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("localrun-llm")
    except PackageNotFoundError:
        return ""


def code_stamp() -> Stamp:
    """What changes when the program or its llama.cpp is another version: files, with their sizes and times."""
    found: Stamp = []
    for room in ("runner", "models"):
        _look(str(ROOT / room), found)
    llama = find_spec("llama_cpp")
    for folder in (llama and llama.submodule_search_locations) or ():
        _look(folder, found)
    return sorted(found)


def _look(folder: str, found: Stamp) -> None:
    with os.scandir(folder) as entries:  # hundreds of files, at each attach
        for entry in entries:
            if entry.name.endswith(_OF_PROGRAMS):
                status = entry.stat()
                found.append((entry.path, status.st_size, status.st_mtime_ns))
            elif entry.name != "__pycache__" and entry.is_dir():
                _look(entry.path, found)
