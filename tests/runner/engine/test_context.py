"""What llama_decode answers, as an error of ours."""

import pytest

from models.errors import DeviceLost, EngineError, OutOfMemory
from runner.engine.context import decode_failure


@pytest.mark.parametrize(
    ("code", "complaints", "kind", "sentence"),
    [
        (-2, (), OutOfMemory, "llama.cpp ran out of memory while decoding."),
        (
            -2,
            ("ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 7",),
            OutOfMemory,
            "llama.cpp ran out of memory while decoding: failed to allocate CUDA0 buffer of size 7.",
        ),
        (
            -3,
            ("ggml_metal_graph_compute: error: Insufficient Memory (00000008)",),
            OutOfMemory,
            "llama.cpp ran out of memory while decoding: Insufficient Memory (00000008).",
        ),
        (
            -3,
            ("ggml_vulkan: vk::Queue::submit: ErrorDeviceLost",),
            DeviceLost,
            "llama.cpp lost a device while decoding: ErrorDeviceLost.",
        ),
        (-3, (), EngineError, "llama.cpp failed to compute while decoding."),
        (1, (), EngineError, "llama.cpp found no room in the KV cache while decoding."),
        (-1, ("decode: wrong batch",), EngineError, "llama.cpp refused the batch while decoding: wrong batch."),
        (-7, (), EngineError, "llama.cpp stopped with code -7 while decoding."),
    ],
)
def test_a_failed_decode_is_named(
    code: int, complaints: tuple[str, ...], kind: type[EngineError], sentence: str
) -> None:
    error = decode_failure(code, complaints)
    assert (type(error), str(error)) == (kind, sentence)
