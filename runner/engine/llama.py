"""llama.cpp's C API: its functions, its log, its last words, and what its Python package adds.

The only module that imports llama_cpp; it lives in the engine process, where C code may write to stderr and abort.
Every ggml function is taken from libllama's own handle: opening libggml by name would load a second copy with its own
device registry.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ctypes import CFUNCTYPE, c_char_p, c_void_p
from typing import Any

from llama_cpp import llama_cpp
from llama_cpp.llama_grammar import PRIMITIVE_RULES, RESERVED_NAMES, SchemaConverter

from models.errors import EngineError, LocalrunError, UsageError
from runner.chat.tools.schema import References
from runner.engine.bounds import bounded_memory, bounded_work
from runner.types.failures import diagnose, is_not_pinned
from runner.types.grammar import checked, without_tokens
from runner.types.integer_grammar import bounded_integers
from runner.types.machine import Numa
from runner.types.schema_keywords import names_kind

C = llama_cpp  # every function of llama.h, with its types

Log = Callable[[int, str], None]
INFO, ERROR, CONTINUED = 2, 4, 5  # of ggml_log_level
_ABORT = CFUNCTYPE(None, c_char_p)

_complaints: deque[str] = deque(maxlen=8)  # llama.cpp's last ones, to explain what fails
_not_pinned: deque[str] = deque(maxlen=1)
_kept: list[object] = []  # callbacks that C holds for as long as the process lives


def ggml(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """A function that llama_cpp does not declare, with its types; AttributeError where this build lacks it."""
    function = C._lib[name]
    function.restype, function.argtypes = result, list(arguments)
    return function  # type: ignore[no-any-return]


def start(log: Log, on_abort: Callable[[str], None]) -> None:
    """Start the backends; `log` gets (level, line) from llama.cpp, `on_abort` its last words before SIGABRT."""
    buffer = bytearray()
    last = [INFO]
    _complaints.clear()

    def receive(level: int, text: bytes, _data: object) -> None:
        last[0] = last[0] if level == CONTINUED else level
        if last[0] < INFO:
            hear_aside(text.decode("utf-8", "replace"))
            return
        buffer.extend(text)
        while (end := buffer.find(b"\n")) >= 0:
            line = buffer[:end].decode("utf-8", "replace")
            del buffer[: end + 1]
            hear_aside(line)
            if last[0] == ERROR:
                _complaints.append(line.strip())
            log(last[0], line)

    _kept.extend((C.llama_log_callback(receive), _ABORT(lambda text: on_abort(text.decode("utf-8", "replace")))))
    C.llama_log_set(_kept[0], None)
    ggml("ggml_set_abort_callback", c_void_p, _ABORT)(_kept[1])
    C.llama_backend_init()


def spread(strategy: Numa) -> None:
    """Place threads over nodes of memory; the first time in a process counts, before it loads a model."""
    C.llama_numa_init(C.GGML_NUMA_STRATEGY_DISTRIBUTE if strategy is Numa.DISTRIBUTE else C.GGML_NUMA_STRATEGY_NUMACTL)


def hear_aside(line: str) -> None:
    """Keep what llama.cpp says by the way (CUDA on the debug level) and goes on without."""
    if is_not_pinned(line):
        _not_pinned.append(line)


def has_pinned() -> bool:
    """Whether all host memory that was to be pinned since `forget_complaints` is."""
    return not _not_pinned


def version() -> str:
    """llama.cpp's build, as it names itself."""
    with suppress(AttributeError, ValueError):
        return str(C.llama_version().decode())
    return "unknown"


def system_info() -> str:
    """CPU features that llama.cpp was compiled for and found."""
    return str(C.llama_print_system_info().decode().strip())


def complaints() -> tuple[str, ...]:
    """The last lines that llama.cpp logged as errors, the oldest first."""
    return tuple(_complaints)


def forget_complaints() -> None:
    """Before a call that may fail."""
    _complaints.clear()
    _not_pinned.clear()


def failure(what: str, otherwise: type[LocalrunError]) -> LocalrunError:
    """The error for a NULL from llama.cpp: what its complaints say, `otherwise` where they speak of neither."""
    found = diagnose(_complaints)
    kind = otherwise if found.kind is EngineError else found.kind
    return kind(f"{what}: {found.reason}." if found.reason else f"{what}.")


_Untyped: Any = SchemaConverter


class _Converter(_Untyped):  # type: ignore[misc]
    """That of llama-cpp-python, with bounds for integers, and any value where a schema says of no kind of value."""

    def __init__(self) -> None:
        super().__init__(prop_order={}, allow_fetch=False, dotall=False, raw_pattern=False)

    def visit(self, schema: Any, name: str) -> Any:
        """The name of a rule for a schema, which is added."""
        if (digits := bounded_integers(schema)) is not None:
            return self._add_rule(f"{name}-" if name in RESERVED_NAMES else name or "root", f"({digits}) space")
        if not names_kind(schema):
            return self._add_primitive("value" if name else "root", PRIMITIVE_RULES["value"])
        return super().visit(schema, name)


class SchemaRules:
    """Rules of one grammar for several JSON schemas, as llama-cpp-python's converter makes them."""

    def __init__(self) -> None:
        self._converter = _Converter()
        self._references = References()

    def rule(self, schema: Mapping[str, Any], root: Mapping[str, Any], name: str) -> str:
        """A rule that admits the JSON that fits; `root` has what it refers to. UsageError where that cannot be."""
        with _of_schema(len(str(root))):
            part = self._references.renamed(schema, root)
            self._converter.resolve_refs({**self._references.targets, "": part}, "")
            return str(self._converter.visit(part, re.sub("[^A-Za-z0-9]", "-", name)))

    def text(self) -> str:
        """All rules made so far."""
        return str(self._converter.format_grammar())


@contextmanager
def _of_schema(letters: int) -> Iterator[None]:
    """Bounds, and what becomes of the errors of a schema that is somebody else's."""
    try:
        with bounded_work(), bounded_memory(letters):
            yield
    except UsageError:
        raise
    except MemoryError:
        raise UsageError("The JSON schema makes a grammar without an end.") from None
    except Exception as error:
        raise UsageError(f"The JSON schema cannot be turned into a grammar: {error}") from error


def grammar_of_schema(schema: str) -> str:
    """GBNF that admits exactly the JSON that fits `schema` (JSON text)."""
    with _of_schema(len(schema)):
        converter = _Converter()
        converter.visit(converter.resolve_refs(json.loads(schema), "stdin"), "")
        return understood(checked(str(converter.format_grammar())))


def understood(gbnf: str) -> str:
    """The same, if it is a grammar; without a vocabulary, so that one that names tokens is none."""
    C.llama_sampler_free(grammar_sampler(gbnf, None))
    return gbnf


def grammar_sampler(gbnf: str, vocabulary: Any) -> Any:
    """What holds a model to a grammar. UsageError where llama.cpp does not understand it."""
    with bounded_work():
        sampler = C.llama_sampler_init_grammar(vocabulary, gbnf.encode(), b"root")
    if not sampler and vocabulary and without_tokens(gbnf) != gbnf:
        understood(without_tokens(gbnf))
        raise UsageError("The grammar names a token that is none, or not one alone, in this model's vocabulary.")
    if not sampler:
        raise UsageError("llama.cpp does not understand the grammar; it must be GBNF with a rule named root.")
    return sampler
