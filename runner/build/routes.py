"""The routes to a llama.cpp build that this machine's hardware calls for, and what stands in each one's way. Pure.

A route is a backend and a method: compiled here, or a prebuilt wheel. Compiling comes before the wheel: the prebuilt
wheels have no RPC, and those for CUDA and ROCm no AVX2, so that layers on the CPU are slow.

Sources: llama-cpp-python 0.3.36, its README (indexes, CUDA versions, compute capabilities) and its wheel workflows
(options, platforms, ROCm targets); llama.cpp docs/build.md and ggml/src/ggml-{cuda,vulkan}/CMakeLists.txt.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.build.facts import Backend, Facts, Method, Nvidia, Version

# CUDA version of a wheel -> (oldest, newest) compute capability it carries code for.
CUDA_WHEELS: dict[Version, tuple[Version, Version]] = {
    (11, 8): ((6, 0), (8, 9)),
    **{(12, minor): ((6, 0), (99, 0)) for minor in range(1, 6)},
    (13, 0): ((7, 5), (99, 0)),
    (13, 2): ((7, 5), (99, 0)),
}
WINDOWS_CUDA_WHEELS = frozenset({(11, 8), (12, 4), (12, 5), (13, 0), (13, 2)})
# GPUs from this compute capability on -> (oldest, newest) CUDA toolkit that compiles for them.
CUDA_TOOLKITS: dict[Version, tuple[Version, Version]] = {
    (10, 0): ((12, 8), (99, 0)),
    (8, 9): ((11, 8), (99, 0)),
    (7, 5): ((11, 1), (99, 0)),
    (5, 0): ((11, 1), (12, 99)),
}
ROCM_WHEEL_TARGETS = frozenset(
    f"gfx{n}" for n in ("908", "90a", "942", "1030", "1100", "1101", "1102", "1150", "1151", "1200", "1201")
)
# VK_HEADER_VERSION: Debian 12's 239 is too old for ggml-vulkan, Debian 13's 309 is new enough.
VULKAN_HEADERS = 309

CUDA_SITE = "https://developer.nvidia.com/cuda-downloads"
NVIDIA_SITE = "https://www.nvidia.com/drivers"
ROCM_SITE = "https://rocm.docs.amd.com/projects/install-on-linux/en/latest/"
VULKAN_SITE = "https://vulkan.lunarg.com/sdk/home"
PACKAGES = {
    "compiler": {
        "apt-get": "sudo apt-get install build-essential",
        "dnf": "sudo dnf install gcc-c++",
        "pacman": "sudo pacman -S base-devel",
        "zypper": "sudo zypper install gcc-c++",
        "apk": "sudo apk add build-base",
        "xcode-select": "xcode-select --install",
    },
    "vulkan": {
        "apt-get": "sudo apt-get install libvulkan-dev glslc spirv-headers",
        "dnf": "sudo dnf install vulkan-loader-devel glslc spirv-headers-devel",
        "pacman": "sudo pacman -S vulkan-headers vulkan-icd-loader shaderc spirv-headers",
    },
    "driver": {
        "apt-get": "sudo apt-get install mesa-vulkan-drivers",
        "dnf": "sudo dnf install mesa-vulkan-drivers",
        "pacman": "sudo pacman -S vulkan-intel",
    },
}


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that is missing, and the command or the place that mends it (None: nothing does)."""

    what: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One way to one backend. `settings` are CMake options, `index` is the address of prebuilt wheels."""

    backend: Backend
    method: Method
    why: str
    lacks: tuple[Lack, ...]
    settings: tuple[str, ...] = ()
    index: str = ""

    @property
    def title(self) -> str:
        """The route in a few words."""
        return f"{self.backend.label}, {'compiled here' if self.method is Method.SOURCE else 'prebuilt wheel'}"


def routes(facts: Facts, backend: Backend | None) -> list[Route]:
    """Routes for the hardware that is there, fastest first; for an asked backend, whatever is there."""
    by_backend = {
        Backend.METAL: (facts.system == "Darwin" and facts.is_arm, _metal),
        Backend.CUDA: (bool(facts.nvidia.capabilities), _cuda),
        Backend.ROCM: (bool(facts.amd.targets), _rocm),
        Backend.VULKAN: (bool(facts.vulkan.gpus), _vulkan),
        Backend.CPU: (True, _cpu),
    }
    asked = [name for name, (here, _) in by_backend.items() if name is backend or (here and backend is None)]
    return [route for name in asked for route in by_backend[name][1](facts)]


def _metal(facts: Facts) -> Iterator[Route]:
    why = "Apple Silicon: Metal."
    system = (facts.system == "Darwin" and facts.is_arm) or Lack("Metal is for Apple Silicon")
    yield Route(Backend.METAL, Method.SOURCE, why, _lacks(system, _compiler(facts)), ("GGML_METAL=ON",))
    yield Route(Backend.METAL, Method.WHEEL, why, _lacks(system), index="metal")


def _cuda(facts: Facts) -> Iterator[Route]:
    nvidia = facts.nvidia
    capabilities = sorted(set(nvidia.capabilities))
    why = f"NVIDIA GPU, compute capability {listed(_dotted(c) for c in capabilities)}: CUDA."
    # Blackwell's name needs the `a`, as llama.cpp's CMakeLists says.
    architectures = ";".join(f"{a}{b}{'a' if a >= 12 else ''}-real" for a, b in capabilities)
    settings = (
        "GGML_CUDA=ON",
        *((f"CMAKE_CUDA_COMPILER={nvidia.nvcc_path}",) if nvidia.nvcc_path else ()),
        *((f"CMAKE_CUDA_ARCHITECTURES={architectures}",) if architectures else ()),
    )
    lacks = _lacks(_compiler(facts), *_cuda_toolkit(nvidia))
    yield Route(Backend.CUDA, Method.SOURCE, why, lacks, settings)
    wheel = _cuda_wheel(facts)
    runtime = bool(nvidia.runtimes) or Lack(
        "the CUDA wheels bring no libcudart and libcublas", f"install the CUDA toolkit: {CUDA_SITE}"
    )
    fits = bool(wheel) or Lack("no CUDA wheel fits this driver, GPU and CUDA library")
    index = f"cu{wheel[0]}{wheel[1]}" if wheel else ""
    yield Route(Backend.CUDA, Method.WHEEL, why, _lacks(_x86_64(facts), runtime, fits), index=index)


def _cuda_toolkit(nvidia: Nvidia) -> Iterator[bool | Lack]:
    """What stands between this machine and a CUDA build of its own."""
    install = f"install the CUDA toolkit: {CUDA_SITE}"
    yield nvidia.nvcc is not None or Lack("there is no CUDA compiler (nvcc)", install)
    if nvidia.nvcc is None:
        return
    nvcc, driver = nvidia.nvcc, nvidia.driver_cuda
    yield nvidia.cublas or Lack("the CUDA toolkit has no cuBLAS", install)
    if driver and nvcc[0] > driver[0]:
        what = f"nvcc {_dotted(nvcc)} is too new for the driver, which runs CUDA {_dotted(driver)}"
        yield Lack(what, f"update the driver ({NVIDIA_SITE}) or install a CUDA {driver[0]} toolkit ({CUDA_SITE})")
    for capability in sorted(set(nvidia.capabilities)):
        span = next((span for since, span in CUDA_TOOLKITS.items() if capability >= since), None)
        if span is None:
            yield Lack(f"compute capability {_dotted(capability)} is too old for llama.cpp")
        elif not span[0] <= nvcc <= span[1]:
            wanted = f"{_dotted(span[0])} or newer" if nvcc < span[0] else "12"
            what = f"nvcc {_dotted(nvcc)} does not compile for compute capability {_dotted(capability)}"
            yield Lack(what, f"install CUDA toolkit {wanted}: {CUDA_SITE}")


def _cuda_wheel(facts: Facts) -> Version | None:
    """The newest CUDA wheel that driver, GPUs and the installed CUDA libraries all take."""
    nvidia = facts.nvidia
    fitting = (
        version
        for version, (oldest, newest) in CUDA_WHEELS.items()
        if version <= (nvidia.driver_cuda or (0, 0))
        and version[0] in nvidia.runtimes
        and all(oldest <= capability <= newest for capability in nvidia.capabilities)
        and (facts.system != "Windows" or version in WINDOWS_CUDA_WHEELS)
    )
    return max(fitting, default=None)


def _rocm(facts: Facts) -> Iterator[Route]:
    amd = facts.amd
    install = f"install ROCm: {ROCM_SITE}"
    why = f"AMD GPU, {listed(amd.targets)}: ROCm."
    rocm = amd.rocm is not None or Lack("there is no ROCm", install)
    clang = amd.clang is not None or amd.rocm is None or Lack("ROCm's compiler is missing", install)
    settings = (
        "GGML_HIP=ON",
        *((f"CMAKE_HIP_COMPILER={amd.clang}",) if amd.clang else ()),
        *((f"GPU_TARGETS={';'.join(sorted(set(amd.targets)))}",) if amd.targets else ()),
    )
    yield Route(Backend.ROCM, Method.SOURCE, why, _lacks(_compiler(facts), rocm, clang), settings)
    major = amd.rocm is None or amd.rocm[0] == 7 or Lack("the ROCm wheel wants ROCm 7", install)
    targets = set(amd.targets) <= ROCM_WHEEL_TARGETS or Lack(f"the ROCm wheel has no code for {listed(amd.targets)}")
    linux = facts.system == "Linux" or Lack("the ROCm wheel is for Linux")
    lacks = _lacks(_x86_64(facts), linux, rocm, major, targets)
    yield Route(Backend.ROCM, Method.WHEEL, why, lacks, index="rocm72")


def _vulkan(facts: Facts) -> Iterator[Route]:
    vulkan = facts.vulkan
    install = _package("vulkan", facts) or f"install the Vulkan SDK: {VULKAN_SITE}"
    why = f"A GPU that Vulkan drives ({listed(vulkan.gpus)}): Vulkan."
    old = f"the Vulkan headers (1.x.{vulkan.headers}) are older than ggml-vulkan needs (1.x.{VULKAN_HEADERS})"
    lacks = _lacks(
        _compiler(facts),
        vulkan.headers is not None or Lack("there are no Vulkan headers", install),
        (vulkan.headers or VULKAN_HEADERS) >= VULKAN_HEADERS or Lack(old, f"install the Vulkan SDK: {VULKAN_SITE}"),
        vulkan.glslc or Lack("there is no shader compiler (glslc)", install),
        vulkan.spirv_headers or Lack("there are no SPIR-V headers", install),
    )
    yield Route(Backend.VULKAN, Method.SOURCE, why, lacks, ("GGML_VULKAN=ON",))
    loader = vulkan.loader or Lack("there is no Vulkan loader (libvulkan)", install)
    yield Route(Backend.VULKAN, Method.WHEEL, why, _lacks(_x86_64(facts), loader), index="vulkan")


def _cpu(facts: Facts) -> Iterator[Route]:
    yield Route(Backend.CPU, Method.SOURCE, "The processor alone.", _lacks(_compiler(facts)))
    glibc = facts.glibc or Lack("the CPU wheel needs glibc")
    yield Route(Backend.CPU, Method.WHEEL, "The processor alone.", _lacks(glibc), index="cpu")


def _lacks(*needs: bool | Lack) -> tuple[Lack, ...]:
    """The needs that are not met: a need is either True or what is lacking."""
    return tuple(need for need in needs if isinstance(need, Lack))


def _compiler(facts: Facts) -> bool | Lack:
    return facts.compiler or Lack("there is no C++ compiler", _package("compiler", facts))


def _x86_64(facts: Facts) -> bool | Lack:
    fits = facts.system in ("Linux", "Windows") and facts.machine.lower() in ("x86_64", "amd64") and facts.glibc
    return fits or Lack("the GPU wheels are for x86-64 Windows and Linux with glibc")


def _package(what: str, facts: Facts) -> str | None:
    return PACKAGES[what].get(facts.packages or "")


def silent_devices(facts: Facts) -> Iterator[Lack]:
    """GPUs that are there, though no driver or no llama.cpp sees them."""
    gpu_backends = [name for name in facts.compiled or () if name in set(Backend) - {Backend.CPU}]
    idle = [name for name in gpu_backends if facts.usable is not None and name not in facts.usable]
    if idle:
        fix = f"unset {' '.join(facts.hidden_by)}" if facts.hidden_by else "update the GPU's driver"
        why = f", and {listed(facts.hidden_by)} is set" if facts.hidden_by else ""
        yield Lack(f"llama.cpp has {listed(idle)}, but finds no GPU{why}", fix)
    if facts.nvidia.capabilities or facts.amd.targets or facts.vulkan.gpus:
        return
    driver = _package("driver", facts) or "install Mesa's Vulkan driver"
    fixes = {
        "nvidia": ("an NVIDIA card is there, but its driver does not answer", f"install the driver: {NVIDIA_SITE}"),
        "amd": ("an AMD card is there, but neither ROCm nor Vulkan sees it", f"install ROCm: {ROCM_SITE}"),
        "intel": ("an Intel GPU is there, but Vulkan does not see it", driver),
    }
    yield from (Lack(*fixes[maker]) for maker in facts.cards)
    if facts.vulkan.software:
        yield Lack(f"Vulkan has only a CPU-type device ({listed(facts.vulkan.software)}), which llama.cpp skips")


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def listed(words: Iterable[str]) -> str:
    """Words joined for a sentence, each once."""
    return " and ".join(dict.fromkeys(words)) or "not seen"
