"""Hold the ledger against llama.cpp's own memory breakdown, device by device, and print the table of errors.

Every geometry, context, KV type, ubatch and kind of placement is rehearsed on loopback devices and computed by
formula. `--record` keeps a sample of llama.cpp's numbers for the regression test, `--fit-params` asks llama.cpp's own
tool `llama-fit-params` as well.

    python -m scripts.checks.ledger
    python -m scripts.checks.ledger gemma-3-27b mixtral-8x22b --contexts 8192 --worst 20
    python -m scripts.checks.ledger --fit-params build/bin/llama-fit-params llama-3.3-70b
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from statistics import median

from runner.client.process import EngineProcess
from runner.types.units import MIB
from scripts.checks.ledger.cases import CONTEXTS, Case, cases, sample
from scripts.checks.ledger.rehearser import Rehearser
from scripts.checks.ledger.rows import Row, write_rows
from scripts.checks.ledger.tool import against_tool
from scripts.synthetic.geometries import MODELS

ALLOWED = {"weights": 0.003, "kv": 0.01, "total": 0.01}


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Errors in percent by kind of placement, by model, and over all."""
    yield f"{'':34} rows  weights      kv     compute: median, worst      total: median, worst, within 1 %"
    groups: tuple[Callable[[Row], str], ...] = (
        lambda row: f"{row.case.kind}: {'host' if row.device == 'CPU' else 'device'}",
        lambda row: row.case.model,
        lambda row: f"KV {row.case.placement.kv_type}",
        lambda row: f"ubatch {row.case.placement.ubatch}",
        lambda row: f"context {row.case.placement.ctx}",
        lambda _row: "all",
    )
    for key in groups:
        grouped: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            grouped[key(row)].append(row)
        yield from (_line(name, members) for name, members in grouped.items())
        yield ""


def _line(name: str, rows: Sequence[Row]) -> str:
    errors = {what: [100 * abs(row.error(what)) for row in rows] for what in ("weights", "kv", "compute", "total")}
    compute, total = errors["compute"], errors["total"]
    good = sum(error <= 100 * ALLOWED["total"] for error in total) / len(total)
    return (
        f"{name:34}{len(rows):5}{max(errors['weights']):9.3f}{max(errors['kv']):8.3f}"
        f"{median(compute):17.3f}{max(compute):8.2f}{median(total):19.4f}{max(total):8.2f}{good:9.1%}"
    )


def _described(row: Row) -> str:
    place, real, ours = row.case.placement, row.real, row.ours
    return (
        f"{100 * row.error('total'):7.2f} %  {row.case.model} {row.case.kind}, {row.device}: ctx {place.ctx}, "
        f"{place.kv_type}, ubatch {place.ubatch}: compute {ours.compute / MIB:.1f}, llama.cpp {real.compute / MIB:.1f}"
        f" of {real.held / MIB:.1f} MiB"
    )


def _rehearsed(
    models: Sequence[str], quants: Sequence[str], contexts: Sequence[int], choose: Callable[[list[Case]], list[Case]]
) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, closing(EngineProcess(Path(name) / "engine.log")) as child:
        rehearser = Rehearser(child, Path(name))
        for model, quant in product(models, quants):
            rows += rehearser.rows(choose(list(cases([model], [quant], contexts))))
            print(f"{model} {quant}: {len(rows)} rows", file=sys.stderr, flush=True)
    return rows


def main() -> int:
    """The command line; 1 where weights, KV or more than one total in a hundred are off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of: {', '.join(MODELS)} (default: all)")
    parser.add_argument("--quants", default="Q4_K_M", help="a list with commas")
    parser.add_argument("--contexts", default=",".join(map(str, CONTEXTS)), help="a list with commas")
    parser.add_argument("--worst", type=int, default=10, metavar="N", help="list the N largest errors of a total")
    parser.add_argument("--record", type=Path, metavar="CSV", help="rehearse a sample only, and keep it")
    parser.add_argument("--fit-params", type=Path, metavar="BINARY", help="compare with llama-fit-params instead")
    options = parser.parse_args()
    models = options.models or list(MODELS)
    if unknown := [name for name in models if name not in MODELS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    quants, contexts = options.quants.split(","), [int(word) for word in options.contexts.split(",")]
    if options.fit_params:
        rows = against_tool(options.fit_params, models, quants, contexts)
    else:
        rows = _rehearsed(models, quants, contexts, choose=sample if options.record else list)
    if options.record:
        write_rows(options.record, rows)
    print(*table(rows), sep="\n")
    for row in sorted(rows, key=lambda row: -abs(row.error("total")))[: options.worst]:
        print(_described(row))
    beyond = sum(abs(row.error("total")) > ALLOWED["total"] for row in rows)
    exact = all(abs(row.error(what)) <= ALLOWED[what] for row in rows for what in ("weights", "kv"))
    return 0 if exact and beyond <= len(rows) // 100 else 1


if __name__ == "__main__":
    sys.exit(main())
