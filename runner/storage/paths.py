"""Where things are kept on this computer (XDG on Linux, the platform's own places elsewhere)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAME = "localrun"


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders of this user; none is made before something is written to it."""

    config: Path
    data: Path
    state: Path
    cache: Path

    @property
    def config_file(self) -> Path:
        """Settings of the user."""
        return self.config / "config.toml"

    @property
    def conversations(self) -> Path:
        """One file per conversation."""
        return self.data / "conversations"

    @property
    def history(self) -> Path:
        """Planned against measured, one line per load."""
        return self.data / "history.jsonl"

    @property
    def engine_log(self) -> Path:
        """What the engine and llama.cpp print."""
        return self.state / "engine.log"

    @property
    def headers(self) -> Path:
        """Headers of weights, by content digest."""
        return self.cache / "headers"

    @property
    def listings(self) -> Path:
        """What the Hub offered when it was last asked."""
        return self.cache / "listings.json"

    @property
    def bandwidth(self) -> Path:
        """How fast this computer reads its memory."""
        return self.cache / "bandwidth.json"

    @property
    def download_rate(self) -> Path:
        """How fast the last download was."""
        return self.cache / "download.json"


def paths() -> Paths:
    """The folders, after the environment of this moment. XDG variables count on every system."""
    from platformdirs import PlatformDirs

    dirs = PlatformDirs(NAME, appauthor=False)
    return Paths(
        config=_xdg("XDG_CONFIG_HOME", dirs.user_config_dir),
        data=_xdg("XDG_DATA_HOME", dirs.user_data_dir),
        state=_xdg("XDG_STATE_HOME", dirs.user_state_dir),
        cache=_xdg("XDG_CACHE_HOME", dirs.user_cache_dir),
    )


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) / NAME if Path(value).is_absolute() else Path(default)
