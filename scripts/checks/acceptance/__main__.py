"""Hold the planner against a real GPU: planned with measured bytes, our placement with llama.cpp's --fit, and
predicted with measured speed, under several artificial limits of its memory. One JSON on stdout, progress on stderr.

Takes the installed llama.cpp if that can use the GPU, or a build of it (--llama-cpp), or builds one (--source, or the
package index). Models are files of random weights, a dense one and a mixture of experts, made on the spot. Both
placements run in the same engine at the same context and threads, each in a process of its own. Needs localrun's
packages, 7 GB of disk, and for a build CMake, a C++ compiler and nvcc.

    python -m scripts.checks.acceptance > acceptance.json          # a CUDA machine, under 8 minutes
    python -m scripts.checks.acceptance --dry-run                  # tiny models on a loopback device, no GPU needed
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from models.errors import EngineError, LocalrunError
from runner.report import contract
from runner.report.contract import Json
from runner.types.wish import Wish
from scripts.checks.acceptance.engine import devices_of, fit_params_of, programs_of
from scripts.checks.acceptance.examine import QUANT, Setup, all_rows, made, planned, say
from scripts.checks.acceptance.options import parsed
from scripts.checks.acceptance.rows import row_json, summary
from scripts.checks.loopback import lent


def accept(options: argparse.Namespace, folder: Path) -> Json:
    """Everything, as one JSON value. LocalrunError where it cannot even begin."""
    started = time.monotonic()
    programs = programs_of(options, folder)
    with lent(folder / "lender.log", 1) if options.backend == "rpc" else nullcontext() as endpoint:
        rpc = (endpoint,) if endpoint else ()
        version, devices = devices_of(options.backend, folder, rpc)
        if not devices:
            raise EngineError(f"This llama.cpp has no {options.backend} device; scripts/setup may build one that has.")
        wish = Wish(options.ctx, "f16", threads=options.threads, devices=devices, rpc=rpc)
        wish = replace(wish, gpu_layers=options.gpu_layers)
        there = Setup(folder, wish, fit_params_of(options, programs), options.runs)
        models = [made(name, folder) for name in options.models]
        rows, left_out = all_rows(there, models, options.limits, started + options.budget)
        machine = planned(models[0], wish)[0].machine
    return {
        "llama_cpp": version,
        "backend": options.backend,
        "machine": contract.machine_json(machine),
        "models": {model.name: {"file_bytes": model.path.stat().st_size, "quant": QUANT} for model in models},
        "summary": summary(rows),
        "rows": [row_json(row) for row in rows],
        "left_out": left_out,
        "seconds": round(time.monotonic() - started, 1),
    }


def main() -> int:
    options = parsed(__doc__)
    with tempfile.TemporaryDirectory(prefix="acceptance-") as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        for kind in ("CACHE", "DATA", "STATE", "CONFIG"):  # nobody's history decides here, and nobody's is written
            os.environ[f"XDG_{kind}_HOME"] = str(folder / "home")
        try:
            said = accept(options, folder)
        except LocalrunError as error:
            say(str(error))
            return error.exit_code
    print(json.dumps(said, indent=1))
    return 0 if said["rows"] and not said["summary"]["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
