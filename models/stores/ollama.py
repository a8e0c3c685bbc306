"""Weights that Ollama keeps: manifests that name layers, and blobs by digest. Edge: its folder, read only.

Two trees of manifests exist, `manifests-v2` since Ollama 0.40 and `manifests` before, in which a file
HOST/NAMESPACE/NAME/TAG lists the layers; the layer of type `…image.model` is the GGUF file. A manifest of the new
tree may be a list of manifests, one per runner, which are blobs themselves.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from models.errors import BadFile
from models.files import label_of
from models.stores.modelfile import LAYER, blob, json_in, modelfile_of
from models.weights import Offer, WeightFile, WeightSet

TREES = ("manifests-v2", "manifests")
_HOSTS = ("registry.ollama.ai", "ollama.com")  # both are Ollama's own, and go without saying
_RUNNERS = ("llamacpp", "ggml")  # those whose weights are GGUF, the preferred first


def full_name(name: str) -> str:
    """`NAME[:TAG]` with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def ollama_offers(root: Path, origin: str) -> Iterator[Offer]:
    """One offer per model and tag, `ollama:NAME:TAG`; without sets, and with a note, where it cannot be used."""
    manifests: dict[str, list[Path]] = {}
    for tree in TREES:
        for path in sorted((root / tree).glob("*/*/*/*")):
            if not any(part.startswith(".") for part in path.relative_to(root / tree).parts):
                manifests.setdefault(_name(path), []).append(path)
    for name, paths in sorted(manifests.items()):
        yield _offer(root, name, paths, origin)


def _name(manifest: Path) -> str:
    host, namespace, name, tag = (unquote(part) for part in manifest.parts[-4:])
    place = "" if host in _HOSTS else f"{host}/"
    owner = "" if not place and namespace == "library" else f"{namespace}/"
    return f"{place}{owner}{name}:{tag}"


def _offer(root: Path, name: str, manifests: list[Path], origin: str) -> Offer:
    problem = ""
    for path in manifests:  # the old tree where the new one is broken
        try:
            manifest = _manifest(root, path)
            file = _weights(root, name, manifest)
            modelfile, notes = modelfile_of(root, name, _layers(manifest))
        except BadFile as error:
            problem = problem or f"ollama:{name} is left out: {error}."
        else:
            label = label_of(_file_type(root, manifest)) or label_of(name.rpartition(":")[2])
            return Offer(f"ollama:{name}", origin, (WeightSet(label, (file,)),), notes=notes, modelfile=modelfile)
    return Offer(f"ollama:{name}", origin, (), notes=(problem,))


def _manifest(root: Path, path: Path) -> dict[str, Any]:
    """The manifest in a file, or the one for llama.cpp in a list of them."""
    content = json_in(path)
    if not isinstance(children := content.get("manifests"), list):
        return content
    for runner in _RUNNERS:
        for child in children:
            if isinstance(child, dict) and child.get("runner") == runner:
                return json_in(blob(root, child.get("digest"))[0])
    raise BadFile("it has no GGUF weights")


def _layers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    layers = manifest.get("layers")
    return [layer for layer in layers if isinstance(layer, dict)] if isinstance(layers, list) else []


def _weights(root: Path, name: str, manifest: dict[str, Any]) -> WeightFile:
    models = [layer for layer in _layers(manifest) if layer.get("mediaType") == f"{LAYER}model"]
    if len(models) != 1:
        raise BadFile("it is made of several files" if models else "it has no GGUF weights")
    path, sha256 = blob(root, models[0].get("digest"))
    try:
        found = path.stat()
    except FileNotFoundError:
        raise BadFile("its weights are not there") from None
    except OSError as error:
        raise BadFile(f"its weights cannot be read: {error.strerror}") from error
    if (size := found.st_size) != models[0].get("size", size):
        raise BadFile(f"its weights have {size} bytes instead of {models[0]['size']}")
    return WeightFile(name, size, path, sha256=sha256, modified=found.st_mtime_ns)


def _file_type(root: Path, manifest: dict[str, Any]) -> str:
    """The quantization that the configuration states (`file_type` in types/model/config.go), empty if none."""
    try:
        stated = json_in(blob(root, manifest["config"]["digest"])[0]).get("file_type")
    except (BadFile, KeyError, TypeError):
        return ""
    return stated if isinstance(stated, str) else ""
