"""From an exit code and last words to one error with one sentence."""

import signal
from pathlib import Path

import pytest

from models.errors import BadFile, DeviceLost, EngineError, EngineKilled, OutOfMemory, OutOfRam
from runner.client.death import death, lost
from runner.types.pipe import LastWords

SOURCE = "/tmp/build-x/vendor/llama.cpp/ggml/src/ggml-cuda/ggml-cuda.cu"
ALLOCATING = "allocating 1024.00 MiB on device 0: cudaMalloc failed: out of memory"
LOG = Path("/state/engine.log")
ABORT = -signal.SIGABRT
NO_WORDS = LastWords("")


@pytest.mark.parametrize(
    ("code", "words", "kind", "sentence"),
    [
        (
            ABORT,
            LastWords(f"{SOURCE}:97: CUDA error", ("CUDA error: out of memory", f"current device: 0, at {SOURCE}:451")),
            OutOfMemory,
            "The engine ran out of memory (CUDA error: out of memory).",
        ),
        (
            ABORT,
            LastWords("GGML_ASSERT(buffer) failed", (f"ggml_backend_cuda_buffer_type_alloc_buffer: {ALLOCATING}",)),
            OutOfMemory,
            f"The engine ran out of memory ({ALLOCATING}).",
        ),
        (
            ABORT,
            LastWords(f"{SOURCE}:97: CUDA error", ("CUDA error: unspecified launch failure",)),
            DeviceLost,
            "The engine lost a device (CUDA error: unspecified launch failure).",
        ),
        (
            ABORT,
            LastWords("/src/ggml-rpc.cpp:381: Remote RPC server crashed or returned malformed response"),
            DeviceLost,
            "The engine lost a device (Remote RPC server crashed or returned malformed response).",
        ),
        (
            ABORT,
            LastWords(f"{SOURCE}:97: CUDA error", ("CUDA error: an illegal memory access was encountered",)),
            EngineError,
            "The engine stopped with SIGABRT (CUDA error: an illegal memory access was encountered).",
        ),
        (
            ABORT,
            LastWords("/src/llama-context.cpp:1180: GGML_ASSERT(n_tokens_all <= cparams.n_batch) failed"),
            EngineError,
            "The engine stopped with SIGABRT (GGML_ASSERT(n_tokens_all <= cparams.n_batch) failed).",
        ),
        (-signal.SIGKILL, NO_WORDS, EngineKilled, "The engine was killed, perhaps for want of memory."),
        (-signal.SIGSEGV, NO_WORDS, EngineError, "The engine stopped with SIGSEGV."),
        (ABORT, NO_WORDS, EngineError, "The engine stopped with SIGABRT."),
        (3, NO_WORDS, EngineError, "The engine ended with code 3."),
    ],
)
def test_a_death_is_one_error_with_one_sentence(
    code: int, words: LastWords, kind: type[EngineError], sentence: str
) -> None:
    error = death(code, words, LOG)
    assert type(error) is kind
    assert str(error) == f"{sentence} Its log is {LOG}."


@pytest.mark.parametrize(
    ("code", "end", "kind", "because"),
    [
        (ABORT, "what():  std::bad_alloc", OutOfMemory, "ran out of memory (std::bad_alloc). "),
        (127, "cannot allocate memory for thread-local data: ABORT", OutOfMemory, "ran out of memory (cannot allocate"),
        (-signal.SIGSEGV, "special tokens cache size = 17", EngineError, "stopped with SIGSEGV. "),
        (ABORT, "std::bad_alloc\n1\n2\n3\n4", EngineError, "stopped with SIGABRT. "),
    ],
)
def test_what_is_said_only_in_the_log_counts_at_its_end(
    tmp_path: Path, code: int, end: str, kind: type[EngineError], because: str
) -> None:
    log = tmp_path / "engine.log"
    log.write_text("x" * 5000 + "\n" + end + "\n")
    error = death(code, NO_WORDS, log)
    assert type(error) is kind and str(error).startswith(f"The engine {because}")


def test_a_kill_by_the_kernel_is_told_apart() -> None:
    error = death(-signal.SIGKILL, NO_WORDS, LOG, for_ram=True)
    assert type(error) is OutOfRam
    assert str(error) == f"The engine was ended by the system, which had run out of memory. Its log is {LOG}."
    assert type(death(ABORT, NO_WORDS, LOG, for_ram=True)) is EngineError


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (signal.SIGALRM, "The model's chat template did not come to an end in 10 s."),
        (signal.SIGBUS, "The model's file was cut while it was in use, or its disk is gone."),
    ],
)
def test_what_is_the_files_fault_is_told_as_that(number: signal.Signals, sentence: str) -> None:
    error = death(-number, NO_WORDS, LOG)
    assert (type(error), str(error)) == (BadFile, sentence)


def test_a_machine_that_is_lost_is_called_what_it_calls_itself(tmp_path: Path) -> None:
    said = str(lost([("tower (a:1)", "is gone"), ("b:2", "had to start again")], tmp_path))
    assert said.startswith("tower (a:1) is gone and b:2 had to start again: what it held of the model is lost.")
