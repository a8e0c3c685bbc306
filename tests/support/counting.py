"""Models that are right or wrong to order: random weights, doctored so that what they say is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from models.headers.gguf import aligned
from scripts.synthetic.headers import ALIGNMENT, entries
from scripts.synthetic.random_weights import GEOMETRIES, header, write
from scripts.synthetic.typed import Typed


def counting(
    path: Path, name: str, ahead: int = 1, *, by_state: bool = False, further: Mapping[str, Typed] | None = None
) -> Path:
    """A model that says each token of its vocabulary after the other, for its layers add nothing to an embedding.

    Its heads say the token that many ahead of one that they read: the token itself, or the one whose state they get.
    """
    geometry = GEOMETRIES[name]
    write(path, geometry, "F16", further=further)
    at = len(header(geometry, "F16", further))
    bytes_ = np.memmap(path, np.uint8, "r+")
    for entry in entries(geometry, "F16"):
        part = bytes_[at : at + entry.bytes]
        at += aligned(entry.bytes, ALIGNMENT)
        rows = (
            part.view(np.float16).reshape(-1, entry.dims[0])
            if len(entry.dims) == 2 and "norm" not in entry.name
            else None
        )
        if any(inner in entry.name for inner in ("attn_output", "ffn_down", "ssm_out")):
            part[:] = 0
        elif rows is not None and entry.name.endswith("eh_proj.weight"):
            rows[:] = np.eye(*rows.shape, k=entry.dims[1] * by_state)
        elif rows is not None and entry.name == "output.weight":
            rows[:] = np.roll(rows, 1, axis=0)
        elif rows is not None and entry.name.endswith("shared_head_head.weight"):
            rows[:] = np.roll(rows, ahead, axis=0)
    bytes_.flush()
    return path
