"""The programs and commands of docs/server.md are run, against the server of the tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.house import ROOT
from tests.support.server import Served
from tests.support.waiting import COMMAND_S

PAGE = (ROOT / "docs/server.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PROGRAMS = [block for kind, block in BLOCKS if kind == "python"]
COMMANDS = [
    command
    for kind, block in BLOCKS
    if not kind
    for command in re.split(r"\n+(?=curl|OLLAMA_HOST)", block)
    if command.startswith(("curl", "OLLAMA_HOST"))
]
WRITTEN = "127.0.0.1:8080"


def said(served: Served, *command: str) -> str:
    here = [word.replace(WRITTEN, f"127.0.0.1:{served.port}") for word in command]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        here, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=environment, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_the_page_says_something(served: Served, program: str) -> None:
    assert said(served, sys.executable, "-c", program).strip()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[:2]))
def test_a_command_of_the_page_is_answered(served: Served, command: str) -> None:
    if command.startswith("curl") and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    answer = said(served, "sh", "-c", command.replace("curl ", "curl --silent --show-error --fail "))
    assert answer.strip() and '"error"' not in answer


def test_the_page_has_a_way_in_for_each_dialect() -> None:
    assert len(PROGRAMS) >= 2
    for path in ("/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/api/generate", "OLLAMA_HOST"):
        assert any(path in command for command in COMMANDS), path
