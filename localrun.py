"""localrun: run a local language model well. The command's entry point and the Python interface.

    import localrun
    plan = localrun.plan("llama-3.3-70b", on="a100-sxm-80gb")
    with localrun.open("smollm2-135m") as llm:
        for chunk in llm.chat([{"role": "user", "content": "Hi"}]):
            print(chunk.text, end="")

As a library this is one module of its own: it starts a child process and speaks JSON with it, so that nothing of
ours meets the names of the caller, and no crash of the engine takes the caller along.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.errors import ExitCode
    from runner.options import Options


def main() -> None:
    """The command `localrun`."""
    from runner.cli import main as run

    sys.exit(run(sys.argv[1:], _open_screen))


def _open_screen(options: Options) -> ExitCode:
    from models.errors import ExitCode
    from runner.backend import Backend
    from tui.app import LocalrunApp

    backend = Backend()
    try:
        LocalrunApp(backend, options.model, options.wish, options.sampling, options.system, ask=not options.yes).run()
    finally:
        backend.close()
    return ExitCode.OK


if __name__ == "__main__":
    main()
