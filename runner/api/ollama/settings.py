"""What Ollama's clients ask of an answer besides its words: options, form, thinking, how long the model stays."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from runner.api.asked import Constraint, Terms
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.reading import ANY_OBJECT, held_to
from runner.types.sampling import Sampling
from runner.types.thinking import Think

_SETTINGS = {
    "temperature": "temp",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
# Options that say how a model is loaded, each with the value that leaves it to the server.
_PLANNED = {
    **dict.fromkeys(("numa", "low_vram", "vocab_only", "logits_all", "embedding_only", "use_mlock"), False),
    **dict.fromkeys(("num_gpu", "main_gpu"), -1),
    "num_thread": 0,
    "num_batch": None,
    "use_mmap": None,
    "f16_kv": None,
}
# Samplers that are not ours, each with the value that switches it off.
_OFF = {"typical_p": 1, "tfs_z": 1, "mirostat": 0, "penalize_newline": True}
_REMEMBERED = 64  # tokens that the repeat penalty looks back
_LEVELS = {"low": Think.LOW, "medium": Think.MEDIUM, "high": Think.HIGH}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(rf"([\d.]+)({'|'.join(_UNITS)})")


def read_options(fields: Fields, sampling: Sampling) -> tuple[Sampling, int]:
    """The sampling, and how long the context has to be at least (0: as it is)."""
    options = fields.inner("options")
    if options is None:
        return sampling, 0
    _refuse_planned(options)
    repeats = options.whole("repeat_last_n", -1, 2**31 - 1)
    # Nothing is ever cut out of a conversation here; mirostat itself is off.
    options.idle("num_keep", "mirostat_tau", "mirostat_eta")
    limit, context = options.whole("num_predict", -2, 2**31 - 1), options.whole("num_ctx", 0, 2**31 - 1)
    if limit == 0:
        raise invalid(options.place("num_predict"), "it is a number of tokens, or -1 for as many as the model likes.")
    if (seed := options.whole("seed", -(2**63), 2**63 - 1)) is not None and seed >= 0:
        sampling = replace(sampling, seed=seed % 2**32)
    sampling = options.besides(options.sampling(_SETTINGS, sampling))
    options.done()
    if repeats == 0:
        sampling = replace(sampling, repeat_penalty=1.0)
    elif repeats not in (None, _REMEMBERED):
        raise invalid(options.place("repeat_last_n"), f"the penalty looks {_REMEMBERED} tokens back, or 0: not at all.")
    return (replace(sampling, max_tokens=limit) if limit and limit > 0 else sampling), context or 0


def _refuse_planned(options: Fields) -> None:
    for name, automatic in _PLANNED.items():
        if (value := options.take(name)) is not None and value != automatic:
            raise invalid(
                options.place(name),
                "how a model is loaded is planned for all requests; flags of localrun serve say it.",
            )
    for name, off in _OFF.items():
        options.only(name, off)


def read_terms(fields: Fields, ctx: int = 0) -> Terms:
    """How long the model is to stay: seconds, or text such as 5m or 1h30m; below zero: as long as there is room."""
    value: Any = fields.take("keep_alive")
    if value is None or value == "":
        return Terms(ctx)
    seconds = _seconds(value)
    if seconds is None:
        raise invalid(fields.place("keep_alive"), f"{value!r} is neither seconds nor a time such as 5m.")
    return Terms(ctx, math.inf if seconds < 0 else seconds)


def _seconds(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    sign, text = (-1, value[1:]) if value.startswith("-") else (1, value.removeprefix("+"))
    try:
        if text.replace(".", "", 1).isdecimal():
            return sign * float(text)
        parts = _DURATION.findall(text)
        is_whole = parts and "".join(number + unit for number, unit in parts) == text
        return sign * sum(float(number) * _UNITS[unit] for number, unit in parts) if is_whole else None
    except ValueError:  # 1.2.3
        return None


def read_think(fields: Fields) -> Think | None:
    """True, false, or how hard."""
    value: Any = fields.take("think")
    if value is None:
        return None
    if isinstance(value, bool):
        return Think.ON if value else Think.OFF
    if value not in _LEVELS:
        raise invalid(fields.place("think"), f"it is true, false or one of {', '.join(_LEVELS)}.")
    return _LEVELS[value]


def read_format(fields: Fields, most: int) -> Constraint:
    """What the answer is held to: "json" or a schema, of `most` letters at most."""
    value: Any = fields.take("format")
    if value is None or value == "":
        return Constraint(field="format")
    if value == "json":
        value = ANY_OBJECT
    if not isinstance(value, dict):
        raise invalid("format", 'it is "json" or a JSON schema.')
    return held_to(value, "format", most)
