import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.build import toolchain
from runner.build.decision import Decision, decide
from runner.build.facts import Amd, Backend, Facts, Method, Nvidia, Version, Vulkan
from runner.build.routes import routes
from runner.hardware import pci

WHEELS = "https://abetlen.github.io/llama-cpp-python/whl"
LLAMA = "llama-cpp-python==0.3.36"

PC = Facts("Linux", "x86_64", LLAMA, compiler=True, packages="apt-get")
MAC = Facts("Darwin", "arm64", LLAMA, compiler=True, packages="xcode-select")
CUDA = Nvidia(capabilities=((8, 9),), driver_cuda=(12, 4), nvcc=(12, 4), runtimes=(12,), cublas=True)
ROCM = Amd(targets=("gfx1100",), rocm=(7, 2), clang="/opt/rocm/llvm/bin/clang++")
VULKAN = Vulkan(loader=True, gpus=("Radeon RX 7900 XTX",), headers=309, glslc=True, spirv_headers=True)
PIP = "uv pip install --python python3 --reinstall-package llama-cpp-python"
SYNC = "uv sync --locked --extra demo"


def settings(*options: str) -> str:
    return shlex.join(w for o in options for w in ("--config-settings-package", f"llama-cpp-python:cmake.define.{o}"))


def source(*options: str) -> str:
    return f"{PIP} {settings('GGML_RPC=ON', *options)} {LLAMA}"


def wheel(index: str) -> str:
    return f"{PIP} --only-binary llama-cpp-python --index {WHEELS}/{index} {LLAMA}"


def pc(**changes: object) -> Facts:
    return replace(PC, **changes)  # type: ignore[arg-type]


def cuda(**changes: object) -> Facts:
    return pc(nvidia=replace(CUDA, **changes))  # type: ignore[arg-type]


DECISIONS: dict[str, tuple[Facts, Backend, str]] = {
    "no GPU": (PC, Backend.CPU, source()),
    "no GPU, no compiler": (pc(compiler=False), Backend.CPU, wheel("cpu")),
    "Apple Silicon": (MAC, Backend.METAL, source("GGML_METAL=ON")),
    "Apple Silicon without Xcode": (replace(MAC, compiler=False), Backend.METAL, wheel("metal")),
    "Intel Mac": (replace(MAC, machine="x86_64"), Backend.CPU, source()),
    "a CUDA toolkit": (cuda(), Backend.CUDA, source("GGML_CUDA=ON", "CMAKE_CUDA_ARCHITECTURES=89-real")),
    "two kinds of NVIDIA GPU": (
        cuda(capabilities=((8, 9), (8, 6), (8, 6))),
        Backend.CUDA,
        source("GGML_CUDA=ON", "CMAKE_CUDA_ARCHITECTURES=86-real;89-real"),
    ),
    "Blackwell": (
        cuda(capabilities=((12, 0),), nvcc=(13, 0), driver_cuda=(13, 0)),
        Backend.CUDA,
        source("GGML_CUDA=ON", "CMAKE_CUDA_ARCHITECTURES=120a-real"),
    ),
    "nvcc is not on the PATH": (
        cuda(nvcc_path="/usr/local/cuda/bin/nvcc"),
        Backend.CUDA,
        source("GGML_CUDA=ON", "CMAKE_CUDA_COMPILER=/usr/local/cuda/bin/nvcc", "CMAKE_CUDA_ARCHITECTURES=89-real"),
    ),
    "CUDA libraries without nvcc": (cuda(nvcc=None), Backend.CUDA, wheel("cu124")),
    "a driver between two wheels": (cuda(nvcc=None, driver_cuda=(12, 9)), Backend.CUDA, wheel("cu125")),
    "libraries of two CUDA versions": (
        cuda(nvcc=None, driver_cuda=(13, 1), runtimes=(12, 13)),
        Backend.CUDA,
        wheel("cu130"),
    ),
    "Pascal has no CUDA 13 wheel": (
        cuda(nvcc=None, capabilities=((6, 1),), driver_cuda=(13, 0), runtimes=(12, 13)),
        Backend.CUDA,
        wheel("cu125"),
    ),
    "Hopper has no CUDA 11.8 wheel": (
        cuda(nvcc=None, capabilities=((9, 0),), driver_cuda=(11, 8), runtimes=(11,)),
        Backend.CPU,
        source(),
    ),
    "Windows has no wheel for CUDA 12.2": (
        replace(cuda(nvcc=None, driver_cuda=(12, 2)), system="Windows", machine="AMD64"),
        Backend.CPU,
        source(),
    ),
    "a driver alone: Vulkan is in it": (
        pc(nvidia=Nvidia(((8, 9),), (12, 4)), vulkan=Vulkan(True, ("NVIDIA GeForce RTX 4090",))),
        Backend.VULKAN,
        wheel("vulkan"),
    ),
    "a driver alone, no Vulkan loader": (pc(nvidia=Nvidia(((8, 9),), (12, 4))), Backend.CPU, source()),
    "no CUDA wheel for ARM": (replace(cuda(nvcc=None), machine="aarch64"), Backend.CPU, source()),
    "ARM with a CUDA toolkit": (
        replace(cuda(capabilities=((9, 0),)), machine="aarch64"),
        Backend.CUDA,
        source("GGML_CUDA=ON", "CMAKE_CUDA_ARCHITECTURES=90-real"),
    ),
    "ROCm": (
        pc(amd=ROCM, vulkan=VULKAN),
        Backend.ROCM,
        source("GGML_HIP=ON", "CMAKE_HIP_COMPILER=/opt/rocm/llvm/bin/clang++", "GPU_TARGETS=gfx1100"),
    ),
    "ROCm without its compiler": (pc(amd=replace(ROCM, clang=None)), Backend.ROCM, wheel("rocm72")),
    "a Radeon outside the ROCm wheel": (
        pc(amd=Amd(("gfx906",), (7, 2)), vulkan=VULKAN),
        Backend.VULKAN,
        source("GGML_VULKAN=ON"),
    ),
    "a Radeon without ROCm": (pc(amd=Amd(("gfx1100",)), vulkan=VULKAN), Backend.VULKAN, source("GGML_VULKAN=ON")),
    "Vulkan headers of Debian 12": (pc(vulkan=replace(VULKAN, headers=239)), Backend.VULKAN, wheel("vulkan")),
    "llvmpipe is no GPU": (pc(vulkan=replace(VULKAN, gpus=(), software=("llvmpipe",))), Backend.CPU, source()),
}


def typed(decision: Decision) -> str:
    """The commands as one line for a shell."""
    return " && ".join(map(shlex.join, decision.commands))


@pytest.mark.parametrize("case", DECISIONS)
def test_decision(case: str) -> None:
    facts, backend, shell = DECISIONS[case]
    decision = decide(facts)
    assert decision.backend is backend
    assert typed(decision) == shell
    assert ("--index" in shell) == (decision.method is Method.WHEEL)


@pytest.mark.parametrize(
    ("facts", "shell"),
    [
        (PC, SYNC),
        (pc(prebuilt=Backend.CPU), f"uv pip uninstall --python python3 llama-cpp-python && {SYNC}"),
        (cuda(), f"{SYNC} {settings('GGML_CUDA=ON', 'CMAKE_CUDA_ARCHITECTURES=89-real')}"),
        (cuda(nvcc=None), f"{wheel('cu124')} && {SYNC}"),
        (replace(cuda(nvcc=None), prebuilt=Backend.CPU), f"{wheel('cu124')} && {SYNC}"),
        (replace(cuda(nvcc=None), prebuilt=Backend.CUDA), SYNC),
    ],
)
def test_a_working_copy_is_synced(facts: Facts, shell: str) -> None:
    """Its pyproject.toml sets RPC; a wheel goes in first, because the sync would compile where nothing is."""
    assert typed(decide(replace(facts, checkout=True))) == shell


@pytest.mark.parametrize(
    ("facts", "what", "fix"),
    [
        (pc(compiler=False), "no C++ compiler", "sudo apt-get install build-essential"),
        (replace(MAC, compiler=False), "no C++ compiler", "xcode-select --install"),
        (cuda(nvcc=None), "no CUDA compiler", "https://developer.nvidia.com/cuda-downloads"),
        (cuda(cublas=False), "no cuBLAS", "https://developer.nvidia.com/cuda-downloads"),
        (cuda(nvcc=(13, 0)), "nvcc 13.0 is too new for the driver, which runs CUDA 12.4", "update the driver"),
        (cuda(capabilities=((12, 0),)), "nvcc 12.4 does not compile for compute capability 12.0", "12.8 or newer"),
        (
            cuda(capabilities=((6, 1),), nvcc=(13, 0), driver_cuda=(13, 0)),
            "nvcc 13.0 does not compile for compute capability 6.1",
            "install CUDA toolkit 12",
        ),
        (cuda(capabilities=((3, 5),)), "compute capability 3.5 is too old", None),
        (pc(amd=Amd(("gfx1100",))), "there is no ROCm", "https://rocm.docs.amd.com"),
        (pc(amd=replace(ROCM, rocm=(6, 4), clang=None)), "the ROCm wheel wants ROCm 7", "https://rocm"),
        (pc(vulkan=replace(VULKAN, headers=239)), "1.x.239) are older than", "https://vulkan.lunarg.com"),
        (pc(vulkan=replace(VULKAN, glslc=False)), "glslc", "sudo apt-get install libvulkan-dev glslc spirv-headers"),
        (pc(vulkan=replace(VULKAN, gpus=(), software=("llvmpipe",))), "CPU-type device (llvmpipe)", None),
        (pc(cards=("nvidia",)), "its driver does not answer", "https://www.nvidia.com"),
        (pc(cards=("amd",)), "neither ROCm nor Vulkan", "https://rocm.docs.amd.com"),
        (pc(cards=("intel",), packages="dnf"), "an Intel GPU", "sudo dnf install mesa-vulkan-drivers"),
        (pc(cards=("intel",), packages=None), "an Intel GPU", "install Mesa's Vulkan driver"),
        (
            replace(cuda(), compiled=("CUDA", "RPC", "CPU"), usable=(), hidden_by=("CUDA_VISIBLE_DEVICES",)),
            "llama.cpp has CUDA, but finds no GPU, and CUDA_VISIBLE_DEVICES is set",
            "unset CUDA_VISIBLE_DEVICES",
        ),
        (replace(cuda(), compiled=("CUDA", "CPU"), usable=()), "but finds no GPU", "update the GPU's driver"),
    ],
)
def test_what_is_missing_and_what_mends_it(facts: Facts, what: str, fix: str | None) -> None:
    lacks = [lack for lack in decide(facts).lacks if what in lack.what]
    assert len(lacks) == 1
    assert (fix is None and lacks[0].fix is None) or (fix is not None and fix in (lacks[0].fix or ""))


@pytest.mark.parametrize(
    ("facts", "title"),
    [
        (pc(compiled=("RPC", "CPU"), usable=()), "CPU, installed"),
        (pc(compiled=("CPU",), usable=()), "CPU, installed"),
        (replace(cuda(), compiled=("CUDA", "RPC", "CPU"), usable=("CUDA",)), "CUDA, installed"),
        (replace(cuda(nvcc=None, runtimes=()), compiled=("CUDA", "CPU"), usable=("CUDA",)), "CUDA, installed"),
        (replace(MAC, compiled=("MTL", "RPC", "CPU"), usable=("MTL",)), "Metal, installed"),
    ],
)
def test_a_build_that_serves_stays(facts: Facts, title: str) -> None:
    decision = decide(facts)
    assert (decision.title, decision.commands, decision.traps) == (title, (), ())
    assert not [lack for lack in decision.lacks if "nvcc" in lack.what]


@pytest.mark.parametrize(
    "facts",
    [
        replace(cuda(), compiled=("RPC", "CPU"), usable=()),
        replace(pc(vulkan=VULKAN), compiled=("RPC", "CPU"), usable=()),
        replace(pc(amd=ROCM), compiled=("Vulkan", "CPU"), usable=("Vulkan",)),
        replace(MAC, compiled=("RPC", "CPU"), usable=()),
    ],
)
def test_a_slower_build_is_replaced(facts: Facts) -> None:
    assert decide(facts).backend is decide(replace(facts, compiled=None, usable=None)).backend
    assert decide(facts).commands


def test_what_was_passed_over_is_said() -> None:
    decision = decide(pc(nvidia=Nvidia(((8, 9),), (12, 4)), vulkan=Vulkan(True, ("RTX 4090",))))
    assert decision.why[0] == "A GPU that Vulkan drives (RTX 4090): Vulkan."
    assert decision.why[1] == "Not CUDA, compiled here: there is no CUDA compiler (nvcc)."
    assert len(decision.why) == 4


def test_the_traps_of_a_wheel_are_said() -> None:
    words = " ".join(decide(cuda(nvcc=None)).traps)
    assert "no RPC" in words
    assert "no AVX2" in words
    assert "no AVX2" not in " ".join(decide(pc(compiler=False)).traps)
    assert "puts the CPU build back" in " ".join(decide(cuda()).traps)
    assert "puts the CPU build back" not in " ".join(decide(PC).traps)


@pytest.mark.parametrize("backend", Backend)
@pytest.mark.parametrize("method", Method)
def test_an_asked_route_is_taken_whatever_it_lacks(backend: Backend, method: Method) -> None:
    decision = decide(PC, backend, method)
    assert (decision.backend, decision.method) == (backend, method)
    assert decision.commands


versions: st.SearchStrategy[Version] = st.tuples(st.integers(3, 14), st.integers(0, 9))
nvidias = st.builds(
    Nvidia,
    capabilities=st.lists(versions, max_size=3).map(tuple),
    driver_cuda=st.none() | versions,
    nvcc=st.none() | versions,
    runtimes=st.lists(st.integers(10, 14), max_size=2).map(tuple),
    cublas=st.booleans(),
)
amds = st.builds(
    Amd,
    targets=st.lists(st.sampled_from(["gfx1100", "gfx906", "gfx90a"]), max_size=2).map(tuple),
    rocm=st.none() | versions,
    clang=st.none() | st.just("/opt/rocm/llvm/bin/clang++"),
)
vulkans = st.builds(
    Vulkan,
    loader=st.booleans(),
    gpus=st.lists(st.just("GPU; rm -rf /"), max_size=1).map(tuple),
    headers=st.none() | st.integers(1, 400),
    glslc=st.booleans(),
    spirv_headers=st.booleans(),
)
machines = st.builds(
    Facts,
    system=st.sampled_from(["Linux", "Darwin", "Windows", "FreeBSD"]),
    machine=st.sampled_from(["x86_64", "aarch64", "arm64", "AMD64", "riscv64"]),
    requirement=st.just(LLAMA),
    compiler=st.booleans(),
    glibc=st.booleans(),
    nvidia=nvidias,
    amd=amds,
    vulkan=vulkans,
    compiled=st.none() | st.just(("RPC", "CPU")) | st.just(("CUDA", "CPU")),
    usable=st.none() | st.just(()) | st.just(("CUDA",)),
    checkout=st.booleans(),
)


@given(machines)
def test_every_machine_gets_an_answer(facts: Facts) -> None:
    """A route without lacks wins over all with."""
    decision = decide(facts)
    words = [word for command in decision.commands for word in command]
    free = [route for route in routes(facts, None) if not route.lacks]
    if free and decision.commands:
        assert (decision.backend, decision.method) == (free[0].backend, free[0].method)
    if decision.method is Method.WHEEL and decision.commands:
        assert "--only-binary" in words
    assert "CMAKE_ARGS" not in typed(decision)


def test_this_computer() -> None:
    facts = toolchain.detect()
    assert facts.requirement.startswith("llama-cpp-python==")
    assert Path(facts.python) == Path(sys.executable)
    assert not decide(replace(facts, compiled=("RPC", "CPU"), usable=()), Backend.CPU).commands


SMI = """#!/bin/sh
case "$1" in
  --query-gpu=compute_cap) printf '8.9\\n12.0\\n' ;;
  *) echo '| NVIDIA-SMI 550.54.14    Driver Version: 550.54.14    CUDA Version: 12.4     |' ;;
esac
"""
NVCC = "#!/bin/sh\necho 'Cuda compilation tools, release 12.4, V12.4.131'\n"
LDCONFIG = """#!/bin/sh
echo '	libcudart.so.12 (libc6,x86-64) => /usr/local/cuda/lib64/libcudart.so.12'
echo '	libcudart.so.11.0 (libc6,x86-64) => /usr/lib/libcudart.so.11.0'
echo '	libcublas.so.12 (libc6,x86-64) => /usr/local/cuda/lib64/libcublas.so.12'
"""


def test_what_the_tools_of_an_nvidia_machine_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"nvidia-smi": SMI, "nvcc": NVCC, "ldconfig": LDCONFIG}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    facts = toolchain.detect()
    assert facts.nvidia == Nvidia(((8, 9), (12, 0)), (12, 4), (12, 4), None, (12,), True)
    assert facts.hidden_by == ("CUDA_VISIBLE_DEVICES",)


@pytest.mark.parametrize(
    ("number", "target"), [("110000", "gfx1100"), ("90010", "gfx90a"), ("100302", "gfx1032"), ("110501", "gfx1151")]
)
def test_what_the_kernel_says_of_an_amd_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str, target: str
) -> None:
    for node, version in (("0", "0"), ("1", number)):
        folder = tmp_path / "sys/class/kfd/kfd/topology/nodes" / node
        folder.mkdir(parents=True)
        (folder / "properties").write_text(f"simd_count 64\ngfx_target_version {version}\n")
    for card, kind, vendor in (("a", "0x030000", "0x1002"), ("b", "0x030000", "0x1002"), ("c", "0x020000", "0x8086")):
        folder = tmp_path / "sys/bus/pci/devices" / card
        folder.mkdir(parents=True)
        (folder / "class").write_text(kind + "\n")
        (folder / "vendor").write_text(vendor + "\n")
    rocm = tmp_path / "rocm"
    (rocm / ".info").mkdir(parents=True)
    (rocm / ".info/version").write_text("7.2.4-81\n")
    (rocm / "llvm/bin").mkdir(parents=True)
    (rocm / "llvm/bin/clang++").touch()
    monkeypatch.setattr(pci, "SYS", tmp_path / "sys")
    monkeypatch.setenv("ROCM_PATH", str(rocm))
    facts = toolchain.detect()
    assert facts.amd == Amd((target,), (7, 2), str(rocm / "llvm/bin/clang++"))
    assert facts.cards == ("amd",)
