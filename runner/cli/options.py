"""The command line, the environment and the configuration file as one value.

A typed flag beats LOCALRUN_*, which beats the configuration file, which beats automatic.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import UsageError
from models.headers.pooling import Pooling
from models.headers.prefixes import TextRole
from runner.cli.flags import CONFIGURABLE, PLACEMENT, RUN, read_flags
from runner.cli.subcommands import COMMANDS
from runner.cli.templates import templating_of
from runner.types import sampling
from runner.types.notice import Notice
from runner.types.sampling import Sampling
from runner.types.tools import Calling
from runner.types.tools_json import with_possible_calls
from runner.types.wish import Wish

# The flags' keys -> fields of Wish and of Sampling.
_WISH = {flag.key: flag.key for flag in PLACEMENT} | {"kv": "kv_type", "parallel": "sequences"}
_SAMPLING = {setting.key: setting.field for setting in sampling.EVERY}


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `command` is RUN or one of COMMANDS."""

    command: str
    model: str | None = None
    wish: Wish = Wish()  # noqa: RUF009
    sampling: Sampling = Sampling()  # noqa: RUF009
    prompt: str | None = None
    system: str | None = None
    on: str | None = None
    json: bool = False
    jsonl: bool = False
    stats: bool = False
    yes: bool = False
    plain: bool = False
    no_stdin: bool = False
    batch: Path | None = None
    out: Path | None = None
    schema: Path | None = None
    grammar: Path | None = None
    choices: tuple[str, ...] = ()
    listen: str | None = None
    api_key_file: Path | None = None
    cors: tuple[str, ...] = ()
    memory: int | None = None
    i_trust_this_network: bool = False
    lifeline: bool = False  # end with standard input
    install_service: bool = False
    remove_service: bool = False
    words: tuple[str, ...] = ()
    json_session: bool = False
    share: Path | None = None
    budget: float = 60.0
    continued: str | None = None  # the name of a conversation; empty: the one used last
    save: str | None = None
    files: tuple[Path, ...] = ()
    named_prompt: str | None = None
    cache_size: int | None = None
    keep: float | None = None  # seconds
    cache_prompt: str | None = None
    cache: bool = False
    notice: Notice = Notice.BELL
    texts: Path | None = None
    role: TextRole | None = None
    pooling: Pooling | None = None
    npy: Path | None = None
    query: str | None = None
    top: int | None = None
    truncate: bool = False


def parse(argv: Sequence[str], environ: Mapping[str, str], config: Mapping[str, object]) -> Options:
    """The options of a command line. UsageError for what is not understood, SystemExit(0) after --help."""
    command = argv[0] if argv and argv[0] in COMMANDS else RUN
    typed = read_flags(command, argv if command == RUN else argv[1:])
    if command == RUN and typed.get("model") in COMMANDS:
        raise UsageError(f"The command comes first: localrun {typed['model']} ...")
    settings = _settings(typed, environ, config)
    rest = {key: value for key, value in typed.items() if key not in settings}
    many = ("stop", "words", "file", "template_var", "cors")
    stop, words, files, variables, cors = (tuple(rest.pop(name, ())) for name in many)
    templating = templating_of(rest.pop("chat_template", None), variables, rest.pop("tools", ()))
    calling = rest.pop("tool_choice", Calling())
    role = rest.pop("as", None)  # no field can have that name
    return Options(
        command,
        wish=Wish(**_named(settings, _WISH)),
        sampling=with_possible_calls(
            Sampling(**_named(settings, _SAMPLING), stop=stop, templating=templating, calling=calling)
        ),
        system=(typed if "continue" in typed else settings).get("system"),  # an earlier conversation has its own
        cache_size=settings.get("cache_size"),
        keep=settings.get("keep"),
        notice=settings.get("notice", Notice.BELL),
        words=words,
        files=files,
        cors=cors,
        continued=rest.pop("continue", None),
        role=role,
        **rest,
    )


def _named(settings: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    return {fields[key]: value for key, value in settings.items() if key in fields}


def _settings(typed: Mapping[str, Any], environ: Mapping[str, str], config: Mapping[str, object]) -> dict[str, Any]:
    """Each setting from the first source that has it."""
    _reject_unknown(config)
    found: dict[str, Any] = {}
    for flag in CONFIGURABLE:
        variable = f"LOCALRUN_{flag.key.upper()}"
        if flag.key in typed:
            found[flag.key] = typed[flag.key]
        elif environ.get(variable):
            found[flag.key] = flag.value(environ[variable], variable)
        elif flag.key in config:
            found[flag.key] = flag.value(_as_text(config[flag.key]), f"{flag.key} in config.toml")
    return found


def _reject_unknown(config: Mapping[str, object]) -> None:
    known = [flag.key for flag in CONFIGURABLE]
    for key in config:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; {near[0]} is near" if near else f"; it may hold {', '.join(known)}"
            raise UsageError(f"config.toml has an unknown key {key!r}{hint}.")


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def load_config(path: Path) -> dict[str, object]:
    """The configuration file; empty without one."""
    try:
        text = path.read_text("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
    import tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
