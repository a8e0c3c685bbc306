"""Compute buffers as a rehearsal tells them are those of a load: to the byte, wherever layers and their parts are."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.client.devices import add_rpc
from runner.client.process import EngineProcess
from runner.types.commands import Load, Rehearse
from runner.types.placement import Override, Placement
from scripts.checks.loopback import lent
from scripts.synthetic.random_weights import GEOMETRIES, write

BOTH = ("RPC0", "RPC1")
IDLE = (Override("^$", "CPU"),)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("engine")
    with lent(folder / "lender.log", 2) as endpoint, closing(EngineProcess(folder / "log")) as process:
        add_rpc(process, [endpoint])
        yield process


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def parts(layers: str, device: str) -> Override:
    return Override(rf"blk\.({layers})\.ffn_(gate|up|down)(_exps)?\.weight", device)


@pytest.mark.parametrize(
    ("geometry", "total", "split", "overrides"),
    [
        ("tiny-dense", 5, (3, 2), ()),  # they pipeline
        ("tiny-dense", 5, (3, 2), IDLE),  # an override, even an idle one, forbids it
        ("tiny-dense", 5, (2, 1), ()),
        ("tiny-dense", 5, (3, 2), (parts("0|2", "CPU"),)),
        ("tiny-moe", 5, (3, 2), ()),
        ("tiny-moe", 5, (3, 2), (parts("0", "RPC1"), parts("3", "CPU"))),
        ("tiny-moe", 5, (2, 2), (parts("2", "CPU"),)),
        ("tiny-window", 7, (5, 2), ()),
        ("tiny-hybrid", 7, (5, 2), (parts("1", "RPC1"),)),
        ("tiny-glm", 5, (3, 2), (parts("2|3", "RPC0"),)),
    ],
)
def test_a_rehearsal_tells_the_buffers_of_a_load(
    engine: EngineProcess,
    weights: Path,
    geometry: str,
    total: int,
    split: tuple[int, ...],
    overrides: tuple[Override, ...],
) -> None:
    path = write(weights / f"{geometry}.gguf", GEOMETRIES[geometry], "Q8_0")
    for ubatch, sequences in ((16, 1), (64, 3)):
        placement = Placement(
            BOTH,
            sum(split),
            total,
            split,
            512,
            overrides=overrides,
            ubatch=ubatch,
            sequences=sequences,
            outputs=sequences,
        )
        (rehearsed,) = engine.ask(Rehearse(str(path), (placement,)))
        loaded = engine.ask(Load(str(path), placement))
        assert rehearsed.memory is not None
        assert {row.device: row.compute for row in rehearsed.memory} == {
            row.device: row.compute for row in loaded.memory
        }
