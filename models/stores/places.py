"""Where the programs on this machine keep weights, from environment and system. Pure.

Sources: huggingface_hub/constants.py; llama.cpp's common/hf-cache.cpp and fs_get_cache_directory; Ollama's envconfig;
LM Studio's documentation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

_HUB = "huggingface/hub"


@dataclass(frozen=True, slots=True)
class Places:
    """Folders that may or may not exist. `hubs` have the layout of the Hugging Face cache, each with its origin."""

    hubs: tuple[tuple[Path, str], ...]
    flat: tuple[Path, ...]
    ollama: tuple[Path, ...]
    lmstudio: tuple[Path, ...]


def places(environ: Mapping[str, str], home: Path, system: str) -> Places:
    """The folders of one user; `system` is Python's sys.platform."""
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache").expanduser()
    huggingface = hub_cache(environ, home)
    own = [Path(environ["LLAMA_CACHE"])] if environ.get("LLAMA_CACHE") else []
    hubs = {huggingface: "huggingface"} | {path: "llama.cpp" for path in own if path != huggingface}
    return Places(
        hubs=tuple(hubs.items()),
        flat=tuple(own or [_llama_cpp(environ, home, cache, system)]),
        ollama=_ollama(environ, home, system),
        lmstudio=(home / ".lmstudio", home / ".cache" / "lm-studio"),
    )


def hub_cache(environ: Mapping[str, str], home: Path) -> Path:
    """Hugging Face's cache of one user, as huggingface_hub/constants.py works it out."""
    below = (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub"), ("XDG_CACHE_HOME", _HUB))
    named = ((environ.get(name), rest) for name, rest in below)
    place = next((f"{folder}/{rest}" for folder, rest in named if folder), f"{home}/.cache/{_HUB}")
    return Path(Template(place).safe_substitute(environ)).expanduser()


def _llama_cpp(environ: Mapping[str, str], home: Path, cache: Path, system: str) -> Path:
    match system:
        case "darwin":
            return home / "Library" / "Caches" / "llama.cpp"
        case "win32":
            return Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "llama.cpp"
        case _:
            return cache / "llama.cpp"


def _ollama(environ: Mapping[str, str], home: Path, system: str) -> tuple[Path, ...]:
    if environ.get("OLLAMA_MODELS"):
        return (Path(environ["OLLAMA_MODELS"]).expanduser(),)
    own = home / ".ollama" / "models"
    # The service that Ollama's installer sets up on Linux has a home of its own.
    return (own, Path("/usr/share/ollama/.ollama/models")) if system == "linux" else (own,)
