"""What the Hub has: the files of a repository at one commit, and repositories found by words. Edge: huggingface_hub."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import DownloadError
from models.hub.environment import check_environment
from models.hub.http import Note, Patience, Persistence, session, within
from models.stores.cache import stays_inside
from models.stores.unchanged import modified_at
from models.visible import LONGEST, is_plain, one_line
from models.weights import SHA256, WeightFile

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

T = TypeVar("T")
_PATIENCE = Patience(tries=3, timeout=15.0)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit (`revision`, 40 hex digits): all its files, those in the cache with their path."""

    repo: str
    revision: str
    files: tuple[WeightFile, ...]
    licence: str | None = None
    is_gated: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A repository that a search gave; `downloads` as the Hub counts them, of the last month."""

    repo: str
    downloads: int


def list_repo(
    repo: str,
    *,
    endpoint: str | None = None,
    cache: Path | None = None,
    patience: Patience = _PATIENCE,
    note: Note | None = None,
) -> Listing:
    """The files of `repo` as main has them now, in one request.

    Raises ModelNotFound where there is no such repository, DownloadError for everything else.
    """
    check_environment()
    from huggingface_hub import HfApi

    def ask() -> "ModelInfo":
        return HfApi(endpoint=endpoint, library_name="localrun").model_info(
            repo, files_metadata=True, timeout=patience.timeout
        )

    info = _answer(ask, repo, endpoint, patience, note)
    if not _COMMIT.fullmatch(info.sha or ""):
        raise _not_the_hub(repo)
    revision = str(info.sha)
    files = (_file(sibling, repo, revision, cache) for sibling in info.siblings or ())
    return Listing(
        repo=repo,
        revision=revision,
        files=tuple(file for file in files if file is not None),
        licence=_licence(info),
        is_gated=bool(info.gated),
    )


def search(
    words: str,
    *,
    endpoint: str | None = None,
    patience: Patience = _PATIENCE,
    note: Note | None = None,
) -> tuple[Found, ...]:
    """The most downloaded GGUF repositories whose names hold `words`, in order. Raises DownloadError."""
    check_environment()
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    def ask() -> Any:
        response = session().get(
            f"{endpoint or constants.ENDPOINT}/api/models",
            params={"search": words, "filter": "gguf", "sort": "downloads", "limit": 10},
            headers=build_hf_headers(library_name="localrun"),
            timeout=patience.timeout,
        )
        hf_raise_for_status(response)
        return response.json()

    return _answer(lambda: _found(ask()), "the search", endpoint, patience, note)


def _answer(ask: Callable[[], T], repo: str, endpoint: str | None, patience: Patience, note: Note | None) -> T:
    """`ask()` with retries; an answer that is not the Hub's JSON (a login page, a proxy) is one sentence too."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    def careful() -> T:
        session()
        try:
            return within(patience.timeout, ask)
        except (HFValidationError, HfHubHTTPError, UnicodeEncodeError):
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _not_the_hub(repo) from error

    return Persistence(patience, note).run(careful, repo, endpoint)


def _not_the_hub(repo: str) -> DownloadError:
    about = one_line(repo, LONGEST)
    return DownloadError(
        f"What answered about {about} is not a Hub. Check HF_ENDPOINT, a proxy, or a network's login page."
    )


def _found(entries: Any) -> tuple[Found, ...]:
    if not isinstance(entries, list):
        raise TypeError("a search gives a list")
    return tuple(Found(entry["id"], int(entry.get("downloads", 0))) for entry in entries if is_plain(entry["id"]))


def _file(sibling: "RepoSibling", repo: str, revision: str, cache: Path | None) -> WeightFile | None:
    """None for what cannot be a file of ours: no size, or a name that leads out of its folder."""
    from huggingface_hub import try_to_load_from_cache

    name, lfs = sibling.rfilename, sibling.lfs
    size = lfs.size if lfs else sibling.size
    if not isinstance(size, int) or size < 0 or not stays_inside(name):
        return None
    sha256 = lfs.sha256 if lfs and SHA256.fullmatch(lfs.sha256) else None
    here = try_to_load_from_cache(repo, name, cache_dir=cache, revision=revision)
    path = Path(here) if isinstance(here, str) else None
    modified = modified_at(path) if path else None
    return WeightFile(name, size, path, repo, revision, sha256, modified=modified)


def _licence(info: "ModelInfo") -> str | None:
    """The card's licence, or that of the tag `license:…`."""
    licence = getattr(info.card_data, "license", None)
    tagged = next((tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")), None)
    name = licence if isinstance(licence, str) else tagged
    return one_line(name, LONGEST) if name else None
