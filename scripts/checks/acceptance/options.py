"""The command line of an acceptance run."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runner.hardware import host
from scripts.synthetic.random_weights import GEOMETRIES

LIMITS = (0.5, 1.1, 0.25, 0.75)  # of what the whole model takes; the first ones matter most if time runs out


def parsed(description: str | None, words: Sequence[str] | None = None) -> argparse.Namespace:
    """The words, or those of the command line, understood."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="tiny models, three of five layers on a loopback device")
    parser.add_argument("--backend", default="cuda", help="ggml's: cuda (default), vulkan, ...; rpc is a loopback")
    parser.add_argument("--models", type=_names, default=("dense", "moe"), help=f"of: {','.join(GEOMETRIES)}")
    parser.add_argument("--limits", type=_shares, default=LIMITS, help="shares of what a model takes (%(default)s)")
    parser.add_argument("--ctx", type=_count, default=4096, help="(%(default)s)")
    parser.add_argument("--threads", type=_count, default=max(1, host.cores() - 1), help="(%(default)s)")
    parser.add_argument("--gpu-layers", type=_count, help="so many whole layers, instead of the planner's choice")
    parser.add_argument("--runs", type=_count, default=3, help="timed runs of a placement (%(default)s)")
    parser.add_argument("--budget", type=float, default=480, help="seconds; no row is begun that would not end in time")
    parser.add_argument("--folder", type=Path, help="keep weights, build and logs here (default: a temporary folder)")
    parser.add_argument("--llama-cpp", type=Path, metavar="DIR", help="the folder of a build's libllama and programs")
    parser.add_argument("--source", type=Path, help="an sdist of llama-cpp-python to build, where there is no network")
    parser.add_argument("--fit-params", type=Path, help="the program llama-fit-params, if it is elsewhere")
    options = parser.parse_args(words)
    if options.dry_run:
        dry = {"backend": "rpc", "models": ("tiny-dense", "tiny-moe"), "limits": (1.1,), "ctx": 768, "gpu_layers": 3}
        vars(options).update(dry)
    return options


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in GEOMETRIES]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return names


def _shares(text: str) -> tuple[float, ...]:
    shares = tuple(float(part) for part in text.split(","))
    if min(shares) <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return shares


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)
