"""What a process takes on a device before its first buffer. Pure."""

from runner.types.units import MIB

_CONTEXT = 330 * MIB  # measured for CUDA; HIP is built alike
_WITH_CONTEXT = {"CUDA", "ROCm", "HIP"}


def overhead(backend: str) -> int:
    """Bytes, by llama.cpp's name of the backend; 0 where nothing was seen."""
    return _CONTEXT if backend in _WITH_CONTEXT else 0
