"""The small model with another chat template, or with other keys."""

from pathlib import Path
from struct import pack, unpack_from

ALIGNMENT = 32
_FRONT = 24
_BOOL, _STRING = 7, 8
_KEY = b"tokenizer.chat_template" + pack("<I", _STRING)


def with_template(model: Path, template: str, path: Path) -> Path:
    """A copy of `model` at `path`; the template may be no longer than its own, for nothing else moves."""
    whole = bytearray(model.read_bytes())
    start = whole.index(_KEY) + len(_KEY)
    (length,) = unpack_from("<Q", whole, start)
    short = template.encode()
    assert len(short) + 4 <= length
    whole[start + 8 : start + 8 + length] = short + b"{#" + b" " * (length - len(short) - 4) + b"#}"
    path.write_bytes(whole)
    return path


def with_both_ends(model: Path, path: Path) -> Path:
    """A copy that asks for a begin and an end token around every text."""
    whole = bytearray(model.read_bytes())
    begin = text("tokenizer.ggml.add_bos_token") + pack("<I", _BOOL)
    whole[whole.index(begin) + len(begin)] = True
    path.write_bytes(with_entries(bytes(whole), [text("tokenizer.ggml.add_eos_token") + pack("<I?", _BOOL, True)]))
    return path


def with_entries(whole: bytes, entries: list[bytes]) -> bytes:
    """With more metadata at its front, filled up so that no tensor moves against the alignment."""
    more = b"".join(entries)
    key = text("localrun.filler") + pack("<I", _STRING)
    fill = -(len(more) + len(key) + 8) % ALIGNMENT
    more += key + text("-" * fill)
    (count,) = unpack_from("<Q", whole, 16)
    return whole[:16] + pack("<Q", count + len(entries) + 1) + more + whole[_FRONT:]


def text(words: str) -> bytes:
    """A string as GGUF has it."""
    raw = words.encode()
    return pack("<Q", len(raw)) + raw
