"""A user of their own, in this process: an empty home, and a Hub on the loopback or none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.hub import loopback_client

NOWHERE = "http://127.0.0.1:9"  # the port of the discard service: nobody listens


@contextmanager
def own_home(home: Path, endpoint: str = NOWHERE) -> Iterator[Path]:
    """Everything that the stores, the Hub and XDG ask for lies below `home`; gives the Hugging Face cache."""
    from huggingface_hub import constants

    places = {f"XDG_{name}_HOME": str(home / f".{name.lower()}") for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    with loopback_client(home), pytest.MonkeyPatch.context() as patch:
        for name, value in {**places, "HOME": str(home)}.items():
            patch.setenv(name, value)
        for name in ("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HUGGINGFACE_HUB_CACHE"):
            patch.delenv(name, raising=False)
        patch.setattr(constants, "ENDPOINT", endpoint)
        patch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        yield home / "hub"


def put(path: Path, content: bytes) -> Path:
    """A file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def cached(hub: Path, repo: str, files: Mapping[str, bytes], commit: str = "a" * 40) -> Path:
    """A repository in the Hugging Face cache, laid out as huggingface-hub does; gives its folder."""
    folder = hub / f"models--{repo.replace('/', '--')}"
    for name, content in files.items():
        blob = put(folder / "blobs" / sha256(content).hexdigest(), content)
        link = folder / "snapshots" / commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    put(folder / "refs" / "main", commit.encode())
    return folder
