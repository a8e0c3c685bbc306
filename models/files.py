"""File names of a repository or folder -> sets of weights. Pure; reads nothing but names and sizes.

Publishers agree on little: dots or hyphens, upper or lower case, a folder per quantization or none. What they
share is that the quantization stands last in the name, and that shards end in `-00001-of-00005.gguf`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from models.weights import WeightFile, WeightSet

_QUANT = re.compile(
    r"""(?<![A-Za-z0-9]) (?:UD-)? (?:
        IQ[1-4]_(?:XXS|XS|S|M|NL|XL|KSS|KS|KL|KT|K(?:_R4)?)
      | Q[1-8]_K(?:_(?:XXS|XS|S|M|L|XL))?
      | Q[1458]_[01](?:_[48]_[48])?
      | Q2_0 | TQ[12]_0 | MXFP4(?:_MOE)? | NVFP4
      | BF16 | FP16 | F16 | FP32 | F32
      | Q[2-8](?!_[0-9A-Za-z])
    ) (?![A-Za-z0-9])""",
    re.IGNORECASE | re.VERBOSE,
)
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_OLD_NAMES = {"FP16": "F16", "FP32": "F32"}
_SHOWN_NUMBERS = 5


class FileKind(StrEnum):
    """What a file of a model repository is for; the value is the phrase for a sentence."""

    WEIGHTS = "weights"
    PROJECTOR = "a projector for images or sound (mmproj)"
    IMATRIX = "an importance matrix"
    LORA = "a LoRA adapter"
    DRAFT = "a draft model"
    VOCABULARY = "a vocabulary without weights"
    PIECE = "a raw piece of a cut file"
    OTHER = "no GGUF file"


# In this order: `mmproj` and `imatrix` settle the matter wherever they stand in the name.
_KINDS = (
    (FileKind.PROJECTOR, re.compile(r"mmproj")),
    (FileKind.IMATRIX, re.compile(r"imatrix")),
    (FileKind.PIECE, re.compile(r"\.gguf[-.](?:split-[a-z]+|part\d+of\d+)$")),
    (FileKind.OTHER, re.compile(r"(?<!\.gguf)$")),
    (FileKind.VOCABULARY, re.compile(r"^ggml-vocab-")),
    (FileKind.DRAFT, re.compile(r"(?:^|[-_.])(?:mtp|eagle3?|dflash|dspark|medusa)-")),
    (FileKind.LORA, re.compile(r"(?:^|[-_.])(?:lora|adapter)(?:[-_.]|$)")),
)

# Said only where there is nothing to run: next to weights these files are no surprise.
_WORTH_A_WORD = (FileKind.PROJECTOR, FileKind.LORA, FileKind.DRAFT, FileKind.VOCABULARY, FileKind.IMATRIX)


@dataclass(frozen=True, slots=True)
class Grouping:
    """The complete sets, largest first, and plain sentences about what was left out."""

    sets: tuple[WeightSet, ...]
    notes: tuple[str, ...]


def kind_of(name: str) -> FileKind:
    """What the file is for, by its name alone."""
    base = PurePosixPath(name).name.lower()
    return next((kind for kind, pattern in _KINDS if pattern.search(base)), FileKind.WEIGHTS)


def label_of(name: str) -> str:
    """The quantization that a path names: the last in the file name, else in its folders; empty if none."""
    path = PurePosixPath(name)
    for part in (path.name, *reversed(path.parts[:-1])):
        if found := _last(part):
            label = found.group().upper()
            return _OLD_NAMES.get(label, label)
    return ""


def model_of(name: str) -> str:
    """The name less folder, shard number and quantization: the same for all quantizations of a model."""
    shard = _SHARD.fullmatch(base := PurePosixPath(name).name)
    stem = shard["stem"] if shard else _stem(base)
    if found := _last(stem):
        stem = stem[: found.start()] + stem[found.end() :]
    return stem.strip("-_. ")


def shard_names(name: str) -> tuple[str, ...]:
    """The names of all shards of the set that this one belongs to, in order; empty if it is no shard's name."""
    match = _SHARD.fullmatch(name)
    if match is None:
        return ()
    numbers = range(1, int(match["count"]) + 1)
    ending = name[match.end("count") :]
    return tuple(f"{match['stem']}-{number:05d}-of-{match['count']}{ending}" for number in numbers)


def group(files: Iterable[WeightFile]) -> Grouping:
    """Sort the files of one repository or folder into sets; a set is one file, or all its shards in order."""
    by_kind: dict[FileKind, list[WeightFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.name):
        by_kind[kind_of(file.name)].append(file)
    weights = by_kind[FileKind.WEIGHTS]
    whole = {_stem(file.name): file for file in weights if not _SHARD.fullmatch(file.name)}
    sets = [WeightSet(label_of(file.name), (file,)) for file in whole.values()]
    cut = sorted({_uncut(file.name) for file in by_kind[FileKind.PIECE]})
    notes = [
        f"{name} is cut into raw pieces, which llama.cpp cannot load; join them into one file first." for name in cut
    ]
    for (stem, count), numbered in _shards(weights).items():
        if note := _shard_note(stem, count, numbered):
            notes.append(note)
        elif stem in whole:
            notes.append(f"{stem} is there whole and in {count} shards; the whole file is used.")
        else:
            shards = tuple(numbered[number] for number in sorted(numbered))
            sets.append(WeightSet(label_of(shards[0].name), shards))
    if not sets:
        notes += [f"{kept[0].name} is {kind}." for kind, kept in by_kind.items() if kind in _WORTH_A_WORD]
    return Grouping(tuple(sorted(sets, key=lambda one: (-one.bytes, one.files[0].name))), tuple(notes))


def _shards(files: list[WeightFile]) -> dict[tuple[str, int], dict[int, WeightFile]]:
    """Shards by their number, for every stem and count."""
    found: dict[tuple[str, int], dict[int, WeightFile]] = defaultdict(dict)
    for file in files:
        if match := _SHARD.fullmatch(file.name):
            found[match["stem"], int(match["count"])][int(match["number"])] = file
    return found


def _stem(name: str) -> str:
    return re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)


def _last(text: str) -> re.Match[str] | None:
    *_, last = (None, *_QUANT.finditer(text))
    return last


def _uncut(name: str) -> str:
    """The file that a raw piece belongs to."""
    return name[: name.lower().rindex(".gguf") + len(".gguf")]


def _shard_note(stem: str, count: int, numbered: dict[int, WeightFile]) -> str | None:
    wanted = range(1, count + 1)
    if stray := [number for number in numbered if number not in wanted]:
        return f"{stem} has a shard {stray[0]} of {count}, which cannot be; it is left out."
    missing = count - len(numbered)
    if not missing:
        return None
    gaps = [f"{number:05d}" for number in wanted if number not in numbered][:_SHOWN_NUMBERS]
    more = f" and {missing - len(gaps)} more" if missing > len(gaps) else ""
    gone = ", ".join(gaps) + more
    return f"{stem} is incomplete and left out: {missing} of {count} shards are missing ({gone})."
