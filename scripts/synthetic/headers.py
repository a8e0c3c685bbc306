"""Header-only GGUF files: real headers of well-known models, without their weights.

Each file is sparse: the header is written, then the file is cut to the size that the published one has, so that
llama.cpp accepts it for a rehearsal. Real tokenizers are large; `--tokenizer none` leaves only their size.

    python scripts/synthetic/headers.py --out /tmp/headers llama-3.1-8b --quants Q4_K_M,Q8_0
"""

import argparse
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import prod
from pathlib import Path

from models.headers.quants import TYPES
from scripts.synthetic.geometries import MODELS, Geometry
from scripts.synthetic.mixes import QUANTS, Dims, sort_key, types_of

ALIGNMENT = 32
U16, U32, I32, F32, BOOL, STRING, ARRAY = 2, 4, 5, 6, 7, 8, 9
_FORMATS = {U16: "<H", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}
# Merges per token of the tokenizers in use: Llama 3 has 280,147 for 128,256 tokens.
_MERGES_PER_TOKEN = 2.18
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Typed:
    """A value of one GGUF type; an array where `value` is a sequence."""

    type: int
    value: bool | int | float | str | Sequence[bool] | Sequence[int] | Sequence[float] | Sequence[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the tensor table."""

    name: str
    dims: Dims
    type: int

    @property
    def bytes(self) -> int:
        """Size of the data."""
        kind = TYPES[self.type]
        return prod(self.dims) // kind.block * kind.block_bytes


KV = Mapping[str, Typed]


def padded(size: int) -> int:
    """`size` rounded up to the alignment."""
    return -(-size // ALIGNMENT) * ALIGNMENT


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
        kv |= _TOKENIZERS[geometry.tokenizer](geometry.vocabulary, geometry.pre)
        kv["tokenizer.chat_template"] = Typed(STRING, _CHAT_TEMPLATE)
    kv["general.quantization_version"] = Typed(U32, 2)
    kv["general.file_type"] = Typed(U32, QUANTS[quant].file_type)
    return kv


def header_bytes(kv: KV, table: Sequence[Entry]) -> bytes:
    """A GGUF v3 header up to the first byte of data."""
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(table), len(kv))]
    for key, typed in kv.items():
        parts += [_string(key), *_value(typed)]
    offset = 0
    for entry in table:
        dims = struct.pack(f"<I{len(entry.dims)}Q", len(entry.dims), *entry.dims)
        parts += [_string(entry.name), dims, struct.pack("<IQ", entry.type, offset)]
        offset += padded(entry.bytes)
    head = b"".join(parts)
    return head.ljust(padded(len(head)), b"\0")


def write(path: Path, kv: KV, table: Sequence[Entry]) -> Path:
    """A sparse file: the header, then a hole as large as the weights."""
    head = header_bytes(kv, table)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + sum(padded(entry.bytes) for entry in table))
    return path


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


def typed(value: bool | int | float | str | Sequence[bool] | Sequence[int]) -> Typed:
    sample = value[0] if isinstance(value, list | tuple) else value
    match sample:
        case bool():
            return Typed(BOOL, value)
        case int():
            return Typed(U32, value)
        case float():
            return Typed(F32, value)
    return Typed(STRING, value)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(typed: Typed) -> Iterator[bytes]:
    value = typed.value
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield struct.pack("<IIQ", ARRAY, typed.type, len(value))
        yield _elements(typed.type, value)
    else:
        yield struct.pack("<I", typed.type)
        yield _elements(typed.type, (value,))


def _elements(kind: int, values: Sequence[bool | int | float | str]) -> bytes:
    if kind == STRING:
        return b"".join(_string(str(value)) for value in values)
    return struct.pack(f"<{len(values)}{_FORMATS[kind][1]}", *values)


_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_SYLLABLES = tuple(a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er"))


def _words() -> Iterator[str]:
    """Endless distinct made-up words, short ones first, every other one with a leading space mark."""
    words: list[str] = [""]
    while True:
        words = [word + syllable for word in words for syllable in _SYLLABLES]
        for word in words:
            yield word
            yield "▁" + word


@cache
def _bpe(vocabulary: int, pre: str) -> dict[str, Typed]:
    control = ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"]
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 324))]
    count = vocabulary - len(letters) - len(control)
    words = [word.replace("▁", "Ġ") for word in islice(_words(), count)]
    tokens = [*letters, *words, *control]
    kinds = [_NORMAL] * (vocabulary - len(control)) + [_CONTROL] * len(control)
    merges = [*islice(_merges(words), int(vocabulary * _MERGES_PER_TOKEN))]
    return {
        "tokenizer.ggml.model": Typed(STRING, "gpt2"),
        "tokenizer.ggml.pre": Typed(STRING, pre),
        "tokenizer.ggml.tokens": Typed(STRING, tokens),
        "tokenizer.ggml.token_type": Typed(I32, kinds),
        "tokenizer.ggml.merges": Typed(STRING, merges),
        "tokenizer.ggml.bos_token_id": Typed(U32, vocabulary - 4),
        "tokenizer.ggml.eos_token_id": Typed(U32, vocabulary - 1),
    }


def _merges(words: Iterable[str]) -> Iterator[str]:
    """Every way to join a word from two parts."""
    for word in words:
        for cut in range(1, min(len(word), 4)):
            yield f"{word[:cut]} {word[cut:]}"


@cache
def _spm(vocabulary: int, pre: str) -> dict[str, Typed]:
    head = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    control = ["<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    words = [*islice(_words(), vocabulary - len(head) - len(control))]
    tokens = [*head, *words, *control]
    kinds = [_UNKNOWN, _CONTROL, _CONTROL] + [_BYTE] * 256 + [_NORMAL] * len(words) + [_CONTROL] * len(control)
    return {
        "tokenizer.ggml.model": Typed(STRING, "llama"),
        "tokenizer.ggml.tokens": Typed(STRING, tokens),
        "tokenizer.ggml.scores": Typed(F32, [-float(i) for i in range(len(tokens))]),
        "tokenizer.ggml.token_type": Typed(I32, kinds),
        "tokenizer.ggml.bos_token_id": Typed(U32, 1),
        "tokenizer.ggml.eos_token_id": Typed(U32, 2),
    }


_TOKENIZERS: Mapping[str, Callable[[int, str], dict[str, Typed]]] = {"bpe": _bpe, "spm": _spm}


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
    if unknown := [name for name in models if name not in MODELS] + [q for q in quants if q not in QUANTS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.shards < 1:
        parser.error("--shards must be at least 1")
    for model in models:
        for quant in quants:
            for path in make(model, quant, options.out, tokenizer=options.tokenizer, shards=options.shards):
                print(f"{path.stat().st_size / 1e9:8.2f} GB  {path}")


if __name__ == "__main__":
    main()
