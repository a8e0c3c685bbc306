"""The documentation speaks of files that are there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PATH = re.compile(r"`((?:runner|models|tui|tests|scripts|docs|examples)/[\w/.]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
MAKERS = ("runner/report/contract.py", "runner/report/tuning.py", "runner/report/search.py")
MODULE = re.compile(r"python -m (scripts\.[\w.]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    named = [ROOT / name for name in PATH.findall(text)]
    linked = [page.parent / name for name in LINK.findall(text)]
    run = [ROOT / name.replace(".", "/") for name in MODULE.findall(text)]
    missing = [str(path) for path in (*named, *linked) if not path.exists()]
    missing += [str(path) for path in run if not (path.is_dir() or path.with_suffix(".py").exists())]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_test_that_a_page_names_is_there(page: Path) -> None:
    named = TEST.findall(page.read_text("utf-8"))
    wanted = {path: (ROOT / path).read_text("utf-8") for path, _ in named}
    assert not [f"{path}::{name}" for path, name in named if f"def {name}(" not in wanted[path]]


def test_each_line_on_what_is_not_trusted_has_its_test() -> None:
    text = (ROOT / "docs/security.md").read_text("utf-8").partition("## What nothing guards")[0]
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    assert lines and not [line for line in lines if not TEST.search(line)]


def test_the_map_names_modules_that_are_there() -> None:
    """Also where it has spoken of their room already, and gives the name alone."""
    there = {path.name for room in ("runner", "models", "tui") for path in (ROOT / room).rglob("*.py")} | {
        "localrun.py"
    }
    named = set(re.findall(r"`(\w+\.py)`", (ROOT / "docs/architecture.md").read_text("utf-8")))
    assert named and named <= there


def test_the_map_has_every_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text("utf-8")
    rooms = [path.parent.relative_to(ROOT) for path in (ROOT / "runner").glob("*/__init__.py")]
    assert rooms
    assert not [str(room) for room in rooms if f"| `{room}/` |" not in text]


def test_each_field_of_a_plan_and_an_answer_is_explained() -> None:
    """Stubs have the fields of both (tests/end_to_end/test_python.py); what other commands say is made by MAKERS."""
    stubs = (ROOT / "localrun-stubs/__init__.pyi").read_text("utf-8").partition("# ---- a plan")[2]
    typed = ast.walk(ast.parse(stubs.partition("# ---- the module")[0]))
    fields = {ast.unparse(node.target) for node in typed if isinstance(node, ast.AnnAssign)}
    made = [node for name in MAKERS for node in ast.walk(ast.parse((ROOT / name).read_text("utf-8")))]
    keys = [key for node in made if isinstance(node, ast.Dict) for key in node.keys]
    fields |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    said = re.findall(r"`(?:[\w\[\]]+\.)*(\w+)(?:\[\])?`", (ROOT / "docs/json.md").read_text("utf-8"))
    assert fields and not sorted(fields - set(said))
