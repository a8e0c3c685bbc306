"""How many lines of code the packages have, or had at some commits: without comments, docstrings, imports and blanks.

python -m scripts.checks.code_lines              # the working tree
python -m scripts.checks.code_lines v0.1 main    # these commits
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("runner", "models", "tui", "localrun.py")


def lines_of(source: str) -> int:
    """Lines that are neither blank nor a comment, an import or a docstring."""
    asides = {line for node in ast.walk(ast.parse(source)) if _is_aside(node) for line in _span(node)}
    text = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for at, line in text if at not in asides)


def _is_aside(node: ast.AST) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    return is_text or isinstance(node, ast.Import | ast.ImportFrom)


def _span(node: ast.AST) -> range:
    return range(getattr(node, "lineno", 0), (getattr(node, "end_lineno", None) or 0) + 1)


def sources(commit: str | None) -> Iterator[str]:
    """Of every module in the packages."""
    if commit is None:
        for path in map(Path, PACKAGES):
            for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
                yield file.read_text(encoding="utf-8")
        return
    for name in _git("ls-tree", "-r", "--name-only", commit, "--", *PACKAGES).splitlines():
        if name.endswith(".py"):
            yield _git("show", f"{commit}:{name}")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout


def main() -> int:
    """One line a commit."""
    commits: list[str | None] = [*sys.argv[1:]]
    for commit in commits or [None]:
        print(f"{sum(map(lines_of, sources(commit))):6} {commit or 'working tree'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
