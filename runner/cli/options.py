"""The command line, the environment and the configuration file as one value.

A typed flag beats LOCALRUN_*, which beats the configuration file, which beats automatic.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from models.errors import UsageError
from runner.types.plan import Prefer, Wish
from runner.types.sampling import Sampling
from runner.types.units import parse_size

T = TypeVar("T")

COMMANDS = ("plan", "pull", "list", "show", "rm", "bench", "doctor", "worker", "paths")
RESERVED = ("serve", "ps", "stop")
KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")

USAGE = """\
localrun                       pick a model: what is here, what would run well here
localrun MODEL                 chat
localrun MODEL -p PROMPT       one answer to stdout (stdin is read too, and goes first)
localrun plan MODEL            what this machine can do with it, before any download
localrun COMMAND ...           pull, list, show, rm, bench, doctor, worker, paths"""
EPILOG = """\
MODEL is a catalog name (llama-3.3-70b), org/repo[:QUANT] on the Hub, a GGUF file, a folder of GGUF files, or
ollama:NAME[:TAG]. SIZE is 24g, 512m, 1.5GiB. HARDWARE is a100-sxm-80gb, 2xrtx-3090, rtx-4090,ram=64g@60gbps,
gpu=24g@1008gbps or cpu,ram=32g. Every long flag may stand in config.toml, or in the environment as LOCALRUN_FLAG."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. `command` is `run` or one of COMMANDS."""

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
    parallel: int = 1
    schema: Path | None = None
    grammar: Path | None = None
    choices: tuple[str, ...] = ()
    listen: str | None = None
    talk: bool = False


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as a UsageError, in one sentence, and leaves the rest to its caller."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}; localrun --help shows what there is.")


@dataclass(frozen=True, slots=True)
class Flag:
    """A long flag that the configuration file and the environment may set too."""

    name: str
    read: Callable[[str], Any]
    help: str
    metavar: str = "N"

    @property
    def key(self) -> str:
        """Its name in Python, in config.toml and, in capitals, behind LOCALRUN_."""
        return self.name.replace("-", "_")


def _number(kind: type[int] | type[float], low: float, high: float = float("inf")) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            raise UsageError(f"{text!r} is not a {'whole ' if kind is int else ''}number.") from None
        if not low <= value <= high or value == float("inf"):
            raise UsageError(f"{text} is out of range: {_range(low, high)}.")
        return value

    return read


def _range(low: float, high: float) -> str:
    return f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:g}"


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise UsageError(f"{text!r} is not one of {', '.join(words)}.")
        return text.lower()

    return read


def _list_of(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


PLACEMENT = (
    Flag("ctx", _number(int, 1), "context length, kept by every candidate (default: what fits)"),
    Flag("kv", _one_of(*KV_TYPES), "type of the KV cache: f16, q8_0, q4_0, ...", "TYPE"),
    Flag("quant", str, "only this quantization", "Q"),
    Flag("prefer", lambda text: Prefer(_one_of(*Prefer)(text)), "quality, balanced (default) or speed", "WHAT"),
    Flag("gpu-layers", _number(int, 0), "whole layers on the devices, the output layer included"),
    Flag("tensor-split", _list_of(_number(float, 0)), "proportions over the devices", "A,B,…"),
    Flag("devices", _list_of(str), "only these devices, in this order", "LIST"),
    Flag("rpc", _list_of(str), "devices lent by other machines, as host:port", "LIST"),
    Flag("ubatch", _number(int, 1), "tokens computed at once (default 512)"),
    Flag("threads", _number(int, 1, 1024), "CPU threads (default: from the physical cores)"),
    Flag("margin", parse_size, "left free on every GPU (default 1024m)", "SIZE"),
    Flag("vram-limit", parse_size, "use at most this much of every device", "SIZE"),
    Flag("ram-limit", parse_size, "use at most this much host memory, mapped weights included", "SIZE"),
)
SAMPLING = (
    Flag("temp", _number(float, 0), "temperature; 0 always takes the likeliest token (default 0.8)", "X"),
    Flag("top-p", _number(float, 0, 1), "default 0.95", "X"),
    Flag("top-k", _number(int, 0), "default 40"),
    Flag("min-p", _number(float, 0, 1), "default 0.05", "X"),
    Flag("repeat-penalty", _number(float, 0), "default 1: none", "X"),
    Flag("seed", _number(int, 0, 2**32 - 1), "for the same answer again"),
    Flag("max-tokens", _number(int, 1), "default: until the model ends or the context is full"),
    Flag("system", str, "system prompt", "TEXT"),
)
SETTINGS = PLACEMENT + SAMPLING
_SAMPLING_NAMES = {"temp": "temperature"}


def parse(argv: Sequence[str], environ: Mapping[str, str], config: Mapping[str, object]) -> Options:
    """The options of a command line. UsageError for what is not understood, SystemExit(0) after --help."""
    command = argv[0] if argv and argv[0] in COMMANDS + RESERVED else "run"
    if command in RESERVED:
        raise UsageError(f"{command} is a reserved word that does nothing yet; a file of that name is ./{command}.")
    given = vars(_parser(command).parse_args(argv if command == "run" else argv[1:]))
    if command == "run" and given.get("model") in COMMANDS + RESERVED:
        raise UsageError(f"The command comes first: localrun {given['model']} ...")
    settings = _settings(given, environ, config)
    return Options(
        command=command,
        wish=_pick(Wish, settings, {"kv": "kv_type"}),
        sampling=_pick(Sampling, {**settings, "stop": tuple(given.get("stop") or ())}, _SAMPLING_NAMES),
        system=settings.get("system"),
        **{name: given[name] for name in _plain_names() if given.get(name) is not None},
    )


def _plain_names() -> set[str]:
    return {field.name for field in fields(Options)} - {"command", "wish", "sampling", "system"}


def _settings(given: Mapping[str, Any], environ: Mapping[str, str], config: Mapping[str, object]) -> dict[str, Any]:
    """Each setting from the first source that has it."""
    _reject_unknown(config)
    found: dict[str, Any] = {}
    for flag in SETTINGS:
        variable = f"LOCALRUN_{flag.key.upper()}"
        if given.get(flag.key) is not None:
            found[flag.key] = given[flag.key]
        elif environ.get(variable):
            found[flag.key] = _read(flag, environ[variable], variable)
        elif flag.key in config:
            found[flag.key] = _read(flag, _as_text(config[flag.key]), f"{flag.key} in config.toml")
    return found


def _reject_unknown(config: Mapping[str, object]) -> None:
    known = [flag.key for flag in SETTINGS]
    for key in config:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; {near[0]} is near" if near else f"; it may hold {', '.join(known)}"
            raise UsageError(f"config.toml has an unknown key {key!r}{hint}.")


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _read(flag: Flag, text: str, source: str) -> Any:
    try:
        return flag.read(text)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def _pick(kind: type[T], settings: Mapping[str, Any], renamed: Mapping[str, str]) -> T:
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    values = {renamed.get(key, key): value for key, value in settings.items()}
    return kind(**{name: value for name, value in values.items() if name in names})


def sampling_from(texts: Mapping[str, str], base: Sampling) -> Sampling:
    """`base` with the settings given as text under their flags' keys."""
    read = {flag.key: _read(flag, texts[flag.key], flag.key) for flag in SAMPLING if flag.key in texts}
    names = {_SAMPLING_NAMES.get(key, key): value for key, value in read.items() if key != "system"}
    return replace(base, **names)


def _parser(command: str) -> _Parser:
    name = "localrun" if command == "run" else f"localrun {command}"
    parser = _Parser(prog=name, add_help=True, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    if command == "run":
        parser.usage, parser.epilog = USAGE, EPILOG
        parser.add_argument("--version", action="version", version=_version())
    if command not in ("doctor", "worker", "paths", "list"):
        parser.add_argument("model", metavar="MODEL", nargs="?" if command == "run" else None)
    if command not in ("run", "worker"):
        parser.add_argument("--json", action="store_true", help="JSON on stdout")
    if command in ("run", "plan", "bench", "pull"):
        _add(parser, "placement", PLACEMENT)
        parser.add_argument("--yes", action="store_true", help="no question before a large download")
    if command == "plan":
        parser.add_argument("--on", metavar="HARDWARE", help="plan for hardware that is not here")
    if command == "rm":
        parser.add_argument("--quant", metavar="Q", help="only this quantization")
        parser.add_argument("--yes", action="store_true", help="no question")
    if command == "worker":
        parser.add_argument("--listen", metavar="HOST:PORT", help="default 127.0.0.1:50052")
        parser.add_argument("--devices", type=_list_of(str), metavar="LIST", help="lend only these")
    if command == "run":
        _add_run(parser)
    return parser


def _add(parser: argparse.ArgumentParser, title: str, flags: Sequence[Flag]) -> None:
    group = parser.add_argument_group(title)
    for flag in flags:
        group.add_argument(f"--{flag.name}", type=_argument(flag), metavar=flag.metavar, help=flag.help)


def _argument(flag: Flag) -> Callable[[str], Any]:
    return lambda text: _read(flag, text, f"--{flag.name}")


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add(parser, "sampling", SAMPLING)
    parser.add_argument("--stop", action="append", metavar="TEXT", help="end the answer before this text; may repeat")
    group = parser.add_argument_group("input and output")
    group.add_argument("-p", "--prompt", metavar="PROMPT", help="answer this and exit")
    group.add_argument("--plain", action="store_true", help="chat line by line, no full screen")
    group.add_argument("--no-stdin", action="store_true", help="do not read stdin")
    group.add_argument("--json", action="store_true", help="the answer and all numbers as one JSON object")
    group.add_argument("--jsonl", action="store_true", help="the answer as it comes, one JSON object a line")
    group.add_argument("--stats", action="store_true", help="numbers on stderr, planned beside measured")
    group.add_argument("--schema", type=Path, metavar="FILE", help="answer in JSON of this schema")
    group.add_argument("--grammar", type=Path, metavar="FILE", help="answer in the language of this GBNF grammar")
    group.add_argument("--choices", type=_list_of(str), metavar="A,B", help="answer with one of these")
    group.add_argument("--batch", type=Path, metavar="IN", help="many prompts, one load")
    group.add_argument("--out", type=Path, metavar="OUT", help="where their answers go")
    group.add_argument("--talk", action="store_true", help=argparse.SUPPRESS)
    group.add_argument("--parallel", type=_number(int, 1, 256), metavar="N", help="prompts at once")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"localrun {version('localrun-llm')}"
    except PackageNotFoundError:
        return "localrun (not installed)"


def load_config(path: Path) -> dict[str, object]:
    """The configuration file; empty without one."""
    if not path.exists():
        return {}
    import tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None
