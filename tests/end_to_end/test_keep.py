"""Engines that are kept warm, by the commands a person types: found again, shown, ended, and gone without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.client import runtime
from tests.support.house import ROOT
from tests.support.waiting import COMMAND_S, line_of, short_lived, until

MODEL = "smollm2-135m"
ASKED = (MODEL, "-p", "Name three colours.", "--temp", "0", "--max-tokens", "8", "--no-stdin", "--threads", "1")


@pytest.fixture(scope="module")
def home(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A runtime folder of their own, with a short path; what is warm in it ends with the tests."""
    folder = tmp_path_factory.mktemp("run")
    folder.chmod(0o700)
    given = {**environment, "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    yield given
    run(given, "stop")


def run(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "localrun", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=False, env=environment)


def warm(environment: dict[str, str]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(environment, "ps", "--json").stdout)
    return found


def test_what_is_kept_answers_the_next_command_and_leaves_nothing_when_stopped(home: dict[str, str]) -> None:
    folder = Path(home["XDG_RUNTIME_DIR"]) / "localrun"
    cold, first = run(home, *ASKED), run(home, *ASKED, "--keep", "10m", "--json")
    said = json.loads(first.stdout)
    assert cold.stdout.strip() == said["text"].strip() and "8k context" in first.stderr
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / runtime.KEEPER).is_socket()
    again = run(home, *ASKED, "--json")
    assert "context" not in again.stderr, "it was planned again"
    told = json.loads(again.stdout)
    assert told["text"] == said["text"] and told["usage"]["cached_tokens"] > 0
    assert (told["sampling"], told["memory"]) == (said["sampling"], said["memory"])
    (row,) = warm(home)
    assert (row["name"], row["quant"], row["requests"], row["clients"]) == (MODEL, "Q4_1", 0, 0)
    assert 590 < float(str(row["ends_in_s"])) <= 600
    other = run(home, *ASKED, "--ctx", "1024")
    assert "1k context" in other.stderr, "another wish is another plan"
    assert run(home, "stop", "nobody").returncode == 3
    assert MODEL in run(home, "stop", MODEL).stderr
    until(lambda: not folder.exists(), lambda: list(folder.iterdir()))
    assert warm(home) == []


def test_two_starters_share_one_server_and_an_idle_one_ends_by_itself(home: dict[str, str]) -> None:
    folder = Path(home["XDG_RUNTIME_DIR"]) / "localrun"
    command = [sys.executable, "-P", "-m", "localrun", *ASKED, "--keep", "0.5s"]
    both = [subprocess.Popen(command, env=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    answers = [one.communicate(timeout=COMMAND_S) for one in both]
    assert answers[0][0] == answers[1][0] != b""
    assert not any(b"ends with this command" in err for _, err in answers), answers
    until(lambda: not folder.exists(), lambda: list(folder.iterdir()))


def test_a_dead_server_and_a_stale_socket_are_passed_over(home: dict[str, str]) -> None:
    assert run(home, *ASKED, "--keep", "10m").returncode == 0
    (row,) = warm(home)
    os.kill(int(str(row["pid"])), signal.SIGKILL)
    until(lambda: not Path(f"/proc/{row['pid']}/exe").exists(), lambda: row)
    assert (Path(home["XDG_RUNTIME_DIR"]) / "localrun" / runtime.KEEPER).is_socket()
    assert warm(home) == []
    assert "8k context" in run(home, *ASKED).stderr
    assert run(home, *ASKED, "--keep", "10m").returncode == 0 and len(warm(home)) == 1
    assert run(home, "stop").returncode == 0


def test_weights_that_changed_are_loaded_anew(home: dict[str, str], smollm2: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    shutil.copy(smollm2, mine)
    asked = (str(mine), *ASKED[1:])
    assert run(home, *asked, "--keep", "10m").returncode == 0
    assert "context" not in run(home, *asked).stderr
    os.utime(mine, ns=(1, 1))
    assert "8k context" in run(home, *asked).stderr
    assert warm(home) == []


def test_a_server_for_other_programs_is_one_of_them(home: dict[str, str]) -> None:
    folder = Path(home["XDG_RUNTIME_DIR"]) / "localrun"
    command = [sys.executable, "-P", "-m", "localrun", "serve", MODEL, "--threads", "1", "--listen", "127.0.0.1:0"]
    with short_lived(subprocess.Popen(command, env=home, stderr=subprocess.PIPE, text=True)) as server:
        while "Listening" not in (said := line_of(server, "stderr")):
            assert said, "it has ended"
        port = int(said.partition("127.0.0.1:")[2].partition(";")[0])
        (row,) = warm(home)
        assert (row["name"], row["pid"], row["ends_in_s"], row["requests"]) == (MODEL, server.pid, None, 0)
        answered = run(home, *ASKED, "--stats")
        assert "context in" not in answered.stderr and answered.stdout, "it was planned again"
        other = run(home, *ASKED, "--ctx", "1024")
        assert "1k context" in other.stderr, "another wish is another plan"
        assert MODEL in run(home, "stop").stderr and warm(home) == []
        assert "8k context" in run(home, *ASKED).stderr, "nothing is loaded for one who keeps nothing"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=COMMAND_S) as alive:
            assert alive.status == 200
        server.send_signal(signal.SIGTERM)
        assert server.wait(COMMAND_S) == 0
    assert not folder.exists()


def test_where_nothing_can_be_kept_it_runs_all_the_same(home: dict[str, str], tmp_path: Path) -> None:
    open_to_all = tmp_path / f"localrun-{os.getuid()}"
    open_to_all.mkdir(mode=0o755)
    done = run({**home, "XDG_RUNTIME_DIR": "", "TMPDIR": str(tmp_path)}, *ASKED, "--keep", "1m")
    assert done.returncode == 0 and done.stdout
    assert "only you may enter" in done.stderr and "ends with this command" in done.stderr


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="k", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


def test_the_folder_is_this_users_alone(short: Path) -> None:
    folder = runtime.made()
    assert folder == short / "localrun" and runtime.is_private(folder) and not runtime.is_fallback(folder)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / runtime.KEEPER))
    assert runtime.sockets() == [folder / runtime.KEEPER]
    folder.chmod(0o750)
    assert runtime.sockets() == []
    folder.rename(short / "moved")
    folder.symlink_to(short / "moved")
    (short / "moved").chmod(0o700)
    assert not runtime.is_private(folder)
