"""Models that are right or wrong to order: random weights, doctored so that what they say is known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.headers.gguf import aligned
from scripts.synthetic.geometry import Geometry
from scripts.synthetic.headers import ALIGNMENT, Entry, entries
from scripts.synthetic.random_weights import GEOMETRIES, header, write
from scripts.synthetic.typed import Typed


def counting(
    path: Path,
    name: str,
    *ahead: int,
    by_state: bool = False,
    is_random_ahead: bool = False,
    further: Mapping[str, Typed] | None = None,
) -> Path:
    """A model that says each token of its vocabulary after the other, for its layers add nothing to an embedding.

    Its heads say the token so many `ahead` (each its own; 1 unless told) of one that they read: the token itself, or
    the one whose state they get. With `is_random_ahead` they stay as they were.
    """
    geometry, steps = GEOMETRIES[name], iter(ahead or (1,))
    write(path, geometry, "F16", further=further)
    at = len(header(geometry, "F16", further))
    bytes_ = np.memmap(path, np.uint8, "r+")
    for entry in entries(geometry, "F16"):
        part = bytes_[at : at + entry.bytes]
        at += aligned(entry.bytes, ALIGNMENT)
        if not (is_random_ahead and _layer(entry) >= _trunk(geometry)):
            _doctor(entry, part, steps, by_state=by_state)
    bytes_.flush()
    return path


def _doctor(entry: Entry, part: NDArray[np.uint8], steps: Iterator[int], *, by_state: bool) -> None:
    if any(inner in entry.name for inner in ("attn_output", "ffn_down", "ssm_out")):
        part[:] = 0
    if len(entry.dims) != 2 or "norm" in entry.name:
        return
    rows = part.view(np.float16).reshape(-1, entry.dims[0])
    if entry.name.endswith("eh_proj.weight"):
        rows[:] = np.eye(*rows.shape, k=entry.dims[1] * by_state)
    elif entry.name == "output.weight":
        rows[:] = np.roll(rows, 1, axis=0)
    elif entry.name.endswith("shared_head_head.weight"):
        rows[:] = np.roll(rows, next(steps), axis=0)


def _layer(entry: Entry) -> int:
    found = re.match(r"blk\.(\d+)\.", entry.name)
    return int(found[1]) if found else -1


def _trunk(geometry: Geometry) -> int:
    """Its layers but those that predict ahead."""
    heads = geometry.settings["nextn_predict_layers"]
    assert isinstance(heads, int)
    return geometry.layers - heads
