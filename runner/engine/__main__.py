"""`python -m runner.engine COMMANDS EVENTS`: serve a parent process over two inherited pipes, by their numbers.

Standard input is a third one, which carries nothing: when it closes, the parent is gone.
"""

import sys
from contextlib import suppress
from pathlib import Path

from runner.engine.lifeline import end_with_parent
from runner.engine.long_words import grow_stack

end_with_parent()
grow_stack()
with suppress(OSError):  # where memory runs out, Linux shall end this process and nobody's desktop
    Path("/proc/self/oom_score_adj").write_text("500")

from runner.engine.commands import Commands  # noqa: E402  (takes a while: the parent's end is heard meanwhile)

Commands(int(sys.argv[1]), int(sys.argv[2])).run()
