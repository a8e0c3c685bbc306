"""File names of a repository or folder -> sets of weights. Pure; reads nothing but names and sizes.

Publishers agree on little: dots or hyphens, upper or lower case, a folder per quantization or none. What they
share is that the quantization stands last in the name, and that shards end in `-00001-of-00005.gguf`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from models.weights import Offer, WeightFile, WeightSet

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


_PIECE = re.compile(r"\.gguf[-.](?:split-[a-z]+|part\d+of\d+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grouping:
    """The complete sets, largest first, and plain sentences about what was left out."""

    sets: tuple[WeightSet, ...]
    notes: tuple[str, ...]


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


def typed_name(offer: Offer, one: WeightSet) -> str:
    """What to type for one set of an offer: with the quantization, or with its file where that is not its own."""
    if len(offer.sets) == 1:
        return offer.name
    is_its_own = one.quant and [other.quant for other in offer.sets].count(one.quant) == 1
    return f"{offer.name}:{one.quant if is_its_own else one.files[0].name}"


def shard_names(name: str) -> tuple[str, ...]:
    """The names of all shards of the set that this one belongs to, in order; empty if it is no shard's name."""
    match = _SHARD.fullmatch(name)
    if match is None:
        return ()
    numbers = range(1, int(match["count"]) + 1)
    ending = name[match.end("count") :]
    return tuple(f"{match['stem']}-{number:05d}-of-{match['count']}{ending}" for number in numbers)


def group(files: Iterable[WeightFile]) -> Grouping:
    """Sort the GGUF files of one repository or folder into sets; a set is one file, or all its shards in order.

    What a file is for (a model, a projector, an adapter) its header knows, not its name.
    """
    files = sorted(files, key=lambda file: file.name)
    weights = [file for file in files if file.name.lower().endswith(".gguf")]
    whole = {_stem(file.name): file for file in weights if not _SHARD.fullmatch(file.name)}
    sets = [WeightSet(label_of(file.name), (file,)) for file in whole.values()]
    cut = sorted({_uncut(file.name) for file in files if _PIECE.search(file.name)})
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
