"""Failures of listings and transfers -> one sentence with the next step. Edge: huggingface_hub's error classes."""

import errno
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from models.errors import DownloadError, LocalrunError, ModelNotFound
from models.visible import LONGEST, one_line

if TYPE_CHECKING:
    import httpx2

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


class CutShort(Exception):  # noqa: N818
    """A body ended early without a breach of HTTP; worth another try."""


def explain(error: BaseException, repo: str, endpoint: str | None = None) -> LocalrunError:
    """Any failure to do with `repo` as a LocalrunError; one that is already comes back as it is."""
    error = _root(error)
    if isinstance(error, LocalrunError):
        return error
    return _refusal(error, repo, endpoint) or _breakdown(error) or DownloadError(f"The Hub failed us: {said(error)}.")


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed in a moment."""
    import httpx2
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    error = _root(error)
    if isinstance(error, (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError)):
        return False  # whatever the status: a code of the Hub's own decides
    if isinstance(error, httpx2.TransportError):
        return not isinstance(error, httpx2.UnsupportedProtocol)
    return isinstance(error, CutShort) or _status(error) in _TRANSIENT


def wait_asked(error: BaseException) -> float | None:
    """Seconds the server wants us to wait: `Retry-After` (seconds or a date), or `ratelimit: …;t=SECONDS`."""
    response = getattr(_root(error), "response", None)
    if response is None:
        return None
    asked = response.headers.get("Retry-After", "").strip()
    if asked.isdecimal():
        return float(asked)
    if asked:
        try:
            return max(0.0, parsedate_to_datetime(asked).timestamp() - time.time())
        except ValueError:
            return None
    from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]

    limit = parse_ratelimit_headers(response.headers)
    return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else None


def said(error: BaseException) -> str:
    """The first line of an error's own text, made safe to print."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[0] if lines else type(error).__name__, LONGEST).rstrip(".")


def _refusal(error: BaseException, repo: str, endpoint: str | None) -> LocalrunError | None:
    """What the Hub answers with a status or a code, and what huggingface-hub refuses before asking."""
    from huggingface_hub import constants, errors

    problem: LocalrunError | None = None
    match error:
        case errors.GatedRepoError():
            place = f"{endpoint or constants.ENDPOINT}/{repo}"
            problem = DownloadError(f"{repo} is gated. Accept its licence at {place}, then run `hf auth login`.")
        case errors.RepositoryNotFoundError():
            hint = "Check the spelling; if it is private, run `hf auth login`."
            problem = ModelNotFound(f"There is no repository {repo} on the Hub. {hint}")
        case errors.DisabledRepoError():
            problem = DownloadError(f"The Hub has disabled {repo}. Choose another repository.")
        case errors.RevisionNotFoundError() | errors.EntryNotFoundError():
            problem = DownloadError(f"A file of {repo} is not there any more. Run the command again to list it anew.")
        case errors.HFValidationError():
            problem = ModelNotFound(
                f"'{one_line(repo, LONGEST)}' is not the name of a repository. Write it as ORG/REPO."
            )
        case errors.OfflineModeIsEnabled():
            problem = DownloadError(f"HF_HUB_OFFLINE is set, and {repo} is not all here. Unset it to download.")
        case errors.HfHubHTTPError():
            problem = DownloadError(_by_status(error, repo))
    return problem


def _by_status(error: "httpx2.HTTPError", repo: str) -> str:
    status = _status(error)
    match status:
        case 401:
            text = "The Hub does not accept the token (401). Run `hf auth login`, or unset HF_TOKEN."
        case 403:
            reason = one_line(getattr(error, "server_message", None) or "no reason given", LONGEST).rstrip(".")
            text = f"The Hub forbids access to {repo} (403: {reason}). Check what the token may read."
        case 404:
            text = f"The Hub does not find what was asked for in {repo} (404). Check the name and HF_ENDPOINT."
        case 429:
            wait = wait_asked(error)
            later = f"in {wait:.0f} s" if wait and wait < 3600 else "later"
            text = f"The Hub limits the rate of requests (429). Try again {later}; `hf auth login` raises the limit."
        case int() if status >= 500:
            text = f"The Hub has a fault of its own ({status}). Try again later; what was fetched is kept."
        case _:
            text = f"The Hub refused a request about {repo} ({status}). Check the name and HF_ENDPOINT."
    return text


def _breakdown(error: BaseException) -> DownloadError | None:
    """What fails below HTTP, or on this machine."""
    import httpx2
    from huggingface_hub import constants

    text = ""
    match error:
        case httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            text = "HF_ENDPOINT is not an address. It starts with https://."
        case UnicodeEncodeError():
            text = f"The request cannot be sent ({said(error)}). Check HF_TOKEN for odd characters."
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            text = f"No connection to {_host(error)} ({said(error)}). Check the network, a proxy, or HF_ENDPOINT."
        case httpx2.TimeoutException():
            text = f"{_host(error)} went silent. Run the command again; what was fetched is kept."
        case httpx2.RequestError() | CutShort():
            text = "The connection broke off. Run the command again; what was fetched is kept."
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            text = "The disk is full. Free some space and run the command again; what was fetched is kept."
        case OSError(filename=constants.HF_TOKEN_PATH):
            text = f"The token cannot be read: {said(error)}. Check HF_TOKEN_PATH, or set HF_TOKEN."
        case OSError():
            text = f"The model cache cannot be written: {said(error)}. Check HF_HOME and its permissions."
    return DownloadError(text) if text else None


def _root(error: BaseException) -> BaseException:
    """What huggingface-hub wrapped as "not in the cache either"."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else int(response.status_code)


def _host(error: "httpx2.RequestError") -> str:
    try:
        return str(error.request.url.host)
    except RuntimeError:  # raised before there was a request
        return "the Hub"
