"""Where things are kept on this computer (XDG on Linux, the platform's own places elsewhere)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAME = "localrun"


@dataclass(frozen=True, slots=True)
class Paths:
    """Files and folders of this user; none is made before something is written to it.

    `config_file` holds the user's settings, `prompts` a file for each that has a name, `conversations` a file for each,
    `history` what was planned and measured, a line per load, `tuned` the placements that won when several were
    measured, `engine_log` what the engine and llama.cpp print. In the cache: `headers` of weights, by content digest;
    `states` of conversations, as llama.cpp had them in its caches; `listings`, what the Hub offered when it was last
    asked; `sent_weights`, which borrowers sent to a worker here; `bandwidth` of this computer's memory, `roads` to
    others, and the `download_rate` of the last download.
    """

    config_file: Path
    prompts: Path
    conversations: Path
    history: Path
    tuned: Path
    engine_log: Path
    headers: Path
    states: Path
    listings: Path
    sent_weights: Path
    bandwidth: Path
    roads: Path
    download_rate: Path


def paths() -> Paths:
    """Where they are, after the environment of this moment. XDG variables count on every system."""
    from platformdirs import PlatformDirs

    dirs = PlatformDirs(NAME, appauthor=False)
    config = _xdg("XDG_CONFIG_HOME", dirs.user_config_dir)
    data, cache = _xdg("XDG_DATA_HOME", dirs.user_data_dir), _xdg("XDG_CACHE_HOME", dirs.user_cache_dir)
    return Paths(
        config_file=config / "config.toml",
        prompts=config / "prompts",
        conversations=data / "conversations",
        history=data / "history.jsonl",
        tuned=data / "tuned.json",
        engine_log=_xdg("XDG_STATE_HOME", dirs.user_state_dir) / "engine.log",
        headers=cache / "headers",
        states=cache / "states",
        listings=cache / "listings.json",
        sent_weights=cache / "sent-weights",
        bandwidth=cache / "bandwidth.json",
        roads=cache / "roads.json",
        download_rate=cache / "download.json",
    )


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) / NAME if Path(value).is_absolute() else Path(default)
