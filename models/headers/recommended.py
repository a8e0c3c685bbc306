"""How a model's maker wants its tokens drawn: what the header says, else what is published of its family. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from models.headers.families import FAMILIES, Family
from models.headers.gguf import Value

_PREFIX = "general.sampling."
# llama.cpp's keys (llama-arch.cpp: LLM_KV_GENERAL_SAMPLING_*) -> names of ours; it knows more that we do not offer.
_SETTINGS = {"temp": "temp", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p", "penalty_repeat": "repeat_penalty"}
_NAMES = ("general.name", "general.basename", "general.finetune", "general.base_model.0.name")
_FLOAT32_DIGITS = 7
OWN = "model"
MODELFILE = "modelfile"


@dataclass(frozen=True, slots=True)
class Recommended:
    """One sampling setting, named as in JSON. `source`: OWN, MODELFILE or the name of a family, which has a `page`."""

    setting: str
    value: float
    source: str
    page: str | None = None


def recommended(kv: Mapping[str, Value], called: Iterable[str] = ()) -> tuple[Recommended, ...]:
    """What is recommended for a model with these header values; `called`: what else it goes by, as its file."""
    found = {one.setting: one for one in (*_of_family(family_of(kv, called)), *_of_header(kv))}
    return tuple(found.values())


def unsupported(kv: Mapping[str, Value]) -> tuple[str, ...]:
    """Settings that the header recommends and nothing here can apply, by llama.cpp's names."""
    asked = (key.removeprefix(_PREFIX) for key in kv if key.startswith(_PREFIX))
    return tuple(sorted(name for name in asked if name not in _SETTINGS))


def family_of(kv: Mapping[str, Value], called: Iterable[str] = ()) -> Family | None:
    """The first family that has the architecture and, where it asks for words, one of them in a name of the model."""
    arch = kv.get("general.architecture")
    own = (kv.get(key) for key in _NAMES)
    names = " ".join(_folded(name) for name in (*own, *called) if isinstance(name, str))
    return next((one for one in FAMILIES if arch in one.architectures and one.words.search(names)), None)


def _of_header(kv: Mapping[str, Value]) -> Iterator[Recommended]:
    for key, setting in _SETTINGS.items():
        value = kv.get(_PREFIX + key)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            # The shortest number that is this float32: 0.6, not 0.6000000238.
            yield Recommended(setting, float(f"{value:.{_FLOAT32_DIGITS}g}"), OWN)


def _of_family(family: Family | None) -> Iterator[Recommended]:
    if family is not None:
        for setting, value in family.settings.items():
            yield Recommended(setting, value, family.name, family.page)


def _folded(name: str) -> str:
    return name.casefold().replace(" ", "-").replace("_", "-")
