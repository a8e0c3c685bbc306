"""What an Ollama model has besides its weights: layers of a Modelfile. Edge: Ollama's folder of blobs, read only."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.errors import BadFile
from models.weights import Modelfile

LAYER = "application/vnd.ollama.image."
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_LARGEST = 1 << 20  # bytes
# Ollama's parameters (docs/modelfile.md) -> names of ours; a context is planned and not taken from a file.
_SETTINGS = {
    "temperature": "temp",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "repeat_penalty",
    "seed": "seed",
    "num_predict": "max_tokens",
}
_LEFT_OUT = {
    "adapter": "a LoRA adapter, which is not applied",
    "messages": "example messages, which are not put before a conversation",
    "projector": "a projector for images, which is not used",
}


def modelfile_of(root: Path, name: str, layers: Sequence[Mapping[str, Any]]) -> tuple[Modelfile, tuple[str, ...]]:
    """What the layers say, and sentences on what of it is left out."""
    by_kind = {str(layer.get("mediaType")).removeprefix(LAYER): layer for layer in layers}
    try:
        return _read_layers(root, name, by_kind)
    except BadFile as error:
        return Modelfile(), (f"The Modelfile of ollama:{name} is not applied: {error}.",)


def _read_layers(root: Path, name: str, by_kind: Mapping[str, Mapping[str, Any]]) -> tuple[Modelfile, tuple[str, ...]]:
    parameters = _parameters(root, by_kind)
    settings = {ours: value for key, ours in _SETTINGS.items() if (value := _number(parameters.get(key))) is not None}
    if settings.get("max_tokens", 1) < 1:
        del settings["max_tokens"]  # until the end
    found = Modelfile(
        _text(root, by_kind.get("template")),
        _text(root, by_kind.get("system")),
        tuple(settings.items()),
        _stops(parameters),
    )
    return found, tuple(_notes(name, by_kind, parameters))


def _parameters(root: Path, by_kind: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return json_in(blob(root, by_kind["params"].get("digest"))[0]) if "params" in by_kind else {}


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if is_number else None  # type: ignore[return-value]


def _stops(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    stops = parameters.get("stop")
    return tuple(stop for stop in (stops if isinstance(stops, list) else [stops]) if isinstance(stop, str) and stop)


def _notes(name: str, by_kind: Mapping[str, object], parameters: Mapping[str, object]) -> Iterator[str]:
    for kind, what in _LEFT_OUT.items():
        if kind in by_kind:
            yield f"ollama:{name} comes with {what}."
    if unread := sorted(set(parameters) - {*_SETTINGS, "stop"}):
        yield f"ollama:{name} also sets {', '.join(unread)}, which localrun does not apply."


def _text(root: Path, layer: Mapping[str, Any] | None) -> str | None:
    """A layer's text; None where there is none, or an empty one."""
    if layer is None:
        return None
    return _read(blob(root, layer.get("digest"))[0]).decode("utf-8", "replace").strip("\n") or None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except FileNotFoundError:
        raise BadFile("its manifest points to nothing") from None
    except OSError as error:
        raise BadFile(f"its manifest cannot be read: {error.strerror}") from error


def json_in(path: Path) -> dict[str, Any]:
    """The JSON object in a manifest or a layer. BadFile."""
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadFile("its manifest is damaged")
    return content


def blob(root: Path, digest: object) -> tuple[Path, str]:
    """Where the blob of this digest lies, and the digest without its prefix. BadFile for none."""
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if match is None:
        raise BadFile("its manifest is damaged")
    return root / "blobs" / f"sha256-{match[1]}", match[1]
