"""This computer -> facts.Facts: what its drivers, compilers and headers say. Edge; the standard library only.

It runs before anything is installed, so it asks the tools that drivers bring, and the files where systems keep such
things. What does not answer within a few seconds counts as not there.
"""

import ctypes.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from runner.build.facts import Amd, Backend, Facts, Nvidia, Version, Vulkan
from runner.hardware import pci
from runner.hardware.pci import read

ROOT = Path(__file__).resolve().parents[2]
CUDA_NVCC = "/usr/local/cuda/bin/nvcc"
PACKAGE_MANAGERS = ("apt-get", "dnf", "pacman", "zypper", "apk", "xcode-select")
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GGML_VK_VISIBLE_DEVICES")
LIBRARIES = {"metal": Backend.METAL, "cuda": Backend.CUDA, "hip": Backend.ROCM, "vulkan": Backend.VULKAN}
TOOLKITS = ("/usr/local", "/opt", "/usr/lib", "/usr/lib64")


def detect(compiled: tuple[str, ...] | None = None, usable: tuple[str, ...] | None = None) -> Facts:
    """The facts about this computer; what the installed llama.cpp says of itself is passed in."""
    checkout = Path(sys.prefix).resolve() == ROOT / ".venv"
    return Facts(
        system=platform.system(),
        machine=platform.machine(),
        requirement=_requirement(checkout),
        compiler=any(map(shutil.which, (os.environ.get("CXX") or "c++", "g++", "clang++", "cl"))),
        glibc=platform.system() != "Linux" or platform.libc_ver()[0] == "glibc",
        packages=next(filter(shutil.which, PACKAGE_MANAGERS), None),
        cards=pci.cards(),
        nvidia=_nvidia(),
        amd=_amd(),
        vulkan=_vulkan(),
        compiled=compiled,
        usable=usable,
        prebuilt=_prebuilt(),
        hidden_by=tuple(name for name in HIDING if name in os.environ),
        python=sys.executable,
        uv=_uv(),
        checkout=checkout,
    )


def _requirement(checkout: bool) -> str:
    """The pinned llama-cpp-python: what a working copy wants now, or what the installed distribution asks for."""
    wanted: list[str]
    if checkout:
        wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    else:
        wanted = metadata.requires("localrun-llm") or []
    return next(line for line in wanted if line.startswith("llama-cpp-python"))


def _uv() -> str:
    own = ROOT / ".uv/bin/uv"
    return os.environ.get("UV") or (str(own) if own.exists() and not shutil.which("uv") else "uv")


def _prebuilt() -> Backend | None:
    """The backend of an installed llama.cpp that uv did not build: uv notes its build settings beside the package."""
    try:
        package = metadata.distribution("llama-cpp-python")
    except metadata.PackageNotFoundError:
        return None
    if package.read_text("uv_build.json") is not None:
        return None
    libraries = " ".join(file.name for file in package.files or ())
    return next((backend for word, backend in LIBRARIES.items() if f"ggml-{word}." in libraries), Backend.CPU)


def _said(*command: str) -> str:
    """What a command prints, or nothing if it is not there, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _version(pattern: str, text: str) -> Version | None:
    found = re.search(pattern + r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _exists(folders: Iterable[str], *patterns: str) -> bool:
    return any(any(Path(folder).glob(pattern)) for folder in folders for pattern in patterns)


def _nvidia() -> Nvidia:
    smi = shutil.which("nvidia-smi") or "/usr/lib/wsl/lib/nvidia-smi"
    listed = _said(smi, "--query-gpu=compute_cap", "--format=csv,noheader")
    capabilities = tuple((int(major), int(minor)) for major, minor in re.findall(r"(\d+)\.(\d+)", listed))
    loader = _said("ldconfig", "-p") or _said("/sbin/ldconfig", "-p")
    majors = {int(n) for n in re.findall(r"libcudart\.so\.(\d+) ", loader)}
    elsewhere = None if shutil.which("nvcc") else shutil.which(CUDA_NVCC)
    return Nvidia(
        capabilities=capabilities,
        driver_cuda=_version(r"CUDA (?:\w+ )?Version *: *", _said(smi)) if capabilities else None,
        nvcc=_version(r"release ", _said(elsewhere or "nvcc", "--version")),
        nvcc_path=elsewhere,
        runtimes=tuple(sorted(m for m in majors if f"libcublas.so.{m} " in loader)),
        cublas="libcublas.so" in loader
        or _exists(TOOLKITS, "cuda*/lib*/libcublas.so", "cuda*/targets/*/lib/libcublas.so", "*/libcublas.so"),
    )


def _amd() -> Amd:
    root = Path(os.environ.get("ROCM_PATH") or "/opt/rocm")
    clang = next((str(p) for p in (root / "llvm/bin/clang++", root / "lib/llvm/bin/clang++") if p.exists()), None)
    release = read(root / ".info/version") or _said("hipconfig", "--version")
    return Amd(targets=_gfx_targets(), rocm=_version("^", release), clang=clang)


def _gfx_targets() -> tuple[str, ...]:
    """AMD GPUs by their LLVM target, from the kernel's topology: 110000 is gfx1100, 90010 is gfx90a, 0 a processor."""
    nodes = sorted((pci.SYS / "class/kfd/kfd/topology/nodes").glob("*/properties"))
    found = [re.search(r"gfx_target_version (\d+)", read(node)) for node in nodes]
    numbers = [int(version[1]) for version in found if version]
    return tuple(f"gfx{n // 10000}{n // 100 % 100:x}{n % 100:x}" for n in numbers if n)


def _vulkan() -> Vulkan:
    lines = _said(sys.executable, "-I", str(Path(__file__).with_name("vulkan.py"))).splitlines()
    devices = [(kind, name) for kind, _, name in (line.partition("\t") for line in lines)]
    sdk = Path(os.environ.get("VULKAN_SDK") or "/usr") / "include"
    includes = [str(folder) for folder in dict.fromkeys([sdk, Path("/usr/include"), Path("/usr/local/include")])]
    cores = "".join(read(Path(folder) / "vulkan/vulkan_core.h") for folder in includes)
    header = re.search(r"#define VK_HEADER_VERSION (\d+)", cores)
    return Vulkan(
        loader=ctypes.util.find_library("vulkan") is not None,
        gpus=tuple(name for kind, name in devices if kind.endswith("_GPU")),
        software=tuple(name for kind, name in devices if kind == "CPU"),
        headers=int(header[1]) if header else None,
        glslc=shutil.which("glslc") is not None,
        spirv_headers=_exists(includes, "spirv/unified1/spirv.hpp"),
    )
