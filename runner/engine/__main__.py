"""`python -m runner.engine COMMANDS EVENTS`: serve a parent process over two inherited pipes, by their numbers."""

import sys

from runner.engine.commands import Commands

Commands(int(sys.argv[1]), int(sys.argv[2])).run()
