"""Prompts that were given a name: a text file each, which their owner may edit as well. Edge: disk."""

import re
from dataclasses import dataclass
from pathlib import Path

from models.errors import UsageError
from runner.storage.text_files import text_of

_NAME = re.compile(r"\w[\w.-]{0,63}")
_ENDING = ".txt"


@dataclass(frozen=True, slots=True)
class PromptStore:
    """The folder of named prompts. Every method raises UsageError for what cannot be."""

    folder: Path

    def names(self) -> list[str]:
        """All of them, sorted."""
        return sorted(path.stem for path in self.folder.glob(f"*{_ENDING}") if _NAME.fullmatch(path.stem))

    def text(self, name: str) -> str:
        """What the prompt says."""
        path = self.path(name)
        if not path.is_file():
            raise UsageError(f"No prompt is named {name!r}; {self._those()}.")
        return text_of(path)

    def add(self, name: str, text: str) -> Path:
        """Keep a new one; where it lies."""
        path = self.path(name)
        if not text.strip():
            raise UsageError("The prompt is empty.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text.rstrip("\n") + "\n")
        except FileExistsError:
            raise UsageError(
                f"A prompt is named {name!r} already: edit {path}, or localrun prompt rm {name}."
            ) from None
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.") from None
        return path

    def remove(self, name: str) -> Path:
        """Forget one; where it was."""
        self.text(name)
        path = self.path(name)
        try:
            path.unlink()
        except OSError as error:
            raise UsageError(f"{path} cannot be removed: {error.strerror}.") from None
        return path

    def path(self, name: str) -> Path:
        """Where a prompt of this name lies."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name of a prompt: letters, digits, - _ and . are.")
        return self.folder / f"{name}{_ENDING}"

    def _those(self) -> str:
        names = self.names()
        return f"there are {', '.join(names)}" if names else "localrun prompt add NAME keeps one"


def filled(prompt: str, said: str) -> str:
    """The prompt with `said` in place of each `{}`; before it, where it has none. UsageError: {} and nothing said."""
    if "{}" not in prompt:
        return f"{said}\n\n{prompt}" if said else prompt
    if not said:
        raise UsageError("The prompt has {} for what is on stdin or behind -p, and there is neither.")
    return prompt.replace("{}", said)
