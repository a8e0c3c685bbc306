"""Text files that go with a prompt, in front of the question: what is asked last is nearest to the answer. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FILE = re.compile(r"([^\n]+):\n(`{3,})\n(.*?)\n\2(?:\n\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file's `text`, and its `name` as somebody typed it."""

    name: str
    text: str

    @property
    def inlined(self) -> str:
        """Name and text as they stand in a prompt, between fences longer than any in the text."""
        fence = "`" * max(3, *(len(found) + 1 for found in re.findall("`+", self.text)), 3)
        return "\n".join((f"{self.name}:", fence, self.text.strip("\n"), fence))


def with_files(question: str, files: Sequence[Attachment]) -> str:
    """A prompt with the texts of its files before it; either may be missing."""
    return "\n\n".join(filter(None, (*(file.inlined for file in files), question)))


def without_files(prompt: str) -> tuple[str, list[Attachment]]:
    """The question, and the files before it."""
    files, end = [], 0
    while found := _FILE.match(prompt, end):
        files.append(Attachment(found[1], found[3]))
        end = found.end()
    question = prompt[end:]
    is_whole = with_files(question, files) == prompt
    return (question, files) if is_whole else (prompt, [])
