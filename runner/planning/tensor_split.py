"""Every layer split over several devices (llama.cpp's `-sm tensor`): where that may be, and when it is worth it. Pure.

llama.cpp calls the mode experimental and promises good speed for NVIDIA cards alone (docs/multi-gpu.md). So unasked it
is weighed for equal ones only, and taken only where it answers clearly faster (`runner.planning.search`).
"""

from collections.abc import Iterator, Sequence

from models.errors import UsageError
from models.headers.architectures import COPIED_WHOLE, WITHOUT_TENSOR_SPLIT
from runner.cost.kernels import backend_of
from runner.cost.layout import Layout, by_tensor
from runner.planning.problem import Problem
from runner.types.machine import Device, Kind
from runner.types.placement import SplitMode
from runner.types.wish import Wish


def check(problem: Problem, wish: Wish) -> None:
    """Raise UsageError where the mode was asked for and cannot be."""
    if wish.split_mode is not SplitMode.TENSOR:
        return
    devices, arch = problem.machine.devices, problem.blocks.shape.arch
    backends = sorted({_backend(device) for device in devices})
    if len(devices) < 2:
        raise UsageError(f"--split-mode tensor needs two GPUs or more; {_has(devices)}.")
    if len(backends) > 1:
        raise UsageError(
            f"--split-mode tensor needs devices of one kind; these are {' and '.join(backends)} (--devices chooses)."
        )
    if not _is_possible(arch):
        raise UsageError(f"llama.cpp cannot split the layers of {arch} models over devices; leave --split-mode away.")
    if wish.tensor_split is not None:
        raise UsageError("--split-mode tensor splits every layer evenly; leave --tensor-split away.")
    if wish.gpu_layers is not None and 0 <= wish.gpu_layers < problem.layers_total:
        raise UsageError("--split-mode tensor puts every layer on the GPUs; leave --gpu-layers away.")


def layouts_by_tensor(problem: Problem, devices: tuple[Device, ...]) -> Iterator[Layout]:
    """The one layout of these devices in this mode, if it was asked for or may be weighed."""
    asked = problem.split_mode is SplitMode.TENSOR
    allowed = problem.split_mode is None and problem.shares is None and _is_possible(problem.blocks.shape.arch)
    if len(devices) > 1 and (asked or (allowed and _are_alike(devices))):
        yield by_tensor(devices, problem.layers_total)


def _is_possible(arch: str) -> bool:
    return arch not in WITHOUT_TENSOR_SPLIT | COPIED_WHOLE


def _are_alike(devices: Sequence[Device]) -> bool:
    kinds = {(one.bandwidth, one.cycles, one.memory_type, one.total) for one in devices}
    return len(kinds) == 1 and all(one.kind is Kind.GPU and backend_of(one) == "CUDA" for one in devices)


def _backend(device: Device) -> str:
    return device.id.rstrip("0123456789")


def _has(devices: Sequence[Device]) -> str:
    return f"here is {devices[0].id} alone" if devices else "here is none"
