"""How fast this computer's memory can be read, measured in about a tenth of a second. An edge: real memory."""

import ctypes
import mmap
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from runner.hardware import host
from runner.types.measurement import Bandwidth
from runner.types.units import MIB

# Per thread more than a core's share of the last cache, so that memory and not a cache is measured.
_CHUNK = 16 * MIB
_AT_LEAST = 64 * MIB
_MOST_THREADS = 32
_PASSES = 3
_UNMEASURED = 10e9  # bytes per second of one slow channel, where there is no memory to measure in


def bandwidth(known: Bandwidth | None = None) -> Bandwidth:
    """`known`, or a measurement where there is none: it takes up to 0.2 s, and the caller keeps it.

    What was measured on a busy machine is measured again on a quiet one.
    """
    cores = host.cores()
    is_quiet = host.load() < cores / 2
    if known is not None and (known.quiet or not is_quiet):
        return known
    measured = measure_bandwidth(cores)
    return Bandwidth(max(known.bytes_per_s, measured) if known else measured, is_quiet)


def measure_bandwidth(threads: int) -> float:
    """Bytes per second that `threads` threads (physical cores, at most 32 are used) read together.

    memchr for a byte that is not there reads memory and writes nothing, like decoding does; called through
    ctypes it runs without the interpreter's lock.
    """
    threads = max(1, min(threads, _MOST_THREADS))
    while True:
        try:
            return _measured(threads)
        except (OSError, MemoryError, RuntimeError):  # RuntimeError: no thread can be started, or another one failed
            if threads == 1:
                return _UNMEASURED
            threads //= 2


def _measured(threads: int) -> float:
    chunk = max(_CHUNK, _AT_LEAST // threads)
    start = threading.Barrier(threads)
    with ThreadPoolExecutor(threads) as pool:
        try:
            spans = list(pool.map(lambda _: _read(chunk, start), range(threads)))
        except RuntimeError:  # not all of them could be started
            start.abort()
            raise
    seconds = max(end for _, end in spans) - min(begin for begin, _ in spans)
    return threads * chunk * _PASSES / max(seconds, 1e-9)


def _read(size: int, start: threading.Barrier) -> tuple[float, float]:
    """When this thread began and ended reading its own `size` bytes, `_PASSES` times; none waits for one that fails."""
    try:
        return _timed(size, start)
    except BaseException:
        start.abort()
        raise


def _timed(size: int, start: threading.Barrier) -> tuple[float, float]:
    library = ctypes.CDLL("msvcrt" if os.name == "nt" else None)
    library.memchr.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    with mmap.mmap(-1, size) as memory:
        buffer = (ctypes.c_char * size).from_buffer(memory)
        try:
            ctypes.memset(buffer, 1, size)  # pages never written all share one page of zeros
            start.wait()
            begin = time.perf_counter()
            for _ in range(_PASSES):
                library.memchr(ctypes.addressof(buffer), 0, size)
            end = time.perf_counter()
        finally:
            del buffer  # the mapping cannot close while it is exported
    return begin, end
