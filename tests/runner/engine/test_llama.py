"""What is heard of llama.cpp's log besides its complaints."""

from runner.engine import llama


def test_memory_that_could_not_be_pinned_is_remembered_until_the_next_call() -> None:
    llama.forget_complaints()
    llama.hear_aside("load_tensors: CUDA_Host model buffer size = 8192.00 MiB")
    assert llama.has_pinned()
    llama.hear_aside("ggml_cuda_host_malloc: failed to allocate 8192.00 MiB of pinned memory: out of memory")
    assert not llama.has_pinned()
    llama.forget_complaints()
    assert llama.has_pinned()
