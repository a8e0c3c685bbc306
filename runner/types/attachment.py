"""A text file that goes with a prompt. Pure data."""

import re
from dataclasses import dataclass


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
