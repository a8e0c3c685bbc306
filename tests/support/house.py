"""Our source as a graph, read with `ast`: modules, what each imports, circles, and what its functions look like."""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ("localrun", "models", "runner", "tui")
OURS = (*SHIPPED, "scripts", "tests")
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_TRUTHS = ("all", "any", "bool", "callable", "hasattr", "isinstance", "issubclass")


@dataclass(frozen=True, slots=True)
class Module:
    """One file. `charter` is the first paragraph of its docstring, `nodes` are all of its tree.

    `imports` are dotted names, those of ours down to the module.
    """

    name: str
    path: Path
    charter: str
    nodes: tuple[ast.AST, ...]
    imports: frozenset[str]

    @property
    def room(self) -> str:
        """The room that it belongs to."""
        return room(self.name)

    @property
    def is_package(self) -> bool:
        """Whether this is the file of a folder."""
        return self.path.name == "__init__.py"

    def is_in(self, places: Iterable[str]) -> bool:
        """Whether it is one of these modules, or in one of these rooms."""
        return any(f"{self.name}.".startswith(f"{place}.") for place in places)

    @property
    def own_imports(self) -> list[str]:
        """The modules of ours that it imports."""
        return sorted(name for name in self.imports if top(name) in OURS)


@cache
def modules() -> Mapping[str, Module]:
    """Every module of ours by its dotted name."""
    paths = sorted(chain(ROOT.glob("localrun.py"), *((ROOT / folder).rglob("*.py") for folder in OURS)))
    names = {_dotted(path): path for path in paths}
    return {name: _module(name, path, names) for name, path in names.items()}


def _module(name: str, path: Path, ours: Mapping[str, Path]) -> Module:
    tree = ast.parse(path.read_text())
    nodes = tuple(ast.walk(tree))
    charter = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    return Module(name, path, charter, nodes, frozenset(_imports(nodes, ours)))


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(nodes: Iterable[ast.AST], ours: Mapping[str, Path]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            yield from (whole if (whole := f"{source}.{alias.name}") in ours else source for alias in node.names)


def room(name: str) -> str:
    """The room of a module: the first two parts of its name."""
    return ".".join(name.split(".")[:2])


def top(name: str) -> str:
    """What a name begins with."""
    return name.partition(".")[0]


def is_foreign(name: str) -> bool:
    """Whether somebody else wrote it: neither Python's nor ours."""
    return top(name) not in sys.stdlib_module_names and top(name) not in OURS


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node."""
    reach = {node: _reachable(node, graph) for node in graph}
    found = {frozenset({node} | {other for other in seen if node in reach[other]}) for node, seen in reach.items()}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def _reachable(node: str, graph: Mapping[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    left = [node]
    while left:
        fresh = graph.get(left.pop(), set()) - seen
        seen |= fresh
        left += fresh
    return seen


def called(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The last names of everything that is called."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name


def functions(nodes: Iterable[ast.AST]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method."""
    yield from (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """The names of its parameters, the object itself aside."""
    arguments = function.args
    named = [one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in named if name not in ("self", "cls")]


def loop_depth(node: ast.AST) -> int:
    """How many loops lie within each other; each `for` of a comprehension is one, and its source counts as inside."""
    generators = getattr(node, "generators", [])
    children = [part for child in ast.iter_child_nodes(node) for part in _parts(child)]
    own = 1 if isinstance(node, ast.For | ast.AsyncFor | ast.While) else len(generators)
    return own + max(map(loop_depth, children), default=0)


def _parts(node: ast.AST) -> Iterable[ast.AST]:
    return ast.iter_child_nodes(node) if isinstance(node, ast.comprehension) else (node,)


def sums_of_truths(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """The lines that compute with what is true or false."""
    for node in nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, _ARITHMETIC):
            operands: tuple[ast.expr, ...] = (node.left, node.right)
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, _ARITHMETIC):
            operands = (node.value,)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            operands = (node.operand,)
        else:
            continue
        if any(map(_is_truth, operands)):
            yield node.lineno


def _is_truth(node: ast.expr) -> bool:
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()) | ast.Constant(value=bool()):
            return True
        case ast.BoolOp(values=values):
            return all(map(_is_truth, values))
        case ast.Call(func=ast.Name(id=name)):
            return name in _TRUTHS
        case _:
            return False


def private_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Private names of other modules and objects that are imported, read or patched."""
    for node in nodes:
        match node:
            case ast.ImportFrom(module=module, names=names):
                yield from (one.name for one in names if _is_private(f"{module}.{one.name}"))
            case ast.Attribute(value=value, attr=attr) if _is_private(attr) and not _is_self(value):
                yield attr
            case ast.Call(func=ast.Attribute(attr="setattr" | "delattr"), args=[*arguments]):
                words = [one.value for one in arguments if isinstance(one, ast.Constant)]
                yield from (word for word in words[:2] if isinstance(word, str) and _is_private(word))


def _is_private(path: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in path.split("."))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def endless_waits(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """Lines that wait for another process or thread with no bound, or ask without pause and without end."""
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr="run" | "communicate") as asked, keywords=keywords):
                is_run = ast.unparse(asked) == "subprocess.run" or asked.attr == "communicate"
                if is_run and not {"timeout", None} & {one.arg for one in keywords}:
                    yield node.lineno
            case ast.Call(func=ast.Attribute(attr="join" | "wait" | "readline" | "get"), args=[], keywords=[]):
                yield node.lineno
            case ast.While(body=[ast.Pass()]):
                yield node.lineno
