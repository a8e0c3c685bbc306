"""Weights whose every word wants to act on the terminal, made of the small model: the tensors are its own."""

from pathlib import Path
from struct import pack, unpack_from

from tests.support.templates import ALIGNMENT, text, with_entries, with_template

OSC_52, TITLE, CLEAR, RED, BACKWARDS = "\x1b]52;c;ZXZpbA==\x07", "\x1b]0;evil\x07", "\x1b[2J", "\x9b31m", "\u202e"
HOSTILE = f"{OSC_52}{TITLE}{CLEAR}{RED}{BACKWARDS}\nforged: line\u2028forged\u200b"
ACTS = tuple(words.encode() for words in ("\x1b]52", "\x1b]0;e", CLEAR, RED, BACKWARDS, "\u2028", "\u200b"))
TOKEN = "\x1b]0;"  # the text of the token that stands where ` the` was
_STRING, _ARRAY = 8, 9
_NAMES = ("general.name", "general.license", "general.basename", "general.organization", "general.size_label")
_THE, _EVIL = "Ġthe".encode(), "ě]0;".encode()  # as vocabularies of this kind write bytes


def hostile(model: Path, path: Path) -> Path:
    """A copy of `model` at `path`, with a name, license, tags, template and a token of that kind."""
    whole = bytearray(with_template(model, f"{HOSTILE}{{{{ messages[-1].content }}}}", path).read_bytes())
    for name in _NAMES:
        key = text(name)
        if (at := whole.find(key)) >= 0:  # there may be one of a name
            whole[at : at + len(key)] = text(name[:-1] + "_")
    old = pack("<Q", len(_THE)) + _THE
    at = whole.index(old)
    whole[at : at + len(old)] = pack("<Q", len(_EVIL)) + _EVIL
    entries = [text(name) + pack("<I", _STRING) + text(HOSTILE) for name in _NAMES]
    entries.append(text("general.tags") + pack("<IIQ", _ARRAY, _STRING, 2) + 2 * text(HOSTILE))
    path.write_bytes(with_entries(bytes(whole), entries))
    return path


def evil_token(model: Path) -> int:
    """The number of the token that was changed in a copy of `model`."""
    whole = model.read_bytes()
    key = text("tokenizer.ggml.tokens")
    at = whole.index(key) + len(key) + 16  # behind the types and the count
    for number in range(1 << 20):
        (length,) = unpack_from("<Q", whole, at)
        if whole[at + 8 : at + 8 + length] == _THE:
            return number
        at += 8 + length
    raise AssertionError("no such token")


def of_architecture(model: Path, architecture: str, path: Path) -> Path:
    """A copy of `model` with the name of an architecture that nobody knows, made longer until nothing moves."""
    whole = model.read_bytes()
    key = text("general.architecture") + pack("<I", _STRING)
    at = whole.index(key) + len(key)
    (length,) = unpack_from("<Q", whole, at)
    longer = architecture + "x" * ((length - len(architecture.encode())) % ALIGNMENT)
    path.write_bytes(whole[:at] + text(longer) + whole[at + 8 + length :])
    return path
