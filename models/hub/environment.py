"""Variables that huggingface-hub reads as it is imported, and fails on with a traceback."""

import os

from models.errors import DownloadError

_SECONDS = ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT")


def check_environment() -> None:
    """DownloadError where one is no number; one that is empty is taken as not set. To be called before the import."""
    for name in _SECONDS:
        value = os.environ.get(name, "0")
        if not value.strip():
            del os.environ[name]
        elif not value.strip().isdecimal():
            raise DownloadError(f"{name} is {value!r}, and wanted in whole seconds.")
