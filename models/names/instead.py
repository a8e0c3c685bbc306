"""What to run where the files of a model that are here cannot be."""

import re

from models.names import catalog


def loadable(name: str) -> str:
    """A sentence with the command that fetches a model as llama.cpp wants it, or finds it on the Hub.

    `name` is one of a store, `ollama:gemma3:4b`, or a file's.
    """
    plain = name.removeprefix("ollama:").removesuffix(":latest").rpartition("/")[2]
    entry = catalog.meant_by(plain.replace(":", "-"))
    words = re.findall(r"[\w.]+", plain.removesuffix(".gguf"))
    command = f"localrun {entry.name}" if entry else f"localrun search {' '.join(words)}"
    return f"One that it does: {command}"
