"""What llama.cpp's own tool `llama-fit-params` says of the same cases."""

import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from runner.types.engine import ComponentBytes
from runner.types.placement import Placement
from runner.types.units import MIB
from scripts.checks.ledger.cases import DEVICES, Case, cases
from scripts.checks.ledger.rows import Row, computed
from scripts.checks.loopback import lent
from scripts.synthetic.headers import make


def tool_rows(binary: Path, endpoint: str, cases: Iterable[Case], folder: Path) -> Iterator[Row]:
    """What `llama-fit-params --fit-print` says, in whole MiB, beside our numbers cut the same way.

    The tool leaves repacked weights out of its line for the host, so that those are not compared.
    """
    for case in cases:
        (path,) = make(case.model, case.quant, folder, tokenizer="none")
        command = [str(binary), "-m", str(path), "--fit-print", "on", *_tool_flags(case.placement, endpoint)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        real = {
            name: ComponentBytes(name, *(MIB * int(word) for word in words))
            for name, *words in map(str.split, said.splitlines())
        }
        for number, (device, ours) in enumerate(computed(case).items()):
            theirs = real["Host" if device == "CPU" else f"RPC{number}"]
            weights = theirs.weights if device == "CPU" else _whole_mib(ours.weights)
            cut = ComponentBytes(device, weights, _whole_mib(ours.kv), _whole_mib(ours.compute))
            yield Row(case, device, cut, theirs)


def _tool_flags(placement: Placement, endpoint: str) -> Iterator[str]:
    ubatch = str(placement.ubatch)
    yield from ("--ctx-size", str(placement.ctx), "--batch-size", ubatch, "--ubatch-size", ubatch)
    yield from ("--cache-type-k", placement.kv_type, "--cache-type-v", placement.kv_type)
    yield from ("--gpu-layers", str(placement.gpu_layers))
    if placement.devices:
        yield from ("--rpc", endpoint, "--device", ",".join(f"RPC{index}" for index in range(len(placement.devices))))
        yield from ("--tensor-split", ",".join(map(str, placement.tensor_split)))
    if placement.overrides:
        yield from ("--override-tensor", ",".join(f"{rule.pattern}={rule.device}" for rule in placement.overrides))


def _whole_mib(size: int) -> int:
    return size // MIB * MIB


def against_tool(binary: Path, models: Sequence[str], quants: Sequence[str], contexts: Iterable[int]) -> list[Row]:
    """Placements that the tool can be told, with outputs for every token as it plans them."""
    told = [case for case in cases(models, quants, contexts) if case.placement.sequences == 1 and _is_told(case)]
    plain = [replace(case, placement=replace(case.placement, outputs=case.placement.ubatch)) for case in told]
    with tempfile.TemporaryDirectory() as name, lent(Path(name) / "engine.log", len(DEVICES)) as endpoint:
        return list(tool_rows(binary, endpoint, plain, Path(name)))


def _is_told(case: Case) -> bool:
    on_host = all(rule.device == "CPU" for rule in case.placement.overrides)
    return (
        bool(case.placement.devices) and on_host and case.placement.kv_type != "q4_0" and case.placement.ubatch == 512
    )
