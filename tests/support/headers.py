"""Small GGUF headers made to measure."""

from collections.abc import Mapping, Sequence

from models.headers.gguf import Header
from models.headers.gguf_bytes import STRING
from models.headers.reader import parse
from scripts.synthetic.geometry import Setting
from scripts.synthetic.headers import Entry, header_bytes
from scripts.synthetic.mixes import NUMBERS
from scripts.synthetic.typed import Typed, typed

PLAIN: Mapping[str, Setting] = {
    "block_count": 2,
    "context_length": 4096,
    "embedding_length": 256,
    "feed_forward_length": 512,
    "attention.head_count": 8,
    "attention.head_count_kv": 2,
}
EMBEDDING = Entry("token_embd.weight", (256, 1000), NUMBERS["Q8_0"])


def header_of(
    arch: str,
    numbers: Mapping[str, Setting | None] | None = None,
    tensors: Sequence[Entry] = (EMBEDDING,),
    extra: Mapping[str, Typed] | None = None,
) -> Header:
    """The header of a small model: PLAIN with `numbers` below `{arch}.` (None takes a key away) and `extra` keys."""
    changed = {**PLAIN, **(numbers or {})}
    kv = {f"{arch}.{key}": typed(value) for key, value in changed.items() if value is not None}
    return parse(header_bytes({"general.architecture": Typed(STRING, arch), **kv, **(extra or {})}, tensors))
