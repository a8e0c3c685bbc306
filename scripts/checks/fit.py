"""Hold the planner against llama.cpp's own `--fit`, asked through its tool `llama-fit-params`, at the same free memory.

    python -m scripts.checks.fit build/bin/llama-fit-params
    python -m scripts.checks.fit build/bin/llama-fit-params llama-3.1-8b --record tests/data/fit_rows.csv

The devices are loopback ones; the tool believes their memory to be what we say, for a margin of `real - wanted + 1024`
MiB, below zero if need be, has the same effect. The tool plans outputs for every token and unlimited RAM.
"""

import argparse
import csv
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.headers.shape import ModelShape
from runner.cost.blocks import blocks_of
from runner.cost.forecast import Forecast
from runner.cost.kv import ContextSettings
from runner.cost.laid_out import laid_out, layout_of
from runner.cost.layout import Layout
from runner.cost.work import Offload
from runner.planning.mix import wait_for
from runner.planning.placement import Placed, place
from runner.planning.problem import Problem
from runner.planning.search import Proposal, weigh
from runner.types.exchange import Exchange
from runner.types.machine import Device, Kind, Machine
from runner.types.placement import Override
from runner.types.units import GIB, MIB
from runner.types.wish import Wish
from scripts.checks.loopback import lent
from scripts.synthetic.geometries import MODELS
from scripts.synthetic.headers import make, shape

UBATCH = 512
PROMPTS, _ANSWER = (4096, 16384), 256
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.2)
MACHINES = ((1.0,), (0.5, 0.5), (0.3, 0.7))
CONTEXTS = (8192, 32768, 0)
ASKED = ("llama-3.1-8b", "llama-3.3-70b", "gemma-3-27b", "mixtral-8x22b", "qwen3-30b-a3b", "gpt-oss-20b", "glm-4.5-air")
_QUANT = "Q4_K_M"
_KEPT = 5  # of the answers, for the regression test: coprime to the numbers of shares, machines and contexts
_RAM = 1024 * GIB
_RULE = re.compile(r"([^=]+)=([A-Z]+\d*)(?:\[[^]]*\])?,?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tool answered: flags, for a context (0: as large as it fits) and free MiB per device."""

    model: str
    ctx: int
    free: tuple[int, ...]
    flags: str

    @property
    def shape(self) -> ModelShape:
        """The model's shape."""
        return shape(self.model, _QUANT)

    @property
    def machine(self) -> Machine:
        """A machine with these devices; all as fast as each other, so that the tool's order is as good as any."""
        devices = (
            Device(f"RPC{number}", Kind.GPU, "stand-in", mib * MIB, mib * MIB, 1e12, memory_type="GDDR6X")
            for number, mib in enumerate(self.free)
        )
        return Machine("named", tuple(devices), _RAM, _RAM, 60e9, 16)

    @property
    def settings(self) -> ContextSettings:
        """The context the tool settled on."""
        return ContextSettings(self._number("-c"), ubatch=UBATCH, outputs=UBATCH)

    @property
    def layout(self) -> Layout:
        """Where the tool puts everything."""
        blocks, devices = blocks_of(self.shape), self.machine.devices
        total, layers = len(blocks.layers), self._number("-ngl")
        split = re.search(r" -ts (\S+)", self.flags)
        shares = [int(word) for word in split[1].split(",")] if split else list(self.free)
        shares += [0] * (len(devices) - len(shares))
        return layout_of(blocks, devices, counts(total if layers < 0 else layers, shares), self._overrides())

    def fit(self) -> Proposal:
        """The tool's placement with our ledger and our predicted speed."""
        return weigh(Problem(blocks_of(self.shape), self.machine), self.settings, self.layout)

    def ours(self, ctx: int | None) -> Placed:
        """What we would do."""
        return place(self.shape, self.machine, Wish(ctx=ctx, ubatch=UBATCH, outputs=UBATCH))

    def _number(self, flag: str) -> int:
        found = re.search(rf"(?:^| ){flag} (-?\d+)", self.flags)
        assert found, self.flags
        return int(found[1])

    def _overrides(self) -> Iterator[Override]:
        text = re.search(r' -ot "(.*)"', self.flags)
        for pattern, device in _RULE.findall(text[1] if text else ""):
            yield Override(pattern, device)


def counts(layers: int, shares: Sequence[float]) -> list[int]:
    """Layers per device as llama.cpp deals them out: to the first whose cumulated share is beyond il / layers."""
    bounds = [sum(shares[: number + 1]) / sum(shares) for number in range(len(shares))] if any(shares) else []
    homes = [next(number for number, bound in enumerate(bounds) if bound > il / layers) for il in range(layers)]
    return [homes.count(number) for number in range(len(shares))]


def ask(binary: Path, path: Path, endpoint: str, ctx: int, free: Sequence[int]) -> str:
    """The flags that the tool prints."""
    listed = _output([str(binary), "--rpc", endpoint, "--list-devices"])
    real = [int(mib) for mib in re.findall(r"RPC\d+: .*?(\d+) MiB free", listed)]
    margins = ",".join(str(have - want + 1024) for have, want in zip(real, free, strict=False))
    names = ",".join(f"RPC{number}" for number in range(len(free)))
    command = [str(binary), "-m", str(path), "--rpc", endpoint, "--device", names, "--fit-target", margins]
    command += ["--ubatch-size", str(UBATCH), *(["--ctx-size", str(ctx)] if ctx else [])]
    return _output(command).strip()


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def answers(binary: Path, models: Iterable[str]) -> Iterator[Answer]:
    """The tool's answers for every model, with memory from too little to more than enough."""
    with tempfile.TemporaryDirectory() as name, lent(Path(name) / "engine.log", 2) as endpoint:
        for model in models:
            (path,) = make(model, _QUANT, Path(name), tokenizer="none")
            for share in SHARES:
                for parts in MACHINES:
                    free = tuple(int(shape(model, _QUANT).bytes * share * part / MIB) + 2048 for part in parts)
                    for ctx in CONTEXTS:
                        yield Answer(model, ctx, free, ask(binary, path, endpoint, ctx, free))


def write(path: Path, rows: Iterable[Answer]) -> None:
    """Answers as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("model", "ctx", "free", "flags"))
        writer.writerows((row.model, row.ctx, "+".join(map(str, row.free)), row.flags) for row in rows)


def read(path: Path) -> Iterator[Answer]:
    """Recorded answers."""
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            free = tuple(map(int, line["free"].split("+")))
            yield Answer(line["model"], int(line["ctx"]), free, line["flags"])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Our plan beside the tool's: seconds of `PROMPTS` with answers at its context, contexts that stay on the devices.

    `overdraft`: bytes that the tool's placement is short of on the devices by our ledger. None: not on the devices.
    """

    fit_s: tuple[float, ...]
    our_s: tuple[float, ...]
    overdraft: int
    fit_ctx: int | None
    our_ctx: int | None

    @property
    def is_ours_as_good(self) -> bool:
        """Never less context, and no request slower (by more than 0.3 %)."""
        if self.overdraft:
            return True
        enough = self.fit_ctx is None or (self.our_ctx or 0) >= self.fit_ctx // 256 * 256
        return enough and self.gain >= 0.997

    @property
    def gain(self) -> float:
        """How many times as fast ours is, where it is least so."""
        return min((fit / our for fit, our in zip(self.fit_s, self.our_s, strict=True)), default=0.0)


def judge(answer: Answer) -> Verdict:
    """Compare at the tool's context; where it chose the context, our choice as well."""
    fit = answer.fit()
    ours = answer.ours(fit.settings.ctx)
    free = answer.ours(None) if answer.ctx == 0 else None
    whole = free is not None and free.verdict == "gpu" and free.placement is not None
    mapped = replace(fit.speeds, offload=Offload(pinned=False))  # as llama.cpp's tools load it
    here = ours.placement and laid_out(answer.shape, answer.machine, ours.placement).speeds()
    return Verdict(
        fit_s=tuple(_seconds(mapped)),
        our_s=tuple(_seconds(here)) if here else (),
        overdraft=sum(size for device, size in fit.missing.items() if device != "CPU"),
        fit_ctx=fit.settings.ctx if fit.layout.is_whole and answer.ctx == 0 else None,
        our_ctx=free.placement.ctx if whole and free and free.placement else None,
    )


def _seconds(speeds: Forecast) -> Iterator[float]:
    """Of a request with each of `PROMPTS`, cut to the context."""
    ctx = speeds.settings.ctx
    answer = min(_ANSWER, ctx // 2)
    return (wait_for((Exchange(0, min(prompt, ctx - answer), answer),), speeds).seconds for prompt in PROMPTS)


def main() -> int:
    """The command line; 1 where the tool's placement is better than ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path, metavar="LLAMA_FIT_PARAMS")
    parser.add_argument("models", nargs="*", default=ASKED, metavar="MODEL", help=f"of: {', '.join(MODELS)}")
    parser.add_argument("--record", type=Path, metavar="CSV", help=f"keep every {_KEPT}th answer")
    options = parser.parse_args()
    said = list(answers(options.binary, options.models))
    if options.record:
        write(options.record, said[::_KEPT])
    worse = 0
    print(f"{'model':16}{'ctx':>6} {'free MiB':>15}  {'fit s':>7} {'ours':>7} {'gain':>6}  {'fit ctx':>8} {'ours':>8}")
    for answer in said:
        verdict = judge(answer)
        if not verdict.is_ours_as_good:
            worse += 1
        free = " + ".join(map(str, answer.free))
        note = f"overdrawn by {verdict.overdraft / MIB:.0f} MiB" if verdict.overdraft else ""
        print(
            f"{answer.model:16}{answer.ctx or 'auto':>6} {free:>15}  {verdict.fit_s[0]:7.1f} "
            f"{verdict.our_s[0] if verdict.our_s else math.nan:7.1f} {verdict.gain:6.2f}  "
            f"{verdict.fit_ctx or '-':>8} {verdict.our_ctx or '-':>8}  "
            f"{note or ('' if verdict.is_ours_as_good else 'the tool is better')}"
        )
    print(f"{len(said)} answers, {worse} better than ours")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
