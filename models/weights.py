"""What a name leads to: sets of weight files, here or on the Hub. Pure data."""

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One GGUF file.

    `name` is its path inside the repository or folder, with slashes. `path` is where it lies on this
    machine, None while it does not. `repo`, `revision` (40 hex digits) and `sha256` are None unless known.
    `fetched` counts the bytes that an interrupted download has left here, less than all of them. `modified`: when the
    file at `path` was last written when it was found, in ns since 1970.
    """

    name: str
    bytes: int
    path: Path | None = None
    repo: str | None = None
    revision: str | None = None
    sha256: str | None = None
    fetched: int = 0
    modified: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class WeightSet:
    """One quantization of a model: a single file, or all its shards in order."""

    quant: str
    files: tuple[WeightFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def missing_bytes(self) -> int:
        """Bytes that a download still has to bring."""
        return sum(file.bytes - file.fetched for file in self.files if file.path is None)

    @property
    def is_here(self) -> bool:
        """Whether every file is on this machine."""
        return all(file.path is not None for file in self.files)

    def is_called(self, name: str) -> bool:
        """Whether `name` is its quantization or its (first) file, with or without folder and ending."""
        path = PurePosixPath(self.files[0].name)
        files = (path, path.with_suffix(""), path.name, path.stem)
        return name.casefold() in {self.quant.casefold(), *(str(file).casefold() for file in files)}


@dataclass(frozen=True, slots=True)
class Modelfile:
    """What an Ollama model has besides weights: TEMPLATE, SYSTEM, and of its PARAMETERs those that are ours.

    `settings`: names of sampling settings as in JSON, with their values.
    """

    template: str | None = None
    system: str | None = None
    settings: tuple[tuple[str, float], ...] = ()
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """All that a name led to.

    `origin` is one of file, folder, package, hub, huggingface, llama.cpp, ollama, lmstudio (the last four
    are stores on this machine). `notes` are plain sentences about the way from the name to the files:
    incomplete sets, a missing repository, a label that disagrees with the tensors.
    """

    name: str
    origin: str
    sets: tuple[WeightSet, ...]
    licence: str | None = None
    notes: tuple[str, ...] = ()
    modelfile: Modelfile | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A download under way: bytes of one file; `rate` is bytes per second over a sliding window."""

    file: str
    done: int
    total: int
    rate: float | None = None
