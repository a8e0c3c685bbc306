"""Find the warm engine for a question, or start the server that keeps one."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import replace
from pathlib import Path

from models.errors import EngineError
from runner.client import runtime
from runner.client.attached import AttachedSession
from runner.client.socket import Connection, Gone, told
from runner.client.version import ROOT, environment
from runner.types.drafts import names_model
from runner.types.engine import LoadProgress
from runner.types.pipe import reply_behind
from runner.types.warm import Attach, Attached, Caller, End, Question
from runner.types.wish import Wish

_DECIDING = ("CUDA_", "GGML_", "HIP_", "HSA_", "ROCR_", "VK_", "HF_", "HUGGINGFACE_", "LLAMA_", "OLLAMA_", "XDG_")
_SECRET = "TOKEN"
_OTHERS = ("HOME", "LD_LIBRARY_PATH")
_PASSING = ("XDG_RUNTIME_DIR", "XDG_SESSION", "XDG_CURRENT", "XDG_SEAT", "XDG_VTNR")  # of a login, not of models
_START_S = 60.0
_TRIES = 3


class Unkept(EngineError):  # noqa: N818
    """A model cannot be kept warm; it can run all the same."""


def question_of(name: str, wish: Wish) -> Question:
    """The question behind what was typed, wherever it was; what was measured of this user's turns is no part of it."""
    draft = lasting(wish.draft) if wish.draft is not None and names_model(wish.draft) else wish.draft
    return Question(lasting(name), replace(wish, habits=(), draft=draft))


def lasting(name: str) -> str:
    """The name of a model as it is understood from every folder."""
    is_path = "/" in name or name.lower().endswith(".gguf")
    path = Path(name)
    return str(path.absolute()) if is_path and path.exists() else name


def settings(environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    """What of the environment decides about devices and where models lie."""
    return tuple(
        (name, value)
        for name, value in sorted(environ.items())
        if name in _OTHERS or (name.startswith(_DECIDING) and _SECRET not in name and not name.startswith(_PASSING))
    )


def find(question: Question, keep_s: float | None = None) -> AttachedSession | None:
    """The model, where it is warm for this very question; it costs next to nothing where nothing is warm.

    It stays for `keep_s` seconds after its last use; None: as long as was said before.
    """
    for path in runtime.sockets():
        try:
            session, attached = reply_behind(_steps(path, Attach(question, _caller(), keep_s)))
        except EngineError:  # gone, or it does not answer: it is as if there were none
            continue
        if session is not None:
            return session
        if attached.is_outdated:
            _retire(path)
    return None


def keep(question: Question, keep_s: float, log: Path) -> Generator[LoadProgress, None, AttachedSession]:
    """The model, loaded by the server that keeps it; that is started where there is none.

    Unkept with a sentence where nothing can be kept, and what a load raises.
    """
    folder = made()
    for _ in range(_TRIES):
        try:
            session, attached = yield from _steps(
                folder / runtime.KEEPER, Attach(question, _caller(), keep_s, may_load=True)
            )
        except Gone:
            _start(folder, log)
            continue
        if session is not None:
            return session
        if not attached.is_outdated:
            raise Unkept(attached.why)
        if not _retire(folder / runtime.KEEPER):
            raise Unkept(f"{attached.why} It is in use.")
    raise Unkept("The server of warm engines ends as soon as it starts.")


def made() -> Path:
    """The folder of the socket, made where it is missing. Unkept where there can be none."""
    try:
        return runtime.made()
    except EngineError as error:
        raise Unkept(str(error)) from None


def _steps(path: Path, asked: Attach) -> Generator[LoadProgress, None, tuple[AttachedSession | None, Attached]]:
    connection = Connection(path)
    try:
        attached = yield from connection.stream(asked)
        if attached.number is not None:
            return AttachedSession(path, connection, attached, asked.question), attached
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None, attached


def _retire(path: Path) -> bool:
    """End what another version keeps, unless somebody asks it; whether it ends."""
    try:
        return bool(told(path, End(is_idle=True)))
    except Gone:
        return True
    except (EngineError, ValueError, TypeError):  # another language
        return False


def _caller() -> Caller:
    return Caller(str(ROOT), settings())


def _start(folder: Path, log: Path) -> None:
    """Start the server and wait until it listens. EngineError with what it says where it does not."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "runner.api.keeper", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # closed as soon as it listens
            stderr=sink,
            start_new_session=True,  # it survives this terminal
            cwd="/",
            env=environment(),
        )
    assert server.stdout is not None
    with server.stdout as said:
        poll = select.poll()
        poll.register(said, select.POLLIN)
        if not poll.poll(_START_S * 1000):
            server.kill()
            raise Unkept(f"The server of warm engines did not start in {_START_S:.0f} s.")
        if words := said.read().decode("utf-8", "replace").strip():
            raise Unkept(words)
    server.returncode = 0  # it lives on, and nobody shall be warned of that
