"""`python -m tests.support.hub --root DIR --port N`: the loopback Hub on its own."""

import argparse
import threading
from pathlib import Path

from tests.support.hub import Hub, parse_fault


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.hub", description="A Hub on the loopback.")
    parser.add_argument("--root", type=Path, required=True, help="folder with ORG/REPO/files…")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--cdn", action="store_true", help="serve large files by a redirect to another host")
    parser.add_argument("--fault", type=parse_fault, action="append", default=[], help="KIND key=value… (repeatable)")
    options = parser.parse_args()
    with Hub(options.root, port=options.port, cdn=options.cdn, faults=options.fault) as hub:
        print(f"HF_ENDPOINT={hub.endpoint}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(hub.requests)} requests, {hub.bytes_sent()} bytes")


if __name__ == "__main__":
    main()
