"""Which llama.cpp build serves this machine, and the exact commands that install it. Pure: facts in, decision out."""

from collections.abc import Iterator
from dataclasses import dataclass

from runner.build.facts import Backend, Facts, Method
from runner.build.routes import Lack, Route, listed, routes, silent_devices

WHEEL_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/"


@dataclass(frozen=True, slots=True)
class Decision:
    """The route taken and how to take it.

    `commands` are argument lists, run in order (in a checkout: from its root); none if the installed llama.cpp has
    that backend already. `why` and `traps` are plain sentences. `lacks` is what stands in the way of a better route,
    of this one, or of devices that should answer and do not.
    """

    backend: Backend
    method: Method
    title: str
    commands: tuple[tuple[str, ...], ...]
    why: tuple[str, ...]
    traps: tuple[str, ...]
    lacks: tuple[Lack, ...]


def decide(facts: Facts, backend: Backend | None = None, method: Method | None = None) -> Decision:
    """The fastest route that is installed already or lacks nothing; `backend` and `method` narrow the choice.

    If every route lacks something, it is the one that lacks least.
    """
    possible = [route for route in routes(facts, backend) if method in (None, route.method)]
    taken = next((r for r in possible if _works(facts, r.backend) or not r.lacks), None)
    taken = taken or min(possible, key=lambda route: len(route.lacks))
    better = possible[: possible.index(taken)]
    stays = _works(facts, taken.backend)
    lacks = [lack for route in (better if stays else [*better, taken]) for lack in route.lacks]
    passed_over = (f"Not {r.title}: {listed(lack.what for lack in r.lacks)}." for r in better)
    return Decision(
        backend=taken.backend,
        method=taken.method,
        title=f"{taken.backend.label}, installed" if stays else taken.title,
        commands=() if stays else _commands(facts, taken),
        why=(taken.why, *passed_over),
        traps=() if stays else tuple(_traps(taken)),
        lacks=tuple(dict.fromkeys([*lacks, *silent_devices(facts)])),
    )


def _works(facts: Facts, backend: Backend) -> bool:
    """Whether the installed llama.cpp has this backend, and found a device for it."""
    if backend not in (facts.compiled or ()):
        return False
    return backend is Backend.CPU or facts.usable is None or backend in facts.usable


def _commands(facts: Facts, route: Route) -> tuple[tuple[str, ...], ...]:
    """The commands of a route.

    In a working copy they may be run again at no cost: `uv sync` rebuilds when the settings of the build that is there
    differ, but takes any wheel for good. Elsewhere --reinstall-package is needed, or uv keeps the build that is there;
    it also looks at the package index afresh, which may compile again what is in the cache.
    """
    sync = (facts.uv, "sync", "--locked", "--extra", "demo")
    pip = (facts.uv, "pip", "install", "--python", facts.python, "--reinstall-package", "llama-cpp-python")
    if route.method is Method.WHEEL:
        source = ("--only-binary", "llama-cpp-python", "--index", WHEEL_INDEX + route.index)
        wheel = (*pip, *source, facts.requirement)
        return (*(() if facts.prebuilt is route.backend else (wheel,)), sync) if facts.checkout else (wheel,)
    # The checkout's pyproject.toml sets RPC already; set twice, it would become a list.
    options = route.settings if facts.checkout else ("GGML_RPC=ON", *route.settings)
    settings = [
        word for option in options for word in ("--config-settings-package", f"llama-cpp-python:cmake.define.{option}")
    ]
    if not facts.checkout:
        return ((*pip, *settings, facts.requirement),)
    remove = (facts.uv, "pip", "uninstall", "--python", facts.python, "llama-cpp-python")
    return (*((remove,) if facts.prebuilt else ()), (*sync, *settings))


def _traps(route: Route) -> Iterator[str]:
    """What the commands steer clear of, and what the user still has to know."""
    if route.method is Method.SOURCE:
        yield "An exported CMAKE_ARGS would not do: it is no part of uv's cache key, and may bring an old build back."
        if route.settings:
            yield "Any `uv sync` or `uv run` without them puts the CPU build back."
        return
    yield "Only wheels are taken: an index that lacks this release fails, instead of leading to a CPU build."
    yield "Prebuilt wheels have no RPC: `localrun worker` and `--rpc` need a build compiled here."
    if route.backend in (Backend.CUDA, Backend.ROCM):
        yield "The CPU code of this wheel has no AVX2: layers that do not fit on the GPU run slowly."
