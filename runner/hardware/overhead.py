"""What a process takes on a device beside its buffers, once it computes. Pure.

The context comes first, as soon as the devices are asked for: on a real machine `free` lacks it already, and for named
hardware it is taken off (visible_memory.context_bytes). With the first batch come cuBLAS and its pools: 80 to 200 MiB
on an H100. Only that is still to be paid out of what is free, and it is charged against the margin.
"""

from runner.types.units import MIB

_WITH_FIRST_BATCH = 330 * MIB  # what was measured, and room for kernels of other cards
_WITH_LIBRARIES = {"CUDA", "ROCm", "HIP"}


def overhead(backend: str) -> int:
    """Bytes, by llama.cpp's name of the backend; 0 where nothing was seen."""
    return _WITH_FIRST_BATCH if backend in _WITH_LIBRARIES else 0
