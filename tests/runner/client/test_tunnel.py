"""`--rpc ssh:user@host` against a real sshd on the loopback: the worker is started there and ends with us."""

import getpass
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from models.errors import EngineError, UsageError
from runner.client.tunnel import Tunnel
from runner.client.wire import LOOPBACK, free_port
from runner.service.service import LocalService
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from tests.support.homes import own_home
from tests.support.sessions import opened, told
from tests.support.waiting import COMMAND_S, PATIENCE_S
from tests.support.workers import ROOT

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_sshd = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="no sshd on this computer: install openssh-server"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys, configuration and a running sshd that lets only this user in; `ssh` and `localrun` that know of it."""
    assert SSHD is not None
    home, port = tmp_path_factory.mktemp("sshd"), free_port()
    for key in ("host", "user"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key)], timeout=COMMAND_S, check=True
        )
    python = f"PYTHONPATH={ROOT} XDG_CACHE_HOME={home} XDG_STATE_HOME={home} exec {sys.executable} -P"
    _script(home / "bin" / "localrun", f'{python} -c "import sys, localrun; sys.exit(localrun.main())" "$@"')
    options = f"-F none -p {port} -i {home}/user -o UserKnownHostsFile={home}/known -o StrictHostKeyChecking=no"
    _script(home / "ssh", f'exec {shutil.which("ssh")} {options} "$@"')
    settings = [
        f"ListenAddress {LOOPBACK}:{port}",
        f"HostKey {home}/host",
        f"AuthorizedKeysFile {home}/user.pub",
        "StrictModes no",
        "UsePAM no",
        "PidFile none",
        f"SetEnv PATH={home}/bin:/usr/bin:/bin",
    ]
    (home / "config").write_text("\n".join(settings))
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd of some systems wants to be alone
    with (home / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(home / "config")], stderr=log)
    yield home
    server.kill()
    server.wait(PATIENCE_S)


def _script(path: Path, line: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@pytest.fixture
def target(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    deadline = time.monotonic() + PATIENCE_S
    while b"Server listening" not in (folder / "log").read_bytes():
        assert time.monotonic() < deadline, (folder / "log").read_text()
    return f"ssh:{getpass.getuser()}@{LOOPBACK}"


def workers() -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if "--lifeline" in (one.info["cmdline"] or ())]


@needs_sshd
def test_a_worker_is_started_there_computes_and_ends_with_us(target: str, smollm2: Path, tmp_path: Path) -> None:
    before = {one.pid for one in workers()}
    with own_home(tmp_path), closing(LocalService()) as local:
        session = opened(local, smollm2, Wish(ctx=512, gpu_layers=20, rpc=(target,)))
        (device,) = session.plan.machine.devices
        assert device.lent is not None and device.lent.keeps_weights and device.lent.called.endswith(f"({target})")
        assert session.placement.devices == ("RPC0",) and session.placement.tensor_split == (20,)
        answer = list(session.generate((), Sampling(temperature=0, max_tokens=8), raw="The sea", ignore_end=True))
        assert told(answer) and answer[-1].completion_tokens == 8
        started = [one for one in workers() if one.pid not in before]
        assert started
    assert psutil.wait_procs(started, PATIENCE_S)[1] == []


@needs_sshd
def test_why_it_does_not_work(target: str, folder: Path) -> None:
    (folder / "bin" / "localrun").rename(folder / "bin" / "other")
    with pytest.raises(EngineError, match="localrun is not installed at"):
        Tunnel(target)
    (folder / "bin" / "other").rename(folder / "bin" / "localrun")
    with pytest.raises(
        EngineError, match=r"nobody-here@127\.0\.0\.1 could not be reached \(ssh ended with 255: .*denied"
    ):
        Tunnel(f"ssh:nobody-here@{LOOPBACK}")


@pytest.mark.parametrize("endpoint", ["ssh:", "ssh:-oProxyCommand=x", "ssh:a b"])
def test_what_is_no_address(endpoint: str) -> None:
    with pytest.raises(UsageError, match="wants ssh:user@host"):
        Tunnel(endpoint)
