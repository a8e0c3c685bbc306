"""What the decision about a build rests on: the words of drivers, toolkits and the installed llama.cpp. Pure data."""

from dataclasses import dataclass
from enum import StrEnum

Version = tuple[int, int]


class Backend(StrEnum):
    """A backend, by the name ggml registers it under."""

    METAL = "MTL"
    CUDA = "CUDA"
    ROCM = "ROCm"
    VULKAN = "Vulkan"
    CPU = "CPU"

    @property
    def label(self) -> str:
        """The name people know."""
        return "Metal" if self is Backend.METAL else self.value


class Method(StrEnum):
    """How a build gets here."""

    SOURCE = "source"
    WHEEL = "wheel"


@dataclass(frozen=True, slots=True)
class Nvidia:
    """What driver and toolkit say: compute capabilities of the GPUs, and the newest CUDA the driver runs.

    `runtimes` are the major versions whose libcudart and libcublas the loader finds (the wheels bring neither);
    `cublas` says whether a build would find cuBLAS, `nvcc_path` where nvcc is if it is not on the PATH.
    """

    capabilities: tuple[Version, ...] = ()
    driver_cuda: Version | None = None
    nvcc: Version | None = None
    nvcc_path: str | None = None
    runtimes: tuple[int, ...] = ()
    cublas: bool = False


@dataclass(frozen=True, slots=True)
class Amd:
    """What the kernel driver and ROCm say: targets such as gfx1100, and the path of ROCm's clang++."""

    targets: tuple[str, ...] = ()
    rocm: Version | None = None
    clang: str | None = None


@dataclass(frozen=True, slots=True)
class Vulkan:
    """What the Vulkan loader says, and what a build would find; `headers` is VK_HEADER_VERSION.

    `software` are the CPU-type devices (llvmpipe), which ggml skips.
    """

    loader: bool = False
    gpus: tuple[str, ...] = ()
    software: tuple[str, ...] = ()
    headers: int | None = None
    glslc: bool = False
    spirv_headers: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the decision rests on.

    `system` and `machine` are the words of Python's `platform`. `packages` is the system's package manager. `cards`
    are the makers of the display cards on the PCI bus, whether or not a driver answers. `compiled` are the backends of
    the installed llama.cpp and `usable` those of them that found a device, None where it has not been asked.
    `prebuilt` is the backend of the installed llama.cpp if that is a wheel that was not built here. `hidden_by` are
    environment variables that hide devices. `requirement` is the pinned llama-cpp-python, `python` the interpreter to
    install it for, and `checkout` says that this is the working copy's own environment.
    """

    system: str
    machine: str
    requirement: str
    compiler: bool = False
    glibc: bool = True
    packages: str | None = None
    cards: tuple[str, ...] = ()
    nvidia: Nvidia = Nvidia()
    amd: Amd = Amd()
    vulkan: Vulkan = Vulkan()
    compiled: tuple[str, ...] | None = None
    usable: tuple[str, ...] | None = None
    prebuilt: Backend | None = None
    hidden_by: tuple[str, ...] = ()
    python: str = "python3"
    uv: str = "uv"
    checkout: bool = False

    @property
    def is_arm(self) -> bool:
        """Whether the processor is a 64-bit ARM."""
        return self.machine.lower() in ("arm64", "aarch64")
