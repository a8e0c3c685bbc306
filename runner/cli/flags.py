"""Every flag of every command, as data, and the reader of a command line that follows from them.

A new flag is one line here and, where it is no setting of a plan or of sampling, one field of `options.Options`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from models.errors import UsageError
from models.headers.pooling import Pooling
from models.headers.prefixes import TextRole
from models.headers.quants import CACHE_TYPES
from runner.cli.subcommands import COMMANDS
from runner.cli.templates import read_template, template_variable
from runner.storage.text_files import text_of
from runner.storage.tool_files import tools_in
from runner.types import sampling
from runner.types.drafts import DraftKind
from runner.types.notice import Notice
from runner.types.numbers import parse_number, parse_tokens
from runner.types.placement import SplitMode
from runner.types.tools_json import read_choice
from runner.types.units import parse_duration, parse_size
from runner.types.wish import Prefer

T = TypeVar("T")

RUN = "run"

USAGE = """\
localrun                       pick a model: what is here, what would run well here
localrun MODEL                 chat
localrun MODEL -p PROMPT       one answer to stdout (stdin is read too, and goes first)
localrun plan MODEL            what this machine can do with it, before any download
localrun search WORDS          GGUF repositories on the Hub, with what this machine can do with each
localrun embed MODEL [FILE]    a vector for each line of text; rerank MODEL --query Q [FILE] a score
localrun COMMAND ...           pull, list, show, rm, bench, tune, doctor, worker, ps, stop, paths; conversation, prompt,
                               completion"""
EPILOG = """\
MODEL is a catalog name (llama-3.3-70b), org/repo[:QUANT] on the Hub, a GGUF file, a folder of GGUF files, or
ollama:NAME[:TAG]. SIZE is 24g, 512m, 1.5GiB. HARDWARE is a100-sxm-80gb, 2xrtx-3090, rtx-4090,ram=64g@60gbps,
gpu=24g@1008gbps or cpu,ram=32g; several computers are
"2xrtx-3090 + rtx-4090,ram=32g @10gbit,0.2ms". The flags of placement and sampling may stand in config.toml, or in the
environment as LOCALRUN_FLAG."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A long flag. `read` makes its value of the text that follows, and raises UsageError; None: a switch.

    `bare` is its value where no text follows; None: one must. `words` are all that the text may be, where they are few.
    """

    name: str
    help: str
    metavar: str | None = None
    read: Callable[[str], Any] | None = None
    short: str | None = None
    repeats: bool = False
    bare: str | None = None
    words: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name in Python, in config.toml and, in capitals, behind LOCALRUN_."""
        return self.name.replace("-", "_")

    def value(self, text: str, place: str) -> Any:
        """What `text` says; a UsageError begins with `place`."""
        assert self.read is not None
        try:
            return self.read(text)
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None


@dataclass(frozen=True, slots=True)
class Group:
    """Flags that stand under one title in the help of some commands; without a title, among the options."""

    commands: Collection[str]
    flags: tuple[Flag, ...]
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Positional:
    """What follows a command without a flag; `count` as argparse's nargs. `words` are what its first one may be."""

    key: str
    metavar: str
    count: str | None = None
    help: str | None = None
    words: tuple[str, ...] = ()


MODEL = Positional("model", "MODEL")


def _words(help: str, *first: str) -> Positional:
    return Positional("words", "WHAT", "*", help, first)


def _whole(low: int, high: float = float("inf")) -> Callable[[str], float]:
    return partial(parse_number, kind=int, low=low, high=high)


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise UsageError(f"{text!r} is not one of {', '.join(words)}.")
        return text.lower()

    return read


def _list_of(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    return lambda text: tuple(read(part.strip()) for part in text.split(",") if part.strip())


def _choices(text: str) -> tuple[str, ...]:
    if not (found := _list_of(str)(text)):
        raise UsageError("there is nothing to choose from.")
    return found


def _prefer(text: str) -> Prefer:
    return Prefer(_one_of(*Prefer)(text))


def _split_mode(text: str) -> SplitMode:
    return SplitMode(_one_of(*SplitMode)(text))


def _draft(text: str) -> str | None:
    word = text.strip().lower()
    if not word:
        raise UsageError(f"{text!r} is not one of {', '.join(_DRAFTS)}, and no model.")
    return (None if word == _AUTO else word) if word in _DRAFTS else text.strip()


def _name(text: str) -> str:
    if not text.strip():
        raise UsageError("a name is not empty.")
    return " ".join(text.split())


def _text(said: str) -> str:
    """A text, or the file that holds it, as `@FILE`."""
    return text_of(Path(said[1:])).strip("\n") if said.startswith("@") else said


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise UsageError(f"{text!r} is no origin, as http://localhost:3000 is one.")
    return text.casefold()


def _notice(text: str) -> Notice:
    return Notice(_one_of(*Notice)(text))


def _role(text: str) -> TextRole:
    return TextRole(_one_of(*_ROLES)(text))


def _pooling(text: str) -> Pooling:
    return Pooling(_one_of(*_POOLINGS)(text))


def _sampling_flag(setting: sampling.Setting | sampling.WordSetting) -> Flag:
    if isinstance(setting, sampling.WordSetting):
        return Flag(setting.name, setting.help, "WHAT", setting.read)
    return Flag(setting.name, setting.help, "N" if setting.kind is int else "X", setting.read)


_ORIGIN = re.compile(r"https?://[^/\s,*]+", re.IGNORECASE)
_ROLES = tuple(TextRole)
_POOLINGS = tuple(one for one in Pooling if one is not Pooling.RANK)
_SPLITS = tuple(SplitMode)
_AUTO = "auto"
_DRAFTS = (DraftKind.OFF, DraftKind.LOOKUP, DraftKind.MTP, _AUTO)
QUANT = Flag("quant", "only this quantization", "Q", str)
PLACEMENT = (
    Flag("ctx", "context length, kept by every candidate (default: what fits)", "N", parse_tokens),
    Flag("kv", "type of the KV cache: f16, q8_0, q4_0, ...", "TYPE", _one_of(*CACHE_TYPES), words=tuple(CACHE_TYPES)),
    QUANT,
    Flag("prefer", "quality, balanced (default) or speed", "WHAT", _prefer, words=tuple(Prefer)),
    Flag("gpu-layers", "whole layers on the devices, the output layer included", "N", _whole(0)),
    Flag("tensor-split", "proportions over the devices", "A,B,…", _list_of(partial(parse_number, kind=float, low=0))),
    Flag("split-mode", "layer, or tensor: a slice of every layer on each GPU", "MODE", _split_mode, words=_SPLITS),
    Flag("devices", "only these devices, in this order", "LIST", _list_of(str)),
    Flag("rpc", "devices lent by other machines, as host:port or ssh:user@host", "LIST", _list_of(str)),
    Flag("ubatch", "tokens of a prompt computed at once (default: 512, more where prompts gain)", "N", parse_tokens),
    Flag("parallel", "requests at once, in one KV cache (default: 1; a batch up to 8)", "N", _whole(1, 256)),
    Flag(
        "draft",
        "guess tokens ahead: off, lookup (from the text so far), mtp (its own heads), a small MODEL, or auto (default)",
        "WHO",
        _draft,
        words=_DRAFTS,
    ),
    Flag("threads", "CPU threads (default: from the physical cores)", "N", _whole(1, 1024)),
    Flag("margin", "left free on every GPU (default 1024m)", "SIZE", parse_size),
    Flag("vram-limit", "use at most this much of every device", "SIZE", parse_size),
    Flag("ram-limit", "use at most this much host memory, mapped weights included", "SIZE", parse_size),
)
SAMPLING = (
    *map(_sampling_flag, sampling.EVERY),
    Flag("system", "system prompt; @FILE: what a file says", "TEXT", _text),
)
STOP = Flag("stop", "end the answer before this text; may repeat", "TEXT", sampling.read_stop, repeats=True)
_FILLED = "answer the prompt of this name; {} in it is stdin and -p"
CONVERSATION = (
    Flag("continue", "go on with the conversation used last, or with this one", "NAME", str, short="-c", bare=""),
    Flag("save", "keep the conversation under this name", "NAME", _name),
    Flag("file", "put a text file before the prompt; may repeat", "FILE", Path, short="-f", repeats=True),
    Flag("named-prompt", _FILLED, "NAME", str, short="-P"),
    Flag("cache-prompt", "what is read is kept by this name: a later prompt that begins alike is not", "NAME", _name),
    Flag("chat-template", "a chat template (Jinja, or Ollama's) instead of the model's own", "FILE", read_template),
    Flag("tools", "functions that the model may call: a JSON list, as OpenAI writes them", "FILE", tools_in),
    Flag("tool-choice", "auto, none, required, or the function that must be called", "WHAT", read_choice),
    Flag("template-var", "told to the template: JSON, text, @FILE; may repeat", "K=V", template_variable, repeats=True),
)
_KEPT = "for what was read of conversations, on the disk; 0: nothing (default: a tenth of what is free, at most 20g)"
CACHE_SIZE = Flag("cache-size", _KEPT, "SIZE", parse_size)
_WARM = "leave the engine warm for so long after it was used last, as 10m; what asks the same model finds it"
KEEP = Flag("keep", _WARM, "TIME", parse_duration)
NOTICE = Flag("notice", "of the end of a long answer: bell, desktop or off", "HOW", _notice, words=tuple(Notice))
INPUT_AND_OUTPUT = (
    Flag("prompt", "answer this and exit", "PROMPT", str, short="-p"),
    Flag("plain", "chat line by line, no full screen"),
    Flag("no-stdin", "do not read stdin"),
    Flag("json", "the answer and all numbers as one JSON object"),
    Flag("jsonl", "the answer as it comes, one JSON object a line"),
    Flag("stats", "numbers on stderr, planned beside measured"),
    Flag("schema", "answer in JSON of this schema", "FILE", Path),
    Flag("grammar", "answer in the language of this GBNF grammar", "FILE", Path),
    Flag("choices", "answer with one of these", "A,B", _choices),
    Flag("batch", "many prompts, one load", "IN", Path),
    Flag("out", "where their answers go", "OUT", Path),
    Flag("json-session", argparse.SUPPRESS),
)
SERVING = (
    Flag("listen", "default 127.0.0.1:8080; any other computer needs a key", "HOST:PORT", str),
    Flag("api-key-file", "its first line has to come with each request", "FILE", Path),
    Flag("cors", "pages of this origin may ask, as http://localhost:3000; may repeat", "ORIGIN", _origin, repeats=True),
    Flag("install-service", "print a service for this, and install and start it"),
    Flag("remove-service", "stop it and take it away"),
)
CONFIGURABLE = (*PLACEMENT, *SAMPLING, CACHE_SIZE, KEEP, NOTICE)
"""The flags that the configuration file and the environment may set too."""

_SECONDS = partial(parse_number, kind=float, low=0.1, high=86400)
_VECTORS = ("embed", "rerank")
_PLANNING = (RUN, "plan", "bench", "tune", "pull", "serve", *_VECTORS)
GROUPS = (
    Group(
        [name for name in COMMANDS if name not in ("worker", "serve", "completion")], (Flag("json", "JSON on stdout"),)
    ),
    Group(_PLANNING, PLACEMENT, "placement"),
    Group(_PLANNING, (Flag("yes", "no question before a large download"),)),
    Group(("plan",), (Flag("on", "plan for hardware that is not here", "HARDWARE", str),)),
    Group(("bench",), (Flag("share", "write a record that anybody may see: docs/records.md", "FILE", Path),)),
    Group(("tune",), (Flag("budget", "measure for about so long (default 60)", "SECONDS", _SECONDS),)),
    Group(
        ("embed",),
        (
            Flag(
                "as",
                "query or document: with the words that this model wants in front of one",
                "ROLE",
                _role,
                words=_ROLES,
            ),
            Flag(
                "pooling",
                "mean, cls or last, where the file does not say or says wrong",
                "HOW",
                _pooling,
                words=_POOLINGS,
            ),
            Flag("npy", "the vectors go there, as a matrix of float32 in numpy's format", "FILE", Path),
        ),
    ),
    Group(
        ("rerank",),
        (
            Flag("query", "what the texts should answer", "QUERY", str),
            Flag("top", "only the best N, the best first", "N", _whole(1)),
        ),
    ),
    Group(_VECTORS, (Flag("truncate", "read the start of a text that is too long; else it is refused"),)),
    Group(("rm",), (QUANT, Flag("cache", "what was read of conversations, and weights lent devices were sent"))),
    Group(("rm", "conversation"), (Flag("yes", "no question"),)),
    Group(("serve",), (*SERVING, CACHE_SIZE), "server"),
    Group(
        ("worker",),
        (
            Flag("listen", "default 127.0.0.1:50052", "HOST:PORT", str),
            Flag("devices", "lend only these (default: the GPUs, or else the CPU)", "LIST", _list_of(str)),
            Flag("memory", "lend at most this much of each", "SIZE", parse_size),
            Flag("cache", "keep weights on this disk: a second load sends hashes"),
            Flag("i-trust-this-network", "listen where other computers reach it: llama.cpp's RPC has no password"),
            Flag("lifeline", argparse.SUPPRESS),
        ),
    ),
    Group((RUN,), SAMPLING, "sampling"),
    Group((RUN,), (STOP,)),
    Group((RUN,), (*CONVERSATION, CACHE_SIZE), "conversation"),
    Group((RUN,), (*INPUT_AND_OUTPUT, NOTICE), "input and output"),
    Group((RUN,), (KEEP,)),
)
POSITIONALS = {
    RUN: Positional("model", "MODEL", "?"),
    "rm": Positional("model", "MODEL", "?"),
    "search": Positional("words", "WORDS", "+"),
    "serve": Positional("words", "MODEL", "*", "loaded at once; others that are here are when a request names them"),
    "list": _words("conversations [WORDS], or prompts; nothing: weights", "conversations", "prompts"),
    "conversation": _words("export [NAME [FILE]], import FILE, or rm NAME", "export", "import", "rm"),
    "prompt": _words("add NAME [TEXT], show NAME, or rm NAME", "add", "show", "rm"),
    "completion": _words("bash, zsh, or fish", "bash", "zsh", "fish"),
    "stop": Positional("model", "MODEL", "?", "only this one; nothing: all"),
    **dict.fromkeys(("doctor", "worker", "paths", "ps")),
}
"""What follows the commands, other than one MODEL."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong as a UsageError, in one sentence, and leaves the rest to its caller."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:]}; localrun --help shows what there is.")


class _Version(argparse.Action):
    """Prints the version; argparse's own action wants it before anybody asks, and to look it up takes long."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print("localrun", version("localrun-llm"))
        except PackageNotFoundError:
            print("localrun (not installed)")
        parser.exit()


def read_flags(command: str, words: Sequence[str]) -> dict[str, Any]:
    """What was typed behind a command (RUN: behind `localrun` itself), under the flags' keys; nothing else.

    UsageError for what is not understood, SystemExit(0) after --help and --version.
    """
    parser = _parser(command)
    takes_words = (POSITIONALS.get(command) or MODEL).key != MODEL.key
    return vars(parser.parse_intermixed_args(words) if takes_words or command in _VECTORS else parser.parse_args(words))


@cache
def _parser(command: str) -> _Parser:
    parser = _Parser(
        prog="localrun" if command == RUN else f"localrun {command}",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    if command == RUN:
        parser.usage, parser.epilog = USAGE, EPILOG
        parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    if positional := POSITIONALS.get(command, MODEL):
        parser.add_argument(positional.key, metavar=positional.metavar, nargs=positional.count, help=positional.help)
    if command in _VECTORS:
        texts = "texts, a line each (default: stdin)"
        parser.add_argument("texts", metavar="FILE", nargs="?", type=Path, default=None, help=texts)
    for group in GROUPS:
        if command in group.commands:
            target = parser.add_argument_group(group.title) if group.title else parser
            for flag in group.flags:
                _add(target, flag)
    return parser


def _add(target: argparse._ActionsContainer, flag: Flag) -> None:
    spellings = (*([flag.short] if flag.short else []), f"--{flag.name}")
    if flag.read is None:
        target.add_argument(*spellings, action="store_true", help=flag.help)
        return
    action = "append" if flag.repeats else "store"
    read = partial(flag.value, place=f"--{flag.name}")
    bare: dict[str, Any] = {"nargs": "?", "const": flag.bare} if flag.bare is not None else {}
    target.add_argument(*spellings, action=action, type=read, metavar=flag.metavar, help=flag.help, **bare)
