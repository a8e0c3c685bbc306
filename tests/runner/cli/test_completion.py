"""What shells complete, asked of the shells themselves."""

from __future__ import annotations

import argparse
import os
import pty
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from runner.cli.completion import SHELLS, script
from runner.cli.flags import GROUPS, POSITIONALS
from runner.cli.subcommands import COMMANDS
from tests.support.waiting import COMMAND_S, PATIENCE_S

TYPED = [
    ("localrun pla", "plan"),
    ("localrun smollm2-135", "smollm2-135m"),
    ("localrun plan smollm2-135", "smollm2-135m"),
    ("localrun plan m --marg", "--margin"),
    ("localrun plan m --kv q8", "q8_0"),
    ("localrun m --kv q8", "q8_0"),
    ("localrun m --contin", "--continue"),
    ("localrun list conv", "conversations"),
    ("localrun conversation exp", "export"),
    ("localrun worker --list", "--listen"),
    ("localrun m -f note", "notes.txt"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a file waits to be completed."""
    (tmp_path / "notes.txt").write_text("")
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_flag_is_in_it(shell: str) -> None:
    text = script(shell)
    assert all(command in text for command in COMMANDS)
    shown = [flag.name for group in GROUPS for flag in group.flags if flag.help != argparse.SUPPRESS]
    assert all(name in text for name in shown)
    assert "json-session" not in text and "lifeline" not in text


def test_the_shells_are_those_that_the_command_takes() -> None:
    positional = POSITIONALS["completion"]
    assert positional is not None and positional.words == tuple(SHELLS)


def test_bash(folder: Path) -> None:
    (folder / "c.bash").write_text(script("bash"))
    ask = """
        source ./c.bash
        COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _localrun
        ((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    for line, word in TYPED:
        done = subprocess.run(
            ["bash", "-c", ask, "-", line], cwd=folder, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert (done.stdout.split(), done.stderr) == ([word], ""), line


@pytest.mark.skipif(not shutil.which("fish"), reason="there is no fish")
def test_fish(folder: Path) -> None:
    (folder / "c.fish").write_text(script("fish"))
    environment = {**os.environ, "HOME": str(folder)}
    for line, word in TYPED:
        ask = ["fish", "--no-config", "-c", f"source c.fish; complete -C '{line}'"]
        done = subprocess.run(
            ask, cwd=folder, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=True
        )
        assert [row.partition("\t")[0] for row in done.stdout.splitlines()] == [word], line


@pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh")
def test_zsh(folder: Path) -> None:
    (folder / "c.zsh").write_text(script("zsh"))
    (folder / ".zshrc").write_text("autoload -U compinit; compinit -D -u; source ./c.zsh; PROMPT='ready> '\n")
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-d", "-i"], {**os.environ, "ZDOTDIR": str(folder), "TERM": "dumb"})
    try:
        heard(terminal, "ready> ")
        for line, word in TYPED:
            os.write(terminal, line.encode() + b"\t")
            heard(terminal, word)
            os.write(terminal, b"\x15")
    finally:
        os.kill(process, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(process, 0)


def heard(terminal: int, words: str) -> None:
    """Wait until the terminal shows words, with what redrawing does to a line left out."""
    seen, end = "", time.monotonic() + PATIENCE_S
    while words not in seen.replace("\b", "").replace("\r", ""):
        assert time.monotonic() < end, f"{words!r} never came: {seen[-300:]!r}"
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536).decode("utf-8", "replace")
