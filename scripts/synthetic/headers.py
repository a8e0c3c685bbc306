"""Header-only GGUF files: real headers of well-known models, without their weights.

Each file is sparse: the header is written, then the file is cut to the size that the published one has, so that
llama.cpp accepts it for a rehearsal. Real tokenizers are large; `--tokenizer none` leaves only their size.

    python -m scripts.synthetic.headers --out /tmp/headers llama-3.1-8b --quants Q4_K_M,Q8_0
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.headers import writer
from models.headers.gguf import Array, TensorInfo, Value
from models.headers.gguf_bytes import ARRAY, STRING
from models.headers.reader import parse
from models.headers.shape import ModelShape, shape_of
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.geometry import Geometry
from scripts.synthetic.mixes import MIXES, QUANTS, Dims, sort_key, types_of
from scripts.synthetic.tokenizers import CHAT_TEMPLATE, TOKENIZERS
from scripts.synthetic.typed import I32, U16, U32, Typed, typed

ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the tensor table."""

    name: str
    dims: Dims
    type: int

    @property
    def info(self) -> TensorInfo:
        """The same for the writer, which says where it lies."""
        return TensorInfo(self.name, self.type, self.dims, offset=0)

    @property
    def bytes(self) -> int:
        """Size of the data."""
        return self.info.bytes


KV = Mapping[str, Typed]


def entries(geometry: Geometry, quant: str) -> tuple[Entry, ...]:
    """The tensor table of one published quantization."""
    tensors = sorted(geometry.tensors, key=sort_key)
    kinds = types_of(
        tensors,
        quant,
        layers=geometry.layers,
        experts=geometry.experts,
        gqa=geometry.gqa,
        imatrix=geometry.imatrix,
    )
    return tuple(Entry(name, dims, kind) for (name, dims), kind in zip(tensors, kinds, strict=True))


def metadata(geometry: Geometry, quant: str, tokenizer: str = "real") -> dict[str, Typed]:
    """All keys of one file; `tokenizer` is real, or none for the vocabulary's size alone."""
    arch = geometry.arch
    kv = {
        "general.architecture": Typed(STRING, arch),
        "general.type": Typed(STRING, "model"),
        "general.name": Typed(STRING, geometry.title),
    }
    kv |= {f"{arch}.{key}": typed(value) for key, value in geometry.settings.items()}
    if tokenizer == "none":
        kv |= {f"{arch}.vocab_size": Typed(U32, geometry.vocabulary), "tokenizer.ggml.model": Typed(STRING, "none")}
    else:
        kv |= TOKENIZERS[geometry.tokenizer](geometry.vocabulary, geometry.pre)
        kv["tokenizer.chat_template"] = Typed(STRING, CHAT_TEMPLATE)
    kv["general.quantization_version"] = Typed(U32, 2)
    kv["general.file_type"] = Typed(U32, MIXES[quant].file_type)
    return kv


def header_bytes(kv: KV, table: Sequence[Entry]) -> bytes:
    """A GGUF v3 header up to the first byte of data."""
    return writer.header_bytes({key: _pair(typed) for key, typed in kv.items()}, _infos(table), ALIGNMENT)


def _infos(table: Sequence[Entry]) -> list[TensorInfo]:
    return [entry.info for entry in table]


def _pair(typed: Typed) -> tuple[int, Value]:
    if isinstance(typed.value, bool | int | float | str):
        return typed.type, typed.value
    return ARRAY, Array(typed.type, len(typed.value), 0, 0, tuple(typed.value))


def write(path: Path, kv: KV, table: Sequence[Entry]) -> Path:
    """A sparse file: the header, then a hole as large as the weights."""
    head = header_bytes(kv, table)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + writer.weight_bytes(_infos(table), ALIGNMENT))
    return path


@cache
def shape(model: str, quant: str = "Q4_K_M") -> ModelShape:
    """The shape of a well-known model, from a header like the published one."""
    geometry = MODELS[model]
    return shape_of([parse(header_bytes(metadata(geometry, quant, "none"), entries(geometry, quant)))])


def make(model: str, quant: str, folder: Path, *, tokenizer: str = "real", shards: int = 1) -> tuple[Path, ...]:
    """The file of one quantization, or its `shards` in order, named as on the Hub."""
    geometry = MODELS[model]
    kv, table = metadata(geometry, quant, tokenizer), entries(geometry, quant)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{geometry.title}-{quant}"
    if shards == 1:
        return (write(folder / f"{stem}.gguf", kv, table),)
    return tuple(
        write(folder / f"{stem}-{number + 1:05}-of-{shards:05}.gguf", shard_kv, part)
        for number, (shard_kv, part) in enumerate(split(kv, table, shards))
    )


def split(kv: KV, table: Sequence[Entry], shards: int) -> Iterator[tuple[KV, Sequence[Entry]]]:
    """As gguf-split does: all keys in the first shard, three of the split in each."""
    for number in range(shards):
        split = {
            "split.no": Typed(U16, number),
            "split.count": Typed(U16, shards),
            "split.tensors.count": Typed(I32, len(table)),
        }
        first, last = (len(table) * k // shards for k in (number, number + 1))
        yield ({**kv, **split} if number == 0 else split), table[first:last]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of: {', '.join(MODELS)} (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--quants", default="Q4_K_M,Q8_0", help="a list with commas, or all")
    parser.add_argument("--tokenizer", choices=("real", "none"), default="real")
    parser.add_argument("--shards", type=int, default=1)
    options = parser.parse_args()
    models = options.models or list(MODELS)
    quants = list(QUANTS) if options.quants == "all" else options.quants.split(",")
    if unknown := [name for name in models if name not in MODELS] + [q for q in quants if q not in MIXES]:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.shards < 1:
        parser.error("--shards must be at least 1")
    for model in models:
        for quant in quants:
            for path in make(model, quant, options.out, tokenizer=options.tokenizer, shards=options.shards):
                print(f"{path.stat().st_size / 1e9:8.2f} GB  {path}")


if __name__ == "__main__":
    main()
