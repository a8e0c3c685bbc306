"""Building llama.cpp for the acceptance run: sources, commands, and what the engine is told. CMake is played here."""

import os
import tarfile
from pathlib import Path

import pytest

from models.errors import EngineError, UsageError
from scripts.environment import llama_build

BUILDS = """#!/bin/sh
echo "$@" >> "$SAID"
case "$1" in --build) mkdir -p "$2/bin"; : > "$2/bin/libllama.so" ;; esac
"""
FAILS = """#!/bin/sh
echo "-- looking"; echo "CMake Error: no CUDA toolkit"; exit 1
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", "")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("SAID", str(tmp_path / "said"))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder like that of llama-cpp-python's sdist."""
    root = tmp_path / "llama_cpp_python-1"
    for name in ("vendor/llama.cpp/CMakeLists.txt", "llama_cpp/__init__.py"):
        (root / name).parent.mkdir(parents=True)
        (root / name).touch()
    return root


def cmake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "tools/cmake"
    program.parent.mkdir()
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_sources_come_from_an_sdist_or_a_folder(tmp_path: Path, sources: Path) -> None:
    sdist = tmp_path / "sdist.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(sources, sources.name)
    assert llama_build.unpacked(sdist, tmp_path / "out") == tmp_path / "out" / sources.name
    assert llama_build.unpacked(sources, tmp_path / "unused") == sources
    assert llama_build.unpacked(tmp_path / "out", tmp_path / "unused") == tmp_path / "out" / sources.name


def test_a_trimmed_sdist_keeps_what_a_build_needs(tmp_path: Path, sources: Path) -> None:
    for name in (".git/objects/1", "vendor/llama.cpp/models/x.gguf", "vendor/llama.cpp/tools/ui/a", ".gitignore"):
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_text(name)
    (sources / "vendor/llama.cpp/link").symlink_to("CMakeLists.txt")
    sdist = tmp_path / "sdist.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(sources, sources.name)
    root = llama_build.unpacked(llama_build.trim(sdist, tmp_path / "small.tar.gz"), tmp_path / "out")
    kept = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    wanted = {"vendor/llama.cpp/CMakeLists.txt", "vendor/llama.cpp/link", "llama_cpp/__init__.py", ".gitignore"}
    assert kept == wanted
    assert (root / ".gitignore").read_text() == ".gitignore"


def test_other_sources_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "not.tar.gz").write_text("no archive")
    with pytest.raises(UsageError, match=r"not\.tar\.gz cannot be unpacked"):
        llama_build.unpacked(tmp_path / "not.tar.gz", tmp_path / "out")
    with pytest.raises(UsageError, match="no sources of llama-cpp-python"):
        llama_build.unpacked(tmp_path / "nowhere", tmp_path / "out")


def test_a_build_ends_in_an_engine_that_uses_it(tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cmake(tmp_path, monkeypatch, BUILDS)
    told: list[str] = []
    programs = llama_build.build(sources, tmp_path / "work", told.append)
    assert programs == tmp_path / "work/build/bin"
    assert os.environ["LLAMA_CPP_LIB_PATH"] == str(programs)
    assert os.environ["PYTHONPATH"] == f"{llama_build.ROOT}{os.pathsep}/elsewhere"
    configure, compile = (tmp_path / "said").read_text().splitlines()
    assert configure.startswith(f"-S {sources}/vendor/llama.cpp -B {tmp_path}/work/build ")
    assert {"-DGGML_CUDA=ON", "-DGGML_RPC=ON", "-DLLAMA_BUILD_TESTS=OFF"} <= set(configure.split())
    assert compile.endswith("--target llama llama-fit-params llama-bench")
    assert len(told) == 2


def test_a_build_that_fails_shows_the_end_of_its_log(
    tmp_path: Path, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cmake(tmp_path, monkeypatch, FAILS)
    with pytest.raises(EngineError, match=r"cmake -S .* failed: -- looking / CMake Error: no CUDA toolkit \(the"):
        llama_build.build(sources, tmp_path / "work", lambda _text: None)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(EngineError, match="cmake cannot be run: No such file"):
        llama_build.build(sources, tmp_path / "work", lambda _text: None)


def test_a_folder_without_the_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no libllama in"):
        llama_build.use(tmp_path)
    assert os.environ["LLAMA_CPP_LIB_PATH"] == ""


def test_the_pinned_version_is_the_one_that_is_built() -> None:
    name, _, version = llama_build.requirement().partition("==")
    assert name == "llama-cpp-python"
    assert version.count(".") == 2
