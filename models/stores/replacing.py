"""Writing a file so that nobody ever sees half of it. Edge: the disk."""

import os
import threading
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of what the file held, its folder included. OSError where the disk refuses."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
