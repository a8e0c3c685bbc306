"""A server that starts with the session of its user, in the words of systemd and of launchd. Pure."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LABEL = "localrun"
_PLAIN = re.compile(r"[\w./:=@,+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Started:
    """How it is started: the words of its command, the folder that it starts in, its environment, its log."""

    words: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    log: str


def systemd_unit(started: Started) -> str:
    """systemd.service(5): a word is quoted and keeps its percent and dollar signs."""
    lines = [
        "[Unit]",
        "Description=localrun, a server for language models",
        "",
        "[Service]",
        f"ExecStart={' '.join(map(_command_word, started.words))}",
        f"WorkingDirectory={started.folder.replace('%', '%%')}",
        *(f"Environment={_word(f'{name}={value}')}" for name, value in sorted(started.environment.items())),
        "Restart=on-failure",
        "RestartSec=5",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _command_word(text: str) -> str:
    return _word(text.replace("$", "$$"))


def _word(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return text if _PLAIN.fullmatch(text) else f'"{escaped}"'


def launchd_agent(started: Started) -> str:
    """launchd.plist(5)."""
    agent = {
        "Label": LABEL,
        "ProgramArguments": list(started.words),
        "WorkingDirectory": started.folder,
        "EnvironmentVariables": dict(started.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "StandardErrorPath": started.log,
    }
    return plistlib.dumps(agent).decode()
