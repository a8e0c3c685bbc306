"""The command line over a scripted service, and streams that say they are a terminal."""

import io

from runner.types.machine import Machine
from runner.types.plan import Plan
from runner.types.wish import Wish
from scripts.draw.scripted import ScriptedService


class CommandLineService(ScriptedService):
    """What the command line asks for besides."""

    def plan(self, name: str, wish: Wish, on: str | Machine | None = None, *, wide: bool = False) -> Plan:
        """The same plan, wherever it is asked from."""
        return super().plan(name, wish)

    def chosen(self, plan: Plan) -> int:
        """The one to take."""
        assert plan.chosen is not None
        return plan.chosen


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True
