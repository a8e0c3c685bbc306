"""Cases rehearsed by llama.cpp on loopback devices."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from runner.client.process import EngineProcess
from runner.types.commands import Rehearse, StandIns
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement
from scripts.checks.ledger.cases import DEVICES, Case
from scripts.checks.ledger.rows import Row, computed
from scripts.synthetic.headers import make


class Rehearser:
    """Rehearses cases on loopback devices."""

    def __init__(self, child: EngineProcess, folder: Path) -> None:
        self._child, self._folder = child, folder
        names = [device.id for device in DEVICES]
        self._actors = dict(zip(names, child.ask(StandIns(len(names))), strict=True))
        self._names = {actor: name for name, actor in self._actors.items()}

    def rows(self, cases: Sequence[Case]) -> Iterator[Row]:
        """Every device of every case, all of one model. An AssertionError where llama.cpp refuses a placement."""
        (path,) = make(cases[0].model, cases[0].quant, self._folder, tokenizer="none")
        placements = tuple(self._acted(case.placement) for case in cases)
        for case, said in zip(cases, self._child.ask(Rehearse(str(path), placements)), strict=True):
            assert said.memory is not None, f"{case}: {said.refusal}"
            names = [self._names.get(row.device, row.device) for row in said.memory]
            real = {name: replace(row, device=name) for name, row in zip(names, said.memory, strict=True)}
            for device, ours in computed(case).items():
                yield Row(case, device, ours, real.get(device, ComponentBytes(device, 0, 0, 0)))

    def _acted(self, placement: Placement) -> Placement:
        overrides = (replace(rule, device=self._actors.get(rule.device, rule.device)) for rule in placement.overrides)
        devices = tuple(self._actors[name] for name in placement.devices)
        return replace(placement, devices=devices, overrides=tuple(overrides))
