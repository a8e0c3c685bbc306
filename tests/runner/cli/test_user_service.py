"""A server that starts with its user's session: what systemd and launchd are told, and in which order."""

import os
import plistlib
import sys
from pathlib import Path

import pytest

from models.errors import EngineError, ExitCode, UsageError
from runner.cli.options import Options, parse
from runner.cli.output import Output
from runner.cli.subcommands import serve
from runner.cli.user_service import install, manager, remove
from runner.report.unit import Started, launchd_agent, systemd_unit
from tests.support.homes import own_home

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="systemctl is stood in for")
YES = Options("serve", yes=True)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a program in the place of systemctl, which a container has no use for, was called with."""
    log, program = tmp_path / "told", tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n[ ! -e {tmp_path}/refuse ] || {{ echo no bus >&2; exit 1; }}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return log


def test_it_is_printed_installed_started_and_removed(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_home(tmp_path):
        monkeypatch.setenv("LOCALRUN_CTX", "2048")
        file = manager(sys.platform, os.environ, tmp_path).file
        install(Options("serve"), Output(), ["smollm2-135m"])
        assert not file.exists() and not told.exists(), "nobody said yes"
        install(YES, Output(), ["smollm2-135m", "--api-key-file", "my key"])
        unit = file.read_text()
        assert unit in capsys.readouterr().out
        assert f'ExecStart={sys.executable} -m localrun serve smollm2-135m --api-key-file "my key"\n' in unit
        assert "Environment=LOCALRUN_CTX=2048\n" in unit and "HF_TOKEN" not in unit
        remove(Output())
        assert not file.exists()
        enable, disable = (f"--user {verb} --now localrun.service" for verb in ("enable", "disable"))
        again = "--user daemon-reload"
        assert told.read_text().splitlines() == [again, enable, disable, again]
        with pytest.raises(UsageError, match="There is no service to remove"):
            remove(Output())


def test_the_command_asks_for_what_was_typed(
    told: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["serve", "smollm2-135m", "--ctx", "2048", "--install-service", "--yes"]
    monkeypatch.setattr(sys, "argv", ["localrun", *typed])
    with own_home(tmp_path):
        assert serve.run(parse(typed, {}, {}), Output()) is ExitCode.OK
        assert "-m localrun serve smollm2-135m --ctx 2048\n" in capsys.readouterr().out
        assert serve.run(parse(["serve", "--remove-service"], {}, {}), Output()) is ExitCode.OK
        with pytest.raises(UsageError, match="--api-key-file"):
            serve.run(parse([*typed, "--listen", "0.0.0.0:80"], {}, {}), Output())
        assert not manager(sys.platform, os.environ, tmp_path).file.exists()


def test_what_systemd_refuses_is_said(told: Path, tmp_path: Path) -> None:
    (tmp_path / "refuse").touch()
    with own_home(tmp_path), pytest.raises(EngineError, match=r"daemon-reload` failed: no bus\."):
        install(YES, Output(), [])


def test_words_are_quoted() -> None:
    started = Started(("/bin/x", 'a "b" %h $HOME', "c\\d"), "/tmp/100%", {"A": "b c"}, "/log")
    unit = systemd_unit(started)
    assert 'ExecStart=/bin/x "a \\"b\\" %%h $$HOME" "c\\\\d"\n' in unit
    assert 'WorkingDirectory=/tmp/100%%\nEnvironment="A=b c"\n' in unit
    agent = plistlib.loads(launchd_agent(started).encode())
    assert agent["ProgramArguments"] == list(started.words) and agent["EnvironmentVariables"] == {"A": "b c"}


def test_other_systems_have_none() -> None:
    assert manager("darwin", {}, Path("/u")).file == Path("/u/Library/LaunchAgents/localrun.plist")
    with pytest.raises(UsageError, match="systemd and launchd"):
        manager("win32", {}, Path("/u"))
