"""How a model makes one vector of a text, or one score of two, as its header says. Pure.

Source: llama_pooling_type of llama.h, and `build_pooling` of llama-graph.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from models.headers.gguf import Array, Header, TensorInfo, Value


class Pooling(StrEnum):
    """What becomes of the vectors of a text's tokens: their mean, the first, the last, or a score made of one."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    RANK = "rank"


NUMBERS: Mapping[Pooling, int] = {Pooling.MEAN: 1, Pooling.CLS: 2, Pooling.LAST: 3, Pooling.RANK: 4}
"""llama.cpp's own; 0 is none."""

RERANK_TEMPLATE = "tokenizer.chat_template.rerank"
# The parts of a head, the last first: what it gives back has a row for each label.
_HEAD = ("cls.output.weight", "cls.weight")


def pooling_of(kv: Mapping[str, Value]) -> Pooling | None:
    """What the keys of a header say; None where they say nothing, or that there is none."""
    number = kv.get(f"{kv.get('general.architecture')}.pooling_type")
    return next((pooling for pooling, own in NUMBERS.items() if own == number), None)


def unranked(headers: Sequence[Header]) -> str | None:
    """Why the scores of a model that pools by RANK would mean nothing, as the end of a sentence; None if they do.

    llama.cpp computes some without a head as well, and says nothing.
    """
    tensors = {tensor.name: tensor for header in headers for tensor in header.tensors}
    head = next((tensors[name] for name in _HEAD if name in tensors), None)
    labels = _labels(headers[0].kv)
    if head is None or _rows(head) != labels:
        return "has no head that makes a score: what it gives back would mean nothing"
    if labels > 1 and RERANK_TEMPLATE not in headers[0].kv:
        return f"sorts texts into {labels} classes, and ranks none"
    return None


def _labels(kv: Mapping[str, Value]) -> int:
    labels = kv.get(f"{kv.get('general.architecture')}.classifier.output_labels")
    return labels.count if isinstance(labels, Array) else 1


def _rows(tensor: TensorInfo) -> int:
    return tensor.dims[1] if len(tensor.dims) > 1 else 1
