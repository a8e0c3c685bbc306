"""What the planner's tests share: shapes of real geometries, machines of given sizes, and llama.cpp's own fit rule."""

from models.headers.shape import ModelShape
from runner.cost.blocks import blocks_of
from runner.hardware.overhead import overhead
from runner.planning.problem import Problem
from runner.types.machine import Device, Kind, Machine
from runner.types.units import GIB
from runner.types.wish import Wish
from scripts.synthetic.headers import shape

__all__ = ["a100", "gpu", "h100", "machine", "problem_on", "shape"]


def gpu(gib: float, gbps: float = 1000, index: int = 0, memory_type: str = "GDDR6X") -> Device:
    """A CUDA device with all its memory free."""
    size = int(gib * GIB)
    return Device(
        id=f"CUDA{index}",
        kind=Kind.GPU,
        name=f"card {index}",
        total=size,
        free=size,
        bandwidth=gbps * 1e9,
        overhead=overhead("CUDA"),
        memory_type=memory_type,
        has_host_buffer=True,
    )


def machine(*devices: Device, ram: float = 128, ram_gbps: float = 60, cores: int = 16) -> Machine:
    """A named machine; `ram` in GiB, all of it available."""
    size = int(ram * GIB)
    return Machine("named", devices, size, size, ram_gbps * 1e9, cores)


def a100(index: int = 0) -> Device:
    """An A100 SXM with 80 GB."""
    return gpu(80, 2039, index, "HBM2e")


def h100(index: int = 0) -> Device:
    """An H100 SXM with 80 GB."""
    return gpu(80, 3350, index, "HBM3")


def problem_on(model: ModelShape, there: Machine, wish: Wish | None = None) -> Problem:
    """The problem that `place` would have to solve."""
    return Problem(blocks_of(model), there, wish.margin if wish else None)
