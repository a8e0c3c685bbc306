"""A CUDA build of llama.cpp with the tools that its Python package leaves out, from that package's own sources.

One build serves twice: the engine loads its libllama (through LLAMA_CPP_LIB_PATH) and `llama-fit-params` says what
llama.cpp's --fit would do. Needs CMake, a C++ compiler and nvcc. For a machine without a network, make a small sdist
(10 of 77 MB) elsewhere and carry it there:

    python -m scripts.environment.llama_build small.tar.gz [SDIST]
"""

import argparse
import importlib.util
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import EngineError, UsageError

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("llama-fit-params", "llama-bench")
_NOT_NEEDED = (".git", *(f"vendor/llama.cpp/{name}" for name in ("models", "docs", "media", "tests", "tools/ui")))
_SETTINGS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_CUDA_ARCHITECTURES": "native",
    "GGML_CUDA": "ON",
    "GGML_RPC": "ON",
    **dict.fromkeys(("TESTS", "EXAMPLES", "SERVER", "APP", "UI"), "OFF"),
}


def build(source: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """Build the sdist, or the folder it was unpacked to, below `folder`; returns the folder with the programs.

    The engine uses the build from then on. EngineError with the end of the log if the build fails.
    """
    package = unpacked(source, folder / "source")
    for command in commands(package / "vendor/llama.cpp", folder / "build"):
        say(f"building llama.cpp: {' '.join(command[:3])} ...")
        _run(command, folder / "build.log")
    use(folder / "build/bin", package)
    return folder / "build/bin"


def use(programs: Path, package: Path | None = None) -> None:
    """Let engine processes load the libllama of this build; `package` brings llama_cpp where it is not installed."""
    if not any(programs.glob("*llama.*")):
        raise UsageError(f"There is no libllama in {programs}.")
    os.environ["LLAMA_CPP_LIB_PATH"] = str(programs.resolve())
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    if package is not None and importlib.util.find_spec("llama_cpp") is None:
        paths.insert(1, str(package.resolve()))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


def commands(source: Path, folder: Path) -> tuple[list[str], ...]:
    """Configure and compile."""
    definitions = [f"-D{_long(key)}={value}" for key, value in _SETTINGS.items()]
    targets = ["llama", *TOOLS]
    return (
        ["cmake", "-S", str(source), "-B", str(folder), *definitions],
        ["cmake", "--build", str(folder), "--parallel", str(os.cpu_count() or 1), "--target", *targets],
    )


def _long(key: str) -> str:
    return key if "_" in key else f"LLAMA_BUILD_{key}"


def unpacked(source: Path, folder: Path) -> Path:
    """The package's root with llama_cpp/ and vendor/llama.cpp/. UsageError for anything else."""
    if source.is_file():
        try:
            with tarfile.open(source) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, OSError) as error:
            raise UsageError(f"{source} cannot be unpacked: {error}.") from None
        source = folder
    found = sorted(source.glob("**/vendor/llama.cpp/CMakeLists.txt"))
    if not found:
        raise UsageError(f"There are no sources of llama-cpp-python in {source}.")
    return found[0].parents[2]


def download(folder: Path) -> Path:
    """The sdist of the pinned llama-cpp-python from the package index. EngineError without one."""
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["uv", "tool", "run", "pip"]
    folder.mkdir(parents=True, exist_ok=True)
    wanted = ["--no-deps", "--no-binary", "llama-cpp-python", "--dest", str(folder), requirement()]
    _run([*pip, "download", *wanted], folder / "download.log")
    return next(folder.glob("llama_cpp_python-*.tar.gz"))


def trim(sdist: Path, small: Path) -> Path:
    """A copy of the sdist with what a build needs."""
    with tarfile.open(sdist) as whole, tarfile.open(small, "w:gz") as kept:
        for member in whole:
            path = member.name.partition("/")[2]
            if not any(path == name or path.startswith(f"{name}/") for name in _NOT_NEEDED):
                kept.addfile(member, whole.extractfile(member) if member.isfile() else None)
    return small


def requirement() -> str:
    """The pinned llama-cpp-python, `name==version`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return str(next(name for name in project["dependencies"] if name.startswith("llama-cpp-python")))


def _run(command: Sequence[str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as sink:
        try:
            code = subprocess.run(command, stdout=sink, stderr=subprocess.STDOUT, check=False).returncode
        except OSError as error:
            raise EngineError(f"{command[0]} cannot be run: {error.strerror}.") from None
    if code:
        last = log.read_text(errors="replace").splitlines()[-5:]
        raise EngineError(f"{' '.join(command[:3])} failed: {' / '.join(last)} (the whole log is {log}).")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("small", type=Path, help="the sdist to write")
    parser.add_argument("sdist", type=Path, nargs="?", help="the whole one (default: from the package index)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = trim(options.sdist or download(Path(folder)), options.small)
    print(f"{small.stat().st_size / 1e6:.1f} MB  {small}")


if __name__ == "__main__":
    main()
