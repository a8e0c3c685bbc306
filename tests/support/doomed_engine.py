"""An engine process that dies as it is told: a program, started in the place of the real one.

    doomed_engine.py DEATHS COMMANDS EVENTS

DEATHS is a file with a line of JSON for each death to come; the first line is taken at each Load. Without any the load
works.
"""

import json
import os
import sys
from pathlib import Path

deaths = Path(sys.argv[1])
commands = os.fdopen(int(sys.argv[2]), "rb")
events = os.fdopen(int(sys.argv[3]), "wb", buffering=0)


def tell(event: dict[str, object]) -> None:
    events.write(json.dumps(event).encode() + b"\n")


for line in commands:
    command = json.loads(line)
    to_come = deaths.read_text().splitlines()
    deaths.write_text("\n".join(to_come[1:]))
    if to_come:
        death = json.loads(to_come[0])
        tell({"id": command["id"], "event": "step", "value": {"fraction": 0.5}})
        tell({"id": command["id"], "event": "abort", "value": death["words"]})
        os.kill(os.getpid(), death["signal"])
    loaded = {"ctx": command["placement"]["ctx"], "load_s": 0.1, "memory": [], "template": ""}
    tell({"id": command["id"], "event": "done", "value": loaded})
