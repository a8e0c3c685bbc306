"""The header of a model without its tokenizer and without its weights: all that a rehearsal needs. Pure.

llama.cpp loads tokenizer `none` with a vocabulary size in a thirtieth of the time, and all shards as one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.errors import BadFile
from models.headers.gguf import Header, Value, is_long
from models.headers.gguf_bytes import STRING, UINT32
from models.headers.hyperparameters import Hyperparameters
from models.headers.shape import vocabulary_of
from models.headers.writer import header_bytes, weight_bytes

_SIZES = ("tokenizer.ggml.token_type_count",)  # of the table of token types that encoders have


@dataclass(frozen=True, slots=True)
class HeaderOnly:
    """The bytes of a header, and the size a sparse file must have for its tensors to lie within it."""

    header: bytes
    file_bytes: int


def header_only(headers: Sequence[Header]) -> HeaderOnly:
    """One header for a model of any number of shards. BadFile where a long array is not the tokenizer's."""
    first = headers[0]
    pairs = dict(_kept(first))
    pairs["tokenizer.ggml.model"] = (STRING, "none")
    numbers = Hyperparameters(first.kv, str(first.kv.get("general.architecture", "")))
    pairs[f"{numbers.arch}.vocab_size"] = (UINT32, vocabulary_of(headers, numbers))
    tensors = [tensor for header in headers for tensor in header.tensors]
    header = header_bytes(pairs, tensors, first.alignment)
    return HeaderOnly(header, len(header) + weight_bytes(tensors, first.alignment))


def _kept(header: Header) -> Iterator[tuple[str, tuple[int, Value]]]:
    """Every pair but the tokenizer's and those about shards; of the tokenizer's, what sizes tensors."""
    for key, value in header.kv.items():
        if key.startswith(("tokenizer.", "split.")) and key not in _SIZES:
            continue
        if is_long(value):
            raise BadFile("a long array outside the tokenizer cannot be copied for a rehearsal")
        yield key, (header.pairs[key].type, value)
