"""How sure a predicted speed is: what was measured over what is predicted, by kind of layout. Pure."""

from collections.abc import Mapping, Sequence

from runner.cost.kernels import backend_of, memory_of
from runner.cost.work import Work, is_by_tensor
from runner.types.plan import Spread

# Measured over predicted, at the tenth and the ninetieth of a hundred rows of each kind: how sure a speed is. As
# `scripts/checks/fit_speed.py --spread` prints them; kinds with few rows have those of all.
SPREADS: Mapping[str, Spread] = {
    "CUDA, GDDR": Spread((0.9, 1.11), (0.78, 1.13)),
    "CUDA, HBM": Spread((0.87, 1.03), (0.75, 1.17)),
    "CUDA, unified": Spread((0.87, 1.07), (0.81, 1.27)),
    "Metal": Spread((0.87, 1.08), (0.71, 1.26)),
    "ROCm": Spread((0.92, 1.11), (0.85, 1.11)),
    "SYCL": Spread((0.84, 1.1), (0.73, 1.01)),
    "Vulkan": Spread((0.95, 1.08), (0.81, 1.4)),
    "Vulkan on Intel": Spread((0.73, 1.11), (0.75, 1.15)),
    "Vulkan on NVIDIA": Spread((0.87, 1.09), (0.77, 1.2)),
    "all": Spread((0.87, 1.09), (0.77, 1.2)),
    "several GPUs": Spread((0.7, 1.12), (0.52, 1.54)),
    "split by tensor": Spread((0.87, 1.09), (0.85, 1.29)),
    "split with the host": Spread((0.83, 1.06), (0.61, 1.1)),
}


def spread_class(work: Sequence[Work]) -> str:
    """The kind of layout whose rows tell how sure its speed is."""
    devices = [item.device for item in work if item.device is not None]
    if not devices:
        return "CPU"
    if len(devices) < len(work):
        return "split with the host"
    if is_by_tensor(work):
        return "split by tensor"
    if len(devices) > 1:
        return "several GPUs"
    backend = backend_of(devices[0])
    return f"{backend}, {memory_of(devices[0])}" if backend == "CUDA" else backend


def spread_of(work: Sequence[Work]) -> Spread:
    """How far speeds measured for layouts of this kind were from what is predicted for them."""
    return SPREADS.get(spread_class(work)) or SPREADS["all"]
