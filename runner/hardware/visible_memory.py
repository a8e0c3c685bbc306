"""What a driver lets llama.cpp see of a GPU's memory, which is less than the number on the box. Pure.

The numbers are what llama.cpp, PyTorch or CUDA itself print as the total on Linux, where nothing of ours is loaded.
Windows and WSL 2 show nearly all of a card and keep 1.0 to 1.8 GiB of it for themselves; a desktop on a card takes
about 0.8 GiB under Linux. A probe finds both; of hardware that is only named they cannot be known. What a slice of a
card (MIG) has must be written: gpu=40g@1000gbps.
"""

from runner.hardware.gpu_table import GpuModel
from runner.types.units import GIB, MIB

# MiB by the name in the table of GPUs. "Logs" are what llama.cpp printed in public issues, benchmarks and guides.
SEEN = {
    "H100 SXM5 80 GB": 81079,  # measured here, driver 580; nvidia-smi says 81559. Logs: 81081
    "A100 SXM4 80 GB": 81151,  # logs; PyTorch's users have 79.2 to 79.35 GiB
    "A100 SXM4 40 GB": 40507,  # logs of Ultralytics; others 40536
    "A100 PCIe 40 GB": 40339,  # PyTorch: https://huggingface.co/PrunaAI, results.json of several models
    "H200 SXM 141 GB": 143156,  # PyTorch, 150109880320 bytes; nvidia-smi says 143771
    "Tesla V100 PCIe 16 GB": 16160,  # tests of Ollama; PyTorch's users have 15.77 GiB
    "Tesla V100 SXM2 16 GB": 16160,
    "Tesla V100 PCIe 32 GB": 32494,  # logs of eight SXM2 cards
    "Tesla V100 SXM2 32 GB": 32494,
    "Tesla P40": 24438,  # logs, ECC off
    "Tesla T4": 15007,  # between 14912 (logs) and 15102 (PyTorch, other drivers)
    "L4": 22559,  # PyTorch, 22.03 GiB; others up to 22.5
    "L40S": 45467,  # logs; nvidia-smi says 46068
    "A10 PCIe": 22516,  # CUDA, 23609475072 bytes
    "RTX A6000": 48685,  # PyTorch, four cards; ECC is off where nobody asks for it
    "RTX PRO 6000 Blackwell": 97247,  # https://github.com/ggml-org/llama.cpp/pull/23604; nvidia-smi says 97887
    "GeForce RTX 5090": 32149,  # logs: 32109 to 32202
    "GeForce RTX 4090": 24210,  # logs of April 2026; PyTorch's users have 23.65 GiB
    "GeForce RTX 3090": 24154,  # logs: 24121 to 24154; PyTorch's users have 23.69 GiB
    "Radeon AI PRO R9700": 32624,  # logs
}

# Errors of GDDR that has no place for check bits are corrected at the cost of a sixteenth; on cards for servers that is
# how they come. HBM and GDDR7 keep the bits elsewhere.
_CHECKED = {"GDDR5", "GDDR6"}
_BEFORE_TURING = {"Kepler", "Kepler 2.0", "Maxwell", "Maxwell 2.0", "Pascal", "Volta"}


def visible_bytes(gpu: GpuModel) -> int:
    """Bytes that the driver gives llama.cpp as the total of a GPU with memory of its own.

    A row above, else a rule fitted to these and more rows (tests/runner/hardware/test_visible_memory.py), within 1 % of
    each: NVIDIA keeps 325 MiB and 0.75 % (80 MiB and 0.5 % before Turing), AMD 16 MiB, others 1 %. What is no model but
    a size that somebody wrote is taken at its word.
    """
    left = gpu.memory
    if gpu.name in SEEN or not gpu.architecture:
        return SEEN.get(gpu.name, left // MIB) * MIB
    if gpu.vendor != "NVIDIA":
        return left - (16 * MIB if gpu.vendor in ("AMD", "ATI") else left // 100)
    if gpu.for_servers and gpu.memory_type in _CHECKED:
        left -= left // 16
    return left - (80 * MIB + left // 200 if gpu.architecture in _BEFORE_TURING else 325 * MIB + left * 3 // 400)


def shared_bytes(gpu: GpuModel, ram: int) -> int:
    """Bytes of the computer's memory that a GPU without its own may use, as systems are set up when nobody changed it.

    Metal's recommendedMaxWorkingSetSize is two thirds of up to 36 GiB, three quarters of more (newer systems give a
    little more: 74 to 84 % were seen). A DGX Spark of 128 GB shows 124610 MiB. Linux lets the driver of an AMD GPU map
    half of the memory (GTT; ttm.pages_limit sets it), and Mesa's driver for Intel takes three quarters
    (anv_device.c: anv_compute_sys_heap_size).
    """
    if gpu.vendor == "Apple":
        return ram * 2 // 3 if ram <= 36 * GIB else ram * 3 // 4
    if gpu.vendor == "NVIDIA":
        return ram * 95 // 100
    return ram // 2 if gpu.vendor in ("AMD", "ATI") else ram * 3 // 4


def context_bytes(gpu: GpuModel) -> int:
    """Bytes that a process takes on a GPU as soon as it asks for it; what is free on a real one lacks them already.

    The cost of CUDA grows with the multiprocessors (https://github.com/ggml-org/llama.cpp/pull/23604). Measured here:
    527 MiB on an H100 with 132. Logs: A100 (108) 424, V100 (80) 394, P40 (30) 148, RTX 5090 (170) 521 to 562, RTX 4090
    (128) 392, RTX 3090 (82) 262 to 323, RTX PRO 6000 (188) 555, RTX 4060 Ti (34) 107, GTX 1660 Ti (24) 76. HIP: 58, 60.
    """
    if gpu.vendor != "NVIDIA":
        return 60 * MIB if gpu.vendor in ("AMD", "ATI") else 0
    if gpu.architecture in _BEFORE_TURING:
        return 5 * MIB * gpu.multiprocessors
    stacked = str(gpu.memory_type).startswith("HBM")
    return (40 if stacked else 32) * MIB * gpu.multiprocessors // 10
