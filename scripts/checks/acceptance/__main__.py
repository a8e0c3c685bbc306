"""Hold the planner against a real GPU, in requests: models of real geometry, whole and under a limit of memory, our
placement and that of llama.cpp's own --fit, prompts of different words, an answer behind each.

Says for every placement how long it loads, how fast it reads and answers at each depth and what it holds, beside what
was predicted. Writes a record (docs/records.md) for `scripts.checks.fit_speed`, after each row anew, and a table.
With --variants, other placements of the same models side by side.

Takes the installed llama.cpp if that can use the GPU, or a build of it (--llama-cpp), or builds one (--source, or the
package index). Models are made on the spot, random where that decides what is computed, else holes. Needs localrun's
packages, and for the default run 22 GB of disk, 32 GB of RAM, a GPU of 24 GB and six minutes.

    python -m scripts.checks.acceptance --out h100.json                   # all cases, ours against --fit's
    python -m scripts.checks.acceptance 24b-10g --variants plan plan,ubatch=2048 plan,mapped layers front back fit
    python -m scripts.checks.acceptance --dry-run                         # tiny models on a loopback device, no GPU
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from models.errors import EngineError, LocalrunError
from models.stores.replacing import replace_file
from runner.hardware import nvml
from runner.report.contract import Json
from runner.report.record import FORMAT, anonymous_machine, geometry_json, text_of
from runner.types.wish import Wish
from scripts.checks.acceptance.cases import CASES
from scripts.checks.acceptance.engine import devices_of, fit_params_of, programs_of
from scripts.checks.acceptance.examine import Setup, made, planned, rows_of, say, wish_of
from scripts.checks.acceptance.options import parsed
from scripts.checks.acceptance.rows import Row, row_json, sentence, table
from scripts.checks.loopback import lent

_LEAST_S = 15.0  # a model takes so long to be written and planned


def accepted(options: argparse.Namespace, folder: Path) -> Iterator[tuple[Json, list[Row]]]:
    """The record and the rows so far, after each row. LocalrunError where it cannot even begin."""
    deadline = time.monotonic() + options.budget
    programs = programs_of(options, folder)
    with lent(folder / "lender.log", 1) if options.backend == "rpc" else nullcontext() as endpoint:
        rpc = (endpoint,) if endpoint else ()
        version, devices = devices_of(options.backend, folder, rpc)
        if not devices:
            raise EngineError(f"This llama.cpp has no {options.backend} device; scripts/setup may build one that has.")
        wish = Wish(kv_type="f16", threads=options.threads, devices=devices, rpc=rpc, gpu_layers=options.gpu_layers)
        fit_params = fit_params_of(options, programs)
        setup = Setup(folder, wish, fit_params, options.answer, options.patience, deadline)
        driver = nvml.driver()
        said: Json = {
            "format": FORMAT,
            "date": datetime.now(UTC).date().isoformat(),
            "llama_cpp": version,
            "driver": driver.version if driver else None,
            "fit_by": fit_params.name if fit_params else "the rule of common/fit.cpp",
            "random_weights": True,
            "models": {},
            "rows": [],
        }
        yield from _filled(said, setup, options)


def _filled(said: Json, setup: Setup, options: argparse.Namespace) -> Iterator[tuple[Json, list[Row]]]:
    rows: list[Row] = []
    for name in options.cases:
        case = CASES[name]
        if time.monotonic() + _LEAST_S > setup.deadline:
            say(f"{name}: no time was left.")
            continue
        try:
            model = made(case, setup.folder)
            there = planned(model, wish_of(setup, case))
        except LocalrunError as error:
            say(f"{name}: {error}")
            continue
        said.setdefault("machine", anonymous_machine(there.machine))
        said["models"][model.name] = geometry_json([model.header], model.shape)
        for row in rows_of(setup, name, there, options.variants):
            say(sentence(row))
            rows.append(row)
            said["rows"].append(row_json(row))
            yield said, rows


def main() -> int:
    options = parsed(__doc__)
    said: Json = {}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="acceptance-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        for kind in ("CACHE", "DATA", "STATE", "CONFIG"):  # nobody's history decides here, and nobody's is written
            os.environ[f"XDG_{kind}_HOME"] = str(folder / "home")
        try:
            for said, rows in accepted(options, folder):
                if options.out:
                    replace_file(options.out, text_of(said).encode())
                    replace_file(options.out.with_suffix(".md"), table(rows).encode())
        except LocalrunError as error:
            say(str(error))
            return error.exit_code
    print(table(rows) if options.out else json.dumps(said, indent=1))
    return 0 if rows and not any(row.failure for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
