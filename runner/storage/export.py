"""Writing a conversation where its owner asks. Edge: disk."""

import re
from pathlib import Path

from models.errors import UsageError


def write_new(title: str, text: str, target: str = "") -> Path:
    """Write `text` into a new file and return its path; nothing is ever overwritten.

    `target` is a file or a folder; without it, the working folder and a name made from `title`. Raises UsageError.
    """
    path = Path(target or ".")
    try:
        path = path.expanduser().absolute()
        if path.is_dir():
            path = free_path(path, re.sub(r"[^\w-]+", "-", title).strip("-").lower()[:60] or "conversation", ".md")
        with path.open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists already; name another file.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
    except (RuntimeError, ValueError) as error:  # no such home, a null byte
        raise UsageError(f"{path} cannot be written: {error}.") from None
    return path


def free_path(folder: Path, stem: str, ending: str) -> Path:
    """The first of `STEM.ENDING`, `STEM-2.ENDING`, ... that is not there yet."""
    names = (f"{stem}{suffix}{ending}" for suffix in ("", *(f"-{number}" for number in range(2, 10_000))))
    return next(folder / name for name in names if not (folder / name).exists())
