"""Our bytes beside llama.cpp's, one device of one case a row, and such rows as CSV."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from runner.cost.laid_out import ledger
from runner.types.engine import ComponentBytes
from scripts.checks.ledger.cases import MACHINE, Case, cases
from scripts.synthetic.headers import shape

_FIELDS = ("model", "quant", "kind", "ctx", "kv_type", "ubatch", "device", "weights", "kv", "compute")


@dataclass(frozen=True, slots=True)
class Row:
    """One device of a case: our numbers beside llama.cpp's."""

    case: Case
    device: str
    ours: ComponentBytes
    real: ComponentBytes

    def error(self, what: str) -> float:
        """Of `weights`, `kv`, `compute` or `total`, as a share of the true value; positive: we say too much."""
        ours, real = (one.held if what == "total" else getattr(one, what) for one in (self.ours, self.real))
        return (ours - real) / real if real else float(ours != 0)


@cache
def computed(case: Case) -> Mapping[str, ComponentBytes]:
    """Our own numbers, by device."""
    return {row.device: row for row in ledger(shape(case.model, case.quant), MACHINE, case.placement)}


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """llama.cpp's numbers as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIELDS)
        for row in rows:
            place, real = row.case.placement, row.real
            what = (row.case.model, row.case.quant, row.case.kind, place.ctx, place.kv_type, place.ubatch)
            writer.writerow((*what, row.device, real.weights, real.kv, real.compute))


def read_rows(path: Path) -> Iterator[Row]:
    """Recorded rows beside what we compute today."""
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    known = {
        (case.model, case.quant, case.kind, case.placement.ctx, case.placement.kv_type, case.placement.ubatch): case
        for model, quant in dict.fromkeys((line["model"], line["quant"]) for line in lines)
        for case in cases([model], [quant])
    }
    for line in lines:
        what = (line["model"], line["quant"], line["kind"], int(line["ctx"]), line["kv_type"], int(line["ubatch"]))
        real = ComponentBytes(line["device"], *(int(line[part]) for part in ("weights", "kv", "compute")))
        yield Row(known[what], line["device"], computed(known[what])[line["device"]], real)
