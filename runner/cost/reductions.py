"""What it takes several devices to add up their parts of a layer's result: split mode `tensor`. Pure.

Twice a layer every device has its summand of the residual stream, and all of them need the sum. That takes

    seconds per reduction, growing with the number of devices      kernels on all of them wait for each other
  + seconds per layer that routes                                  its graph is cut more often
  + 2 (n - 1) / n x values x 2 bytes / (share x the bus's rate)    a ring, in bfloat16 (ggml-cuda.cu: comm_allreduce)

The constants were fitted to tests/data/tensor_split_speeds.toml: two and four GPUs on PCIe, without peer access as far
as the sources say, one pair with NVLink.
"""

from collections.abc import Sequence

from runner.cost.work import Work

_SECONDS = 18e-6  # of one reduction between two devices
_SECONDS_PER_DOUBLING = 10e-6  # more for every doubling of the devices
_SECONDS_PER_ROUTING = 40e-6
_BYTES = 2
_BUS_SHARE = 0.17
_UNKNOWN_BUS = 31.5e9  # PCIe 4 x16


def reduction_seconds(work: Sequence[Work], tokens: float) -> float:
    """All reductions of a batch of so many tokens."""
    count, slowest = len(work), min(item.device.bus or _UNKNOWN_BUS for item in work if item.device)
    waiting = _SECONDS + _SECONDS_PER_DOUBLING * (count.bit_length() - 2)
    moving = 2 * (count - 1) / count * tokens * work[0].reduced * _BYTES / (_BUS_SHARE * slowest)
    return work[0].reductions * (waiting + moving) + _SECONDS_PER_ROUTING * work[0].routing
