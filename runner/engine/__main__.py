"""`python -m runner.engine COMMANDS EVENTS`: serve a parent process over two inherited pipes, by their numbers."""

import sys
from contextlib import suppress
from pathlib import Path

from runner.engine.commands import Commands

with suppress(OSError):  # where memory runs out, Linux shall end this process and nobody's desktop
    Path("/proc/self/oom_score_adj").write_text("500")
Commands(int(sys.argv[1]), int(sys.argv[2])).run()
