"""What was read of a conversation is not read again by the next command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import COMMAND_S

LONG = "List some animals: " + "cat, dog, cow, hen, " * 40
FLAGS = ("smollm2-135m", "--ctx", "1024", "--threads", "1", "--temp", "0", "--max-tokens", "8", "--no-stdin", "--json")


@pytest.fixture
def home(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    tmp_path.chmod(0o700)
    places = {f"XDG_{name}_HOME": str(tmp_path / name.lower()) for name in ("DATA", "CACHE")}
    return {**environment, **places, "XDG_RUNTIME_DIR": str(tmp_path)}


def run(home: dict[str, str], *words: str, code: int = 0) -> dict[str, Any]:
    command = [sys.executable, "-P", "-m", "localrun", *words]
    done = subprocess.run(command, env=home, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout))


def test_a_conversation_goes_on_and_rm_forgets_what_was_read(home: dict[str, str], tmp_path: Path) -> None:
    first = run(home, *FLAGS, "--save", "farm", "-p", LONG)
    again = run(home, *FLAGS, "-c", "farm", "-p", "And plants?")
    assert first["usage"]["cached_tokens"] == 0
    assert 180 < first["usage"]["prompt_tokens"] <= again["usage"]["cached_tokens"]
    by_server = run(home, *FLAGS, "-c", "farm", "-p", "And trees?", "--keep", "1m")
    run(home, "stop", "--json")
    assert again["usage"]["prompt_tokens"] <= by_server["usage"]["cached_tokens"]
    (state,) = (tmp_path / "cache" / "localrun" / "states").iterdir()
    size = state.stat().st_size
    assert run(home, "rm", "--cache", "--json") == {"freed_bytes": size, "files": []} and not state.exists()
    anew = run(home, *FLAGS, "-c", "farm", "-p", "And stones?")
    assert anew["usage"]["cached_tokens"] == 0


def test_a_named_prompt_is_read_once(home: dict[str, str]) -> None:
    cached = [
        run(home, *FLAGS, "--cache-prompt", "animals", "-p", f"{LONG}\n{question}")["usage"]["cached_tokens"]
        for question in ("Which is the largest?", "Which one flies?")
    ]
    assert cached[0] == 0 and cached[1] > 180


def test_a_size_of_nothing_keeps_nothing(home: dict[str, str], tmp_path: Path) -> None:
    run(home, *FLAGS, "--cache-size", "0", "--cache-prompt", "animals", "-p", LONG)
    assert not list((tmp_path / "cache").rglob("*.state"))
