"""A llama.cpp that can use the device: the installed one, a build, or one built here; and its programs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from runner.client.devices import add_rpc, runtime
from runner.client.process import EngineProcess
from scripts.checks.acceptance.examine import say
from scripts.environment import llama_build


def devices_of(backend: str, folder: Path, rpc: Sequence[str] = ()) -> tuple[str, tuple[str, ...]]:
    """The engine's version, and its devices of one of ggml's backends (cuda, vulkan, rpc...)."""
    child = EngineProcess(folder / "engine.log")
    try:
        add_rpc(child, rpc)
        found = runtime(child)
    finally:
        child.close()
    return found.version, tuple(one.id for one in found.devices if one.backend.casefold().startswith(backend))


def programs_of(options: argparse.Namespace, folder: Path) -> Path | None:
    """See to an engine that can use the device; the folder with the programs of its build, if it has one."""
    if options.llama_cpp is not None:
        llama_build.use(options.llama_cpp)
        return Path(options.llama_cpp)
    if options.backend != "cuda" or (options.source is None and devices_of("cuda", folder)[1]):
        return None
    return llama_build.build(options.source or llama_build.download(folder / "sdist"), folder / "llama.cpp", say)


def fit_params_of(options: argparse.Namespace, programs: Path | None) -> Path | None:
    """llama-fit-params: the one given, or that of the build."""
    built = programs / "llama-fit-params" if programs else None
    return options.fit_params or (built if built and built.exists() else None)
