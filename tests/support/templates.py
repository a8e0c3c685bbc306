"""The small model with another chat template."""

from pathlib import Path
from struct import pack, unpack_from

_KEY = b"tokenizer.chat_template" + pack("<I", 8)  # the type of a string


def with_template(model: Path, template: str, path: Path) -> Path:
    """A copy of `model` at `path`; the template may be no longer than its own, for nothing else moves."""
    whole = bytearray(model.read_bytes())
    start = whole.index(_KEY) + len(_KEY)
    (length,) = unpack_from("<Q", whole, start)
    text = template.encode()
    assert len(text) + 4 <= length
    whole[start + 8 : start + 8 + length] = text + b"{#" + b" " * (length - len(text) - 4) + b"#}"
    path.write_bytes(whole)
    return path
