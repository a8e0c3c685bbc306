"""Hold the speed model against measured and published speeds, and print how far it is from them.

python -m scripts.checks.fit_speed            # the error tables of the constants in runner/cost/speed.py
python -m scripts.checks.fit_speed --worst 40 # and the rows that are farthest off
python -m scripts.checks.fit_speed --spread   # the spreads in runner/cost/certainty.py, from the residuals of each kind
python -m scripts.checks.fit_speed --fit      # what each constant would be if it alone were fitted anew
python -m scripts.checks.fit_speed MINE.json  # with records of more machines (docs/records.md), in all of the above
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from math import log
from pathlib import Path
from typing import Any

from models.errors import BadFile
from runner.cost import kernels, speed
from runner.types.plan import Bounds, Spread
from scripts.checks import tensor_split_rows
from scripts.checks.speed_rows import Case, checks, doubted, measured, older, recent, recorded

ENOUGH = 8  # rows, below which a kind has no spread of its own
_STEPS = (0.6, 0.75, 0.85, 0.92, 0.96, 1.0, 1.04, 1.08, 1.17, 1.33, 1.66)
_CONSTANTS = (
    "_KV_SLOWDOWN", "_KV_UNPACK", "_ROUTING", "_RECURRENT", "_SECONDS_PER_GPU", "_SECONDS_PER_SPLIT", "_FLOAT_SHARE",
    "_SECONDS_PER_LAYER", "_PROMPT_ROUTING", "_PROMPT_RECURRENT", "_OVERLAP", "_EXPERT_TOKENS", "_HOST_SHARE",
    "_CORE_KV", "_BUS_SHARE", "_MAPPED_BANDWIDTH",
)  # fmt: skip


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, round(share * len(ordered)) - 1)]


def decodes(cases: Iterable[Case]) -> list[Case]:
    """Those of decode."""
    return [case for case in cases if case.prompt is None]


def prefills(cases: Iterable[Case]) -> list[Case]:
    """Those of a prompt."""
    return [case for case in cases if case.prompt is not None]


def summary(cases: Sequence[Case]) -> str:
    """How far off, in one line."""
    errors = [case.error for case in cases]
    sizes = [abs(error) for error in errors]
    return (
        f"{len(sizes):4d} numbers   median {statistics.median(sizes):6.1%}   nine in ten within "
        f"{percentile(sizes, 0.9):6.1%}   worst {max(sizes):7.1%}   bias {statistics.median(errors):+6.1%}"
    )


# ---- how sure


def counted(files: Iterable[Path] = ()) -> tuple[Case, ...]:
    """Every row that constants and spreads are fitted to, those of further records included."""
    return (*recent(), *measured(), *recorded(*files))


def spreads(files: Iterable[Path] = ()) -> Mapping[str, Spread]:
    """Measured over predicted, at the tenth and the ninetieth of a hundred rows, by kind and for all together."""
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case in (*counted(files), *(case for case in checks() if case.kind == "CPU")):
        kinds[case.kind].append(case)
        kinds["all"].append(case)
    for both in tensor_split_rows.counted():
        kinds[both.by_tensor.kind].append(both.by_tensor)
    whole = Spread(_bounds(decodes(kinds["all"])), _bounds(prefills(kinds["all"])))
    return {
        kind: Spread(
            _bounds(decodes(cases)) if len(decodes(cases)) >= ENOUGH else whole.decode,
            _bounds(prefills(cases)) if len(prefills(cases)) >= ENOUGH else whole.prefill,
        )
        for kind, cases in sorted(kinds.items())
        if len(cases) >= ENOUGH
    }


def _bounds(cases: Sequence[Case]) -> Bounds:
    ratios = [case.tps / case.predicted for case in cases]
    return round(percentile(ratios, 0.1), 2), round(percentile(ratios, 0.9), 2)


# ---- one constant at a time


def loss(cases: Iterable[Case]) -> float:
    """Mean absolute logarithm of predicted over measured: a factor of two is as bad either way."""
    return statistics.fmean(abs(log(case.predicted / case.tps)) for case in cases)


def refitted(files: Iterable[Path]) -> Iterator[str]:
    """A line for each constant that would be better elsewhere, all others as they are."""
    cases = counted(files)
    for name in _CONSTANTS:
        yield from _better(name, getattr(speed, name), partial(setattr, speed, name), cases)
    for backend, by_memory in kernels.KERNELS.items():
        for memory, used in by_memory.items():
            own = [case for case in cases if case.backend == backend and _memory(case) is memory]
            for field in fields(used) if own else ():
                put = partial(_put, by_memory, memory, field.name)
                yield from _better(f"{backend}, {memory}: {field.name}", getattr(used, field.name), put, own)


def _memory(case: Case) -> kernels.Memory | None:
    return kernels.memory_of(case.machine.devices[0]) if case.machine.devices else None


def _put(by_memory: dict[kernels.Memory, kernels.Kernels], memory: kernels.Memory, field: str, value: float) -> None:
    changes: dict[str, Any] = {field: value}
    by_memory[memory] = replace(by_memory[memory], **changes)


def _better(name: str, used: float, put: Callable[[float], None], cases: Sequence[Case]) -> Iterator[str]:
    losses = {}
    for step in _STEPS:
        put(used * step)
        losses[step] = loss(cases)
    put(used)
    best = min(losses, key=lambda step: losses[step])
    if best != 1.0:
        yield f"{name:36} {used:10.4g} would be {used * best:10.4g}: {losses[1.0]:.4f} -> {losses[best]:.4f}"


# ---- the tables


def print_tables(files: Iterable[Path]) -> None:
    """Errors of everything, then by kind of layout, by weights and by source of what counts."""
    named = {"2025/26": recent(), "H100": measured(), "records": recorded(*files), "doubted": doubted()}
    for name, cases in {**named, "2024": older(), "single": checks()}.items():
        _print(name, cases)
    for title, key in (("kind", "kind"), ("weights", "model"), ("source", "source")):
        print(f"\nBy {title}:")
        groups: dict[str, list[Case]] = defaultdict(list)
        for case in (*recent(), *recorded(*files)):
            groups[getattr(case, key)].append(case)
        for name in sorted(groups):
            _print(name, groups[name])


def _print(name: str, cases: Sequence[Case]) -> None:
    for what, chosen in (("decode", decodes(cases)), ("prefill", prefills(cases))):
        if chosen:
            print(f"{name[:28]:28} {what:8} {summary(chosen)}")


def main() -> int:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", nargs="*", type=Path, metavar="RECORD", help="further records, docs/records.md")
    parser.add_argument("--fit", action="store_true", help="fit each constant anew")
    parser.add_argument("--spread", action="store_true", help="the spreads of the residuals")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="the rows that are farthest off")
    options = parser.parse_args()
    try:
        _print_asked(options)
    except BadFile as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _print_asked(options: argparse.Namespace) -> None:
    files = options.records
    if options.fit:
        print("\n".join(refitted(files)))
    elif options.spread:
        for kind, spread in spreads(files).items():
            print(f'    "{kind}": Spread({spread.decode}, {spread.prefill}),')
    else:
        print_tables(files)
        for case in sorted(counted(files), key=lambda case: -abs(case.error))[: options.worst]:
            print(f"{case.error:+7.1%}  {case} {case.tps:9.2f}  {case.name}")


if __name__ == "__main__":
    sys.exit(main())
