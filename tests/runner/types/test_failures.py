"""llama.cpp's words, as real backends say them, and what they mean."""

import pytest

from models.errors import DeviceLost, EngineError, OutOfMemory
from runner.types.failures import diagnose, is_not_pinned, plain

CUDA = "/home/builder/llama.cpp/ggml/src/ggml-cuda/ggml-cuda.cu"

OUT_OF_MEMORY = [
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 1024.00 MiB on device 0: cudaMalloc failed: out of memory",
    "CUDA error: out of memory",
    "ROCm error: out of memory",
    "ggml_vulkan: Device memory allocation of size 1073741824 failed.",
    "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
    "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    "alloc_tensor_range: failed to allocate CPU buffer of size 24159191040",
    "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
    "graph_reserve: failed to allocate compute buffers",
    "ggml_aligned_malloc: insufficient memory (attempted to allocate 23040.00 MB)",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED",
    "UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY",
]
DEVICE_LOST = [
    "CUDA error: unspecified launch failure",
    "CUDA error: unknown error",
    "CUDA error: all CUDA-capable devices are busy or unavailable",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: the launch timed out and was terminated",
    "vk::Queue::submit: ErrorDeviceLost",
    "Remote RPC server crashed or returned malformed response",
]
NEITHER = [
    "CUDA error: an illegal memory access was encountered",
    "GGML_ASSERT(n_outputs_max <= cparams.n_outputs_max) failed",
    "GGML_ASSERT(ggml_gallocr_alloc_graph(galloc, graph)) failed",
    "llama_model_load: error loading model: tensor 'blk.3.ffn_up.weight' data is not within the file bounds",
    "fatal error",
]


@pytest.mark.parametrize("line", OUT_OF_MEMORY)
def test_want_of_memory(line: str) -> None:
    assert diagnose([line]).kind is OutOfMemory


@pytest.mark.parametrize("line", DEVICE_LOST)
def test_a_lost_device(line: str) -> None:
    assert diagnose([line]).kind is DeviceLost


@pytest.mark.parametrize("line", NEITHER)
def test_what_is_neither(line: str) -> None:
    assert diagnose([line]).kind is EngineError


def test_the_line_that_tells_is_the_reason() -> None:
    found = diagnose(
        [
            f"{CUDA}:97: CUDA error",
            "CUDA error: out of memory",
            f"  current device: 0, in function alloc at {CUDA}:451",
            "  cuMemCreate(&handle, reserve_size, &prop, 0)",
        ]
    )
    assert (found.kind, found.reason) == (OutOfMemory, "CUDA error: out of memory")


def test_of_two_that_begin_alike_the_longer_one_tells_more() -> None:
    found = diagnose([f"{CUDA}:97: CUDA error", "CUDA error: an illegal memory access was encountered"])
    assert found.reason == "CUDA error: an illegal memory access was encountered"


def test_nothing_said_is_no_reason() -> None:
    found = diagnose(["", "  \n"])
    assert (found.kind, found.reason) == (EngineError, "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{CUDA}:97: CUDA error", "CUDA error"),
        (
            r"C:\build\ggml\src\ggml.c:12: GGML_ASSERT(a->ne[0] == b->ne[0]) failed",
            "GGML_ASSERT(a->ne[0] == b->ne[0]) failed",
        ),
        (f"  current device: 0, in function alloc at {CUDA}:451", "current device: 0"),
        ("ggml-rpc.cpp:381: Remote RPC server crashed", "Remote RPC server crashed"),
        ("llama_model_load: error loading model: no such tensor.", "error loading model: no such tensor"),
        ("two\nlines ", "two lines"),
        ("failed to open /home/me/model.gguf", "failed to open /home/me/model.gguf"),
    ],
)
def test_no_function_and_no_source_file_is_left(line: str, said: str) -> None:
    assert plain(line) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ggml_cuda_host_malloc: failed to allocate 8192.00 MiB of pinned memory: out of memory", True),
        ("ggml_vulkan: Failed to allocate pinned memory (vk::Device::allocateMemory: ErrorOutOfHostMemory)", True),
        ("ggml_backend_cuda_register_host_buffer: failed to register 8192.00 MiB of pinned memory: invalid", False),
        ("alloc_tensor_range: failed to allocate CUDA_Host buffer of size 7", False),
    ],
)
def test_memory_that_is_not_pinned(line: str, said: bool) -> None:
    assert is_not_pinned(line) is said
