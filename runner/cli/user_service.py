"""`localrun serve` as a service of its user: shown, installed, started; stopped and taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import EngineError, ExitCode, UsageError
from models.stores.replacing import replace_file
from runner.cli.load import is_to_be_asked
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.unit import LABEL, Started, launchd_agent, systemd_unit
from runner.storage.paths import paths

_CARRIED = {
    *(
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "HF_HOME",
        "HF_ENDPOINT",
        "HF_HUB_OFFLINE",
    ),
    *("OLLAMA_MODELS", "LLAMA_CACHE", "CUDA_VISIBLE_DEVICES"),
}


@dataclass(frozen=True, slots=True)
class Manager:
    """Who starts services of a user here: the `file` that it reads, how that is worded, its commands in order."""

    file: Path
    worded: Callable[[Started], str]
    start: Sequence[Sequence[str]]
    stop: Sequence[Sequence[str]]
    after: Sequence[Sequence[str]] = ()


def manager(platform: str, environment: Mapping[str, str], home: Path) -> Manager:
    """systemd, or launchd on macOS. UsageError elsewhere."""
    if platform == "darwin":
        file = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        load, unload = (("launchctl", verb, "-w", str(file)) for verb in ("load", "unload"))
        return Manager(file, launchd_agent, (load,), (unload,))
    if not platform.startswith("linux"):
        raise UsageError("Services are installed for systemd and launchd; this system has neither.")
    unit, again = f"{LABEL}.service", ("systemctl", "--user", "daemon-reload")
    folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
    start = (again, ("systemctl", "--user", "enable", "--now", unit))
    stop = (("systemctl", "--user", "disable", "--now", unit),)
    return Manager(folder / unit, systemd_unit, start, stop, (again,))


def install(options: Options, output: Output, words: Sequence[str]) -> ExitCode:
    """Print it, and with a yes install and start it. `words` stand behind `localrun serve`. UsageError, EngineError."""
    found = manager(sys.platform, os.environ, Path.home())
    text = found.worded(_started(words))
    output.lines(text.splitlines())
    question = f"Install this as {found.file} and start it?"
    if not (options.yes or (is_to_be_asked(options, output) and output.ask(question))):
        output.note("Nothing was installed; --yes installs it without a question.")
        return ExitCode.OK
    replace_file(found.file, text.encode())
    _run(found.start)
    output.note(f"{found.file} is installed and started; localrun serve --remove-service takes it away.")
    return ExitCode.OK


def remove(output: Output) -> ExitCode:
    """Stop it and take its file away. UsageError where there is none."""
    found = manager(sys.platform, os.environ, Path.home())
    if not found.file.exists():
        raise UsageError(f"There is no service to remove: {found.file} is not there.")
    _run(found.stop)
    found.file.unlink()
    _run(found.after)
    output.note(f"The service is stopped, and {found.file} is removed.")
    return ExitCode.OK


def _started(words: Sequence[str]) -> Started:
    carried = {name: value for name, value in os.environ.items() if name.startswith("LOCALRUN_") or name in _CARRIED}
    log = str(paths().engine_log.with_name("localrun-serve.log"))
    return Started((sys.executable, "-m", "localrun", "serve", *words), str(Path.cwd()), carried, log)


def _run(commands: Sequence[Sequence[str]]) -> None:
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise EngineError(f"{command[0]} cannot be run: {error.strerror}.") from None
        if done.returncode:
            raise EngineError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.returncode}.")
