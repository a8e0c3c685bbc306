"""What llama.cpp's complaints mean: which error of ours, and the words without its source paths. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from models.errors import DeviceLost, EngineError, OutOfMemory

TEMPLATE_S = 10.0  # the engine ends by SIGALRM when a chat template takes longer
GRAMMAR_S = 5.0  # and by SIGVTALRM when a grammar keeps the processor busy for longer, for one token

# ggml's own words, and those of CUDA, HIP, Vulkan, SYCL, Metal and C++ that it passes on.
_OUT_OF_MEMORY = (
    r"(?i)out of (\w+ )?memory|out_?of_?(device_?|host_?)?memory|insufficient memory|alloc_failed|bad_alloc"
    r"|(failed|unable|cannot|could not) (to )?(allocate|reserve memory)|\balloc\w* (of size \d+ )?failed"
)
_DEVICE_LOST = (
    r"(?i)device_?lost|device is lost|remote rpc server crashed|failed to connect to|unspecified launch failure"
    r"|launch timed out|error: unknown error|devices?(\(s\))? (is|are|is/are) (busy or )?unavailable"
    r"|no (cuda|rocm)-capable device|uncorrectable ecc|fallen off the bus|gpu ?(hang|reset)"
)
_OF_RPC = r"(?i)remote rpc server crashed|rpc (transport|handshake)|failed to connect to"
_SIGNS: tuple[tuple[type[EngineError], str], ...] = ((OutOfMemory, _OUT_OF_MEMORY), (DeviceLost, _DEVICE_LOST))
# ggml's backends then take ordinary memory: ggml_backend_cuda_host_buffer_type_alloc_buffer and its like for Vulkan.
_NOT_PINNED = r"(?i)failed to allocate ([\d.]+ \w+ of )?pinned memory"
# `/build/ggml-cuda.cu:97: `, `, in function f at /build/ggml-cuda.cu:97`: where in llama.cpp it was said.
_PLACE = r"(,? in function \w+)?( at)? ?[^\s(]*\.(cc|cpp|cu|cuh|c|hpp|h|mm|m):\d+:? ?"
_FUNCTION = r"^([a-z_][\w:~]*(\(\))?: )+"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a failure was, EngineError where nothing tells, and the line that says so (no stop at its end)."""

    kind: type[EngineError]
    reason: str


def diagnose(lines: Iterable[str]) -> Diagnosis:
    """Read llama.cpp's words, the most telling first: last words, then complaints from the oldest on."""
    said = [text for line in lines if (text := plain(line))]
    for line in said:
        for kind, sign in _SIGNS:
            if re.search(sign, line):
                return Diagnosis(kind, line)
    first = said[0] if said else ""
    return Diagnosis(EngineError, max((line for line in said if line.startswith(first)), key=len, default=""))


def is_not_pinned(line: str) -> bool:
    """Whether a line says that host memory could not be pinned for a GPU (WSL 2 and containers limit how much can)."""
    return re.search(_NOT_PINNED, line) is not None


def is_of_rpc(reason: str) -> bool:
    """Whether what was lost is a device of another machine: it is not said of which."""
    return re.search(_OF_RPC, reason) is not None


def plain(line: str) -> str:
    """A line of llama.cpp's log without the function and the source file that said it."""
    return re.sub(_FUNCTION, "", re.sub(_PLACE, "", " ".join(line.split()))).strip(" .:")
