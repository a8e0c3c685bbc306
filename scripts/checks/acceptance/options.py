"""The command line of an acceptance run."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from models.errors import UsageError
from scripts.checks.acceptance.cases import CASES, DEFAULT, DRY
from scripts.checks.acceptance.variants import parse_variant

T = TypeVar("T")
VARIANTS = ("plan", "fit")


def parsed(description: str | None, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The words, or those of the command line, understood."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("cases", nargs="*", type=_case, metavar="CASE", help=f"of: {', '.join(CASES)} (default: the first seven)")
    add("--variants", nargs="+", type=_told(parse_variant), default=[*map(parse_variant, VARIANTS)], metavar="HEAD,...")
    add("--dry-run", action="store_true", help="tiny models, three of five layers on a loopback device")
    add("--backend", default="cuda", help="ggml's: cuda (default), vulkan, ...; rpc is a loopback")
    add("--answer", type=_count, default=64, help="tokens decoded behind each prompt (%(default)s)")
    add("--threads", type=_count, help="(default: what the planner says)")
    add("--gpu-layers", type=_count, help="so many whole layers, instead of the planner's choice")
    add("--budget", type=float, default=360, help="seconds; nothing is begun that would not end in time (%(default)s)")
    add("--patience", type=float, default=120, help="seconds after which a placement is given up (%(default)s)")
    add("--out", type=Path, metavar="FILE", help="write the record here after each row, and the table beside it as .md")
    add("--folder", type=Path, help="keep weights, build and logs here (default: a temporary folder)")
    add("--llama-cpp", type=Path, metavar="DIR", help="the folder of a build's libllama and programs")
    add("--source", type=Path, help="an sdist of llama-cpp-python to build, where there is no network")
    add("--fit-params", type=Path, help="the program llama-fit-params, if it is elsewhere")
    options = parser.parse_args(words)
    options.cases = options.cases or (DRY if options.dry_run else DEFAULT)
    if options.dry_run:
        vars(options).update(backend="rpc", gpu_layers=options.gpu_layers or 3, answer=min(options.answer, 16))
    return options


def _case(text: str) -> str:
    if text not in CASES:
        raise argparse.ArgumentTypeError(f"no case {text!r}")
    return text


def _told(read: Callable[[str], T]) -> Callable[[str], T]:
    """`read` with its sentence as argparse wants it."""

    def understood(text: str) -> T:
        try:
            return read(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return understood


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)
