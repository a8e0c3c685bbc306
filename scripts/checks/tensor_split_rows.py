"""Speeds in both of llama.cpp's split modes as cases for the speed model: tests/data/tensor_split_speeds.toml.

python -m scripts.checks.tensor_split_rows      # every row: measured, predicted, and how far that is off
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

from runner.cost.blocks import Part
from runner.cost.forecast import work_of
from runner.cost.kv import ContextSettings
from runner.cost.layout import by_tensor, contiguous
from runner.cost.tensor_split import sliced
from runner.cost.work import Prefill, Work
from runner.types.machine import Machine
from scripts.checks.speed_rows import ByHand, Case, blocks_like, load, machine_of, scaled

_CTX = 131072


@dataclass(frozen=True, slots=True)
class Both:
    """One test in both modes; `by_layer` is None where nobody gives it."""

    by_layer: Case | None
    by_tensor: Case

    @property
    def gain(self) -> float | None:
        """Tensor over layer, measured."""
        return self.by_tensor.tps / self.by_layer.tps if self.by_layer else None

    @property
    def predicted_gain(self) -> float | None:
        """Tensor over layer, predicted."""
        return self.by_tensor.predicted / self.by_layer.predicted if self.by_layer else None


@cache
def counted() -> tuple[Both, ...]:
    """Every row that counts."""
    return tuple(_rows(doubted=False))


@cache
def doubted() -> tuple[Both, ...]:
    """The rows that are kept and do not count."""
    return tuple(_rows(doubted=True))


def _rows(*, doubted: bool) -> Iterator[Both]:
    data = load("tensor_split_speeds.toml")
    by_hand = {name: ByHand(**fields) for name, fields in data["models"].items()}
    for table in data["tables"]:
        if ("doubt" in table) == doubted:
            for hardware, model, width, *tests in table["rows"]:
                for test, by_layer, tensor in zip(tests[::3], tests[1::3], tests[2::3], strict=True):
                    name, _, at = test.partition("@")
                    weights = _Weights(model, by_hand.get(model), width, machine_of(hardware, "CUDA"))
                    case = Case(table["source"], hardware, model, int(name[2:]), int(at or 0), 0.0, weights.machine, ())
                    if name.startswith("pp"):
                        case = replace(case, prompt=Prefill(case.tokens))
                    yield weights.both(case, table.get("kv", "f16"), by_layer, tensor)


@dataclass(frozen=True, slots=True)
class _Weights:
    model: str
    by_hand: ByHand | None
    width: int
    machine: Machine

    def both(self, case: Case, kv_type: str, by_layer: float, tensor: float) -> Both:
        settings = ContextSettings(_CTX, kv_type)
        depth = case.depth + case.tokens // 2
        split = replace(case, tps=tensor, work=self._by_tensor(settings, depth))
        if not by_layer:
            return Both(None, split)
        return Both(replace(case, tps=by_layer, work=self._by_layer(settings, depth)), split)

    def _by_layer(self, settings: ContextSettings, depth: int) -> tuple[Work, ...]:
        if self.by_hand is not None:
            return tuple(self.by_hand.work(self.machine, depth, 0.0))
        built, scale = blocks_like(self.model)
        count, total = len(self.machine.devices), len(built.layers)
        counts = [total * (number + 1) // count - total * number // count for number in range(count)]
        layout = contiguous(self.machine.devices, counts, total)
        return tuple(scaled(work_of(built, layout, settings, depth), scale))

    def _by_tensor(self, settings: ContextSettings, depth: int) -> tuple[Work, ...]:
        devices = self.machine.devices
        if self.by_hand is not None:
            (whole,) = self.by_hand.work(replace(self.machine, devices=devices[:1]), depth, 0.0)
            return sliced(replace(whole, reduced=self.width), devices, Part(), 1 / len(devices))
        built, scale = blocks_like(self.model)
        return tuple(scaled(work_of(built, by_tensor(devices, len(built.layers)), settings, depth), scale))


def main() -> None:
    """Print every row."""
    for title, rows in (("counted", counted()), ("doubted", doubted())):
        print(title)
        for both in rows:
            case, layer = both.by_tensor, both.by_layer
            gains = f"{both.gain:5.2f} x, predicted {both.predicted_gain:5.2f} x" if both.gain else ""
            by_layer = f"by layer {layer.error:+6.1%}" if layer else ""
            print(f"{case} {case.tps:9.2f} {case.predicted:9.2f} {case.error:+7.1%}  {by_layer:17} {gains}")


if __name__ == "__main__":
    main()
