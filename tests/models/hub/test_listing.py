"""Listings, searches and refusals, asked of a Hub on the loopback."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.errors import DownloadError, ExitCode, LocalrunError, ModelNotFound
from models.hub.explain import CutShort, wait_asked
from models.hub.http import Patience, Persistence, Stopped
from models.hub.listing import Found, list_repo, search
from models.hub.ranges import Ranges
from models.weights import WeightFile
from tests.support.homes import NOWHERE
from tests.support.hub import GRANTED_TOKEN, Fault, Hub, loopback_client, parse_fault
from tests.support.hub.socks import socks_proxy
from tests.support.waiting import COMMAND_S

QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.05, timeout=2.0)


@pytest.fixture(autouse=True)
def client(tmp_path: Path) -> Iterator[None]:
    with loopback_client(tmp_path / "home"):
        yield


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    root = tmp_path / "root"
    add(root, "org/small-GGUF", {"small-Q4_K_M.gguf": b"abc", "README.md": b"hi"}, downloads=5, license="mit")
    add(root, "org/large-GGUF", {"large-Q8_0/large-Q8_0-00001-of-00001.gguf": b"12345"}, downloads=50)
    add(root, "org/small", {"model.safetensors": b"x"}, downloads=500, tags=[])
    add(root, "org/locked-GGUF", {"locked-Q4_0.gguf": b"secret"}, gated="manual")
    with Hub(root) as hub:
        yield hub


def add(root: Path, repo: str, files: dict[str, bytes], **settings: object) -> None:
    for name, content in files.items():
        path = root / repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / repo / ".hub.json").write_text(json.dumps(settings))


def test_a_listing_is_one_request_with_sizes_digests_and_licence(hub: Hub) -> None:
    listing = list_repo("org/small-GGUF", endpoint=hub.endpoint)
    files = {file.name: file for file in listing.files}
    weights = files["small-Q4_K_M.gguf"]
    assert (weights.bytes, weights.repo, weights.revision) == (3, "org/small-GGUF", listing.revision)
    assert weights.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert weights.path is None
    assert files["README.md"].sha256 is None
    assert listing.licence == "mit"
    assert not listing.is_gated
    assert len(hub.seen("/api/models/*")) == 1


def test_a_file_in_the_cache_has_its_path(hub: Hub, tmp_path: Path) -> None:
    from huggingface_hub import hf_hub_download

    here = hf_hub_download("org/small-GGUF", "small-Q4_K_M.gguf", cache_dir=tmp_path / "cache", endpoint=hub.endpoint)
    listing = list_repo("org/small-GGUF", endpoint=hub.endpoint, cache=tmp_path / "cache")
    paths = {file.name: file.path for file in listing.files}
    assert paths == {"small-Q4_K_M.gguf": Path(here), "README.md": None}


def test_a_gated_repository_can_be_listed(hub: Hub) -> None:
    assert list_repo("org/locked-GGUF", endpoint=hub.endpoint).is_gated


@pytest.mark.parametrize("token", ["", GRANTED_TOKEN])
def test_an_unknown_repository_is_not_found_with_and_without_a_token(
    hub: Hub, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ModelNotFound, match="no repository org/nothing") as caught:
        list_repo("org/nothing", endpoint=hub.endpoint)
    assert caught.value.exit_code == ExitCode.MODEL


@pytest.mark.parametrize("name", ["a/b/c", "", "--", "org/re po", "org/\x1b[31m"])
def test_what_cannot_be_a_repository_is_refused_without_a_request(hub: Hub, name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        list_repo(name, endpoint=hub.endpoint)
    assert str(caught.value).isprintable()
    assert not hub.requests


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("status", status=401, times=None), "hf auth login"),
        (Fault("status", status=403, times=None, message="no\x1b[31mway"), r"forbids .* \(403: no␛\[31mway\)"),
        (Fault("status", status=404, times=None), r"\(404\)"),
        (Fault("status", status=429, times=None, headers={"Retry-After": "30"}), "Try again in 30 s"),
        (Fault("status", status=429, times=None), "Try again later"),
        (Fault("status", status=500, times=None), r"\(500\).*later"),
        (Fault("status", status=503, times=None), r"\(503\)"),
        (Fault("status", status=418, times=None), r"\(418\)"),
        (Fault("status", times=None, headers={"X-Error-Code": "GatedRepo"}), "Accept its licence at http://127"),
        (Fault("status", times=None, headers={"X-Error-Code": "RevisionNotFound"}), "not there any more"),
    ],
)
def test_every_refusal_is_one_printable_sentence(hub: Hub, fault: Fault, sentence: str) -> None:
    hub.order(fault)
    with pytest.raises(DownloadError, match=sentence) as caught:
        list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK)
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == ExitCode.DOWNLOAD


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_fault_is_waited_out_and_said(hub: Hub, status: int) -> None:
    hub.order(Fault("status", status=status, times=2, headers={"Retry-After": "7200"}))
    notes: list[str] = []
    assert list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK, note=notes.append).files
    assert len(notes) == 2
    assert all(f"({status})" in note and "trying again in 0 s" in note for note in notes)


def test_no_more_tries_than_patience_allows(hub: Hub) -> None:
    hub.order(Fault("status", status=500, times=None))
    with pytest.raises(DownloadError):
        list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK)
    assert len(hub.requests) == QUICK.tries


def test_a_stop_ends_a_wait(hub: Hub) -> None:
    stop = threading.Event()
    stop.set()
    patience = Patience(first_wait=3600, longest_wait=3600)

    def fail() -> None:
        raise CutShort

    with pytest.raises(Stopped):
        Persistence(patience, stop=stop).run(fail, "org/repo")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, 12.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=9;t=55'}, None),
        ({}, None),
    ],
)
def test_the_wait_a_server_asks_for(hub: Hub, headers: dict[str, str], seconds: float | None) -> None:
    from huggingface_hub import HfApi

    hub.order(Fault("status", status=429, headers=headers))
    with pytest.raises(Exception, match="429") as caught:
        HfApi(endpoint=hub.endpoint).model_info("org/small-GGUF")
    assert wait_asked(caught.value) == seconds


def test_nobody_answers(tmp_path: Path) -> None:
    with Hub(tmp_path) as hub:
        endpoint = hub.endpoint
    with pytest.raises(DownloadError, match=r"No connection to 127\.0\.0\.1"):
        list_repo("org/repo", endpoint=endpoint, patience=QUICK)


@pytest.mark.parametrize("endpoint", ["nonsense", "ftp://127.0.0.1", "http://[", "http://"])
def test_an_endpoint_that_is_no_address(endpoint: str) -> None:
    with pytest.raises(DownloadError, match="HF_ENDPOINT"):
        list_repo("org/repo", endpoint=endpoint, patience=QUICK)


def test_a_token_that_cannot_be_sent(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_\N{SNOWMAN}")
    with pytest.raises(DownloadError, match="Check HF_TOKEN") as caught:
        list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK)
    assert "hf_" not in str(caught.value)
    assert not hub.requests


def test_offline_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE is set"):
        list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK)
    assert not hub.requests


def test_a_search_gives_gguf_repositories_by_downloads(hub: Hub) -> None:
    found = search("org", endpoint=hub.endpoint)
    assert found == (Found("org/large-GGUF", 50), Found("org/small-GGUF", 5), Found("org/locked-GGUF", 0))
    assert search("small", endpoint=hub.endpoint) == (Found("org/small-GGUF", 5),)
    assert search("nothing at all", endpoint=hub.endpoint) == ()


def test_a_search_survives_a_fault_and_says_when_it_cannot(hub: Hub) -> None:
    hub.order(Fault("status", status=502, times=1))
    assert search("small", endpoint=hub.endpoint, patience=QUICK)
    hub.order(Fault("status", status=502, times=None))
    with pytest.raises(DownloadError, match="502"):
        search("small", endpoint=hub.endpoint, patience=QUICK)


class Page(BaseHTTPRequestHandler):
    """A server that is not a Hub: one answer to everything."""

    content = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def page() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "content",
    [
        b"<html>Sign in to the hotel's network</html>",
        b"",
        b"[]",
        b"{}",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b'{"id": "org/repo", "sha": "main", "siblings": []}',
        b'{"id": "org/repo", "sha": null, "siblings": []}',
        b'{"id": "org/repo", "sha": "' + b"a" * 40 + b'", "siblings": [{}]}',
        b'{"id": "org/repo", "sha": "' + b"a" * 40 + b'", "siblings": 5}',
        b'[{"id": 5, "downloads": "many"}]',
    ],
)
def test_an_answer_that_is_not_the_hubs(page: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Page, "content", content)
    with pytest.raises(LocalrunError, match="not a Hub"):
        list_repo("org/repo", endpoint=page, patience=QUICK)
    if content != b"[]":  # which is what a search that finds nothing gives
        with pytest.raises(LocalrunError, match="not a Hub"):
            search("words", endpoint=page, patience=QUICK)


def test_odd_files_of_a_listing_are_left_out(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = ["../up.gguf", "/etc/passwd", "a/../../b.gguf", "tab\t.gguf", "\x1b]0;t\x07.gguf", "", "c\\d.gguf", "."]
    siblings: list[dict[str, object]] = [{"rfilename": name, "size": 1} for name in odd]
    siblings += [{"rfilename": "none.gguf"}, {"rfilename": "less.gguf", "size": -1}]
    siblings.append({"rfilename": "ok.gguf", "size": 1, "lfs": {"size": 7, "sha256": "../../x", "pointerSize": 1}})
    content = {"id": "org/repo", "sha": "a" * 40, "siblings": siblings, "tags": ["license:a\x1bb"]}
    monkeypatch.setattr(Page, "content", json.dumps(content).encode())
    listing = list_repo("org/repo", endpoint=page)
    assert [(file.name, file.bytes, file.sha256) for file in listing.files] == [("ok.gguf", 7, None)]
    assert listing.licence == "a␛b"


def test_the_hub_counts_what_it_sends(hub: Hub) -> None:
    from huggingface_hub import get_session

    url = f"{hub.endpoint}/org/large-GGUF/resolve/main/large-Q8_0/large-Q8_0-00001-of-00001.gguf"
    assert get_session().get(url, headers={"Range": "bytes=1-2"}).content == b"23"
    assert get_session().get(url, headers={"Range": "bytes=-2"}).content == b"45"
    assert get_session().get(url, headers={"Range": "bytes=5-"}).status_code == 416
    assert hub.bytes_sent("*.gguf") == 4
    assert [request.status for request in hub.seen("*.gguf", "GET")] == [206, 206, 416]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset", Fault("reset")),
        ("cut path=*.gguf after=10 times=all", Fault("cut", path="*.gguf", after=10, times=None)),
        (
            "status status=429 headers=Retry-After:2",
            Fault("status", status=429, headers={"Retry-After": "2"}),
        ),
        ("slow rate=1e6 method=GET", Fault("slow", rate=1e6, method="GET")),
    ],
)
def test_faults_are_ordered_in_words(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize("text", ["", "burn", "cut where=here", "cut after=soon"])
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a fault|invalid literal|not enough values"):
        parse_fault(text)


# ---- what the environment says, and servers that are none


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HTTPS_PROXY", "foo://x", "A proxy cannot be used: Unknown scheme for proxy URL"),
        ("ALL_PROXY", "socks4://x", "A proxy cannot be used: Unknown scheme for proxy URL"),
        ("HTTPS_PROXY", "http://x:port", "A proxy cannot be used: Invalid port: 'port'"),
        ("SSL_CERT_FILE", "/nonexistent", r"The certificates cannot be read \(.*No such file"),
        ("SSL_CERT_FILE", "/etc/hosts", r"The certificates cannot be read \(.*no certificate"),
    ],
)
def test_what_keeps_the_client_from_being_made_is_told_by_its_cause(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    from huggingface_hub import close_session

    close_session()
    monkeypatch.setenv(name, value)
    with pytest.raises(DownloadError, match=sentence):
        list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK)
    assert not hub.requests


@pytest.mark.parametrize("name", ["HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"])
@pytest.mark.parametrize(("value", "said"), [("soon", "is 'soon', and wanted in whole seconds"), ("", "No connection")])
def test_what_keeps_the_client_from_being_imported_is_told_by_its_cause(name: str, value: str, said: str) -> None:
    """In a process of its own, which has not imported it yet."""
    script = f"from models.hub.listing import list_repo\nlist_repo('org/small-GGUF', endpoint={NOWHERE!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HF_HUB_OFFLINE": "0", name: value}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("models.errors.DownloadError: ") and said in last


def test_a_token_that_cannot_be_read_is_told_by_its_file(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path))
    with pytest.raises(DownloadError, match=r"The token cannot be read: .*Is a directory"):
        list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK)


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"])
def test_a_hub_that_drips_is_given_up(begin: bytes) -> None:
    def drip(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=drop_by_drop, args=(connection,), daemon=True).start()

    def drop_by_drop(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(begin)
            while not done.wait(0.05):
                connection.sendall(b"H")

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        patience = Patience(tries=2, first_wait=0.01, timeout=0.2)
        with pytest.raises(DownloadError, match="went silent"):
            list_repo("org/small-GGUF", endpoint=endpoint, patience=patience)
        with pytest.raises(DownloadError, match="went silent"):
            Ranges(endpoint, patience).read(WeightFile("a.gguf", 900, None, "org/small-GGUF", "a" * 40), 0, 900)
        done.set()


def test_a_socks_proxy_is_gone_through(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import close_session

    with socks_proxy() as (port, asked):
        close_session()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{port}")
        assert list_repo("org/small-GGUF", endpoint=hub.endpoint, patience=QUICK).files
        close_session()
    assert asked == [hub.endpoint.removeprefix("http://")]
