"""huggingface-hub for tests: never a word to the real Hub, nobody's token, nothing left open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def loopback_client(home: Path) -> Iterator[None]:
    """In this process: no telemetry, no token but HF_TOKEN, `home` as the default cache; closed at the end."""
    from huggingface_hub import close_session, constants

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HF_TOKEN", raising=False)
        patch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setenv("HF_HUB_CACHE", str(home / "hub"))
        try:
            yield
        finally:
            close_session()


def environment(home: Path, endpoint: str) -> dict[str, str]:
    """The same for a process of its own, which reads these when it imports huggingface_hub."""
    return {
        "HF_HOME": str(home),
        "HF_ENDPOINT": endpoint,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_TOKEN": "",
    }
