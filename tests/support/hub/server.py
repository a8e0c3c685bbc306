"""The HTTP side: routes, ranges, redirects, faults, and the account of what was asked and sent."""

import json
import os
import re
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.support.hub import answers
from tests.support.hub.faults import Fault, Orders
from tests.support.hub.store import Blob, Repo, Store
from tests.support.waiting import joined

GRANTED_TOKEN = "hf_granted"  # the one token whose owner has accepted the licences of gated repositories
PIECE = 64 << 10
SEND_BUFFER = 128 << 10  # small, so that "sent" is close to "received"

API = re.compile(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(?:/(.*))?)?")
RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
CDN = re.compile(r"/cdn/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(slots=True)
class Request:
    """One request as it came, and the answer: `sent` counts bytes of body."""

    method: str
    path: str
    range: str | None
    authorized: bool
    status: int = 0
    sent: int = 0


class Hub:
    """A Hub over `root/ORG/REPO/files…`, on 127.0.0.1; use it as a context manager.

    With `cdn`, large files are served by a redirect to another host name (localhost), as on the real Hub.
    """

    def __init__(self, root: Path, *, port: int = 0, cdn: bool = False, faults: Iterable[Fault] = ()) -> None:
        self.store = Store(root)
        self.cdn = cdn
        self.orders = Orders(faults)
        self.requests: list[Request] = []
        self.stopped = threading.Event()
        self.moved = threading.Condition()
        self._server = _Server(self, port)
        self.port = int(self._server.server_address[1])
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        joined(self._thread)

    def order(self, *faults: Fault) -> None:
        """Let these faults happen from now on."""
        self.orders.add(faults)

    def push(self, repo: str, files: Mapping[str, bytes]) -> str:
        """A new commit on main; gives its hash."""
        return self.store.push(repo, files)

    def seen(self, path: str = "*", method: str = "*") -> list[Request]:
        """The requests so far whose path and method match these shell patterns."""
        return [
            request
            for request in list(self.requests)
            if fnmatchcase(request.path, path) and fnmatchcase(request.method, method)
        ]

    def bytes_sent(self, path: str = "*", *, after: int = 0) -> int:
        """Bytes of body sent so far for paths that match, without the first `after` of these requests."""
        return sum(request.sent for request in self.seen(path)[after:])

    def wait_sent(self, count: int, path: str = "*", timeout: float = 20.0, *, after: int = 0) -> bool:
        """Whether `bytes_sent` reaches this count before the time is over."""
        with self.moved:
            return self.moved.wait_for(lambda: self.bytes_sent(path, after=after) >= count, timeout)

    def forget(self) -> None:
        """Start the account afresh and drop the faults not yet used."""
        self.requests.clear()
        self.orders.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, hub: Hub, port: int) -> None:
        self.hub = hub
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is the normal case here."""


@dataclass(slots=True)
class _Answer:
    """`body` is what is sent: bytes, or a part of a file."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Blob = b""
    span: range = range(0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet; the hub keeps its own account."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        hub, url = self.server.hub, urlsplit(self.path)
        path = unquote(url.path)
        request = Request(self.command, path, self.headers.get("Range"), "Authorization" in self.headers)
        if path == "/_hub/stats":
            return self._send(_json({"requests": len(hub.requests), "bytes": hub.bytes_sent()}), [], request)
        hub.requests.append(request)
        answer = self._route(path, parse_qs(url.query))
        faults = hub.orders.take(self.command, path, answer.span)
        for fault in faults:
            answer = self._disturbed(fault, answer)
        request.status = answer.status
        return self._send(answer, faults, request)

    def _route(self, path: str, query: dict[str, list[str]]) -> _Answer:
        store = self.server.hub.store
        if path == "/api/agent-harnesses":
            return _json({})
        if path == "/api/models":
            return _json(answers.search(store, query))
        if match := API.fullmatch(path):
            return self._api(match, query)
        if match := CDN.fullmatch(path):
            repo = store.repo(match[1], match[2])
            blob = repo.blob(match[3]) if repo else None
            return self._content(blob, {"ETag": f'"cdn-{blob.etag[:8]}"'}) if blob else _error(403, "signature expired")
        if match := RESOLVE.fullmatch(path):
            return self._resolve(*match.groups())
        return _error(404, "not found")

    def _api(self, match: re.Match[str], query: dict[str, list[str]]) -> _Answer:
        name, kind, revision, rest = match.groups()
        found = self._find(name, revision or "main")
        if isinstance(found, _Answer):
            return found
        flags = {key: values[0].lower() in ("true", "1") for key, values in query.items()}
        if kind == "tree":
            return _json(answers.tree(found, rest or "", recursive=flags.get("recursive", False)))
        return _json(answers.model(found, blobs=flags.get("blobs", False)))

    def _find(self, name: str, revision: str) -> Repo | _Answer:
        if repo := self.server.hub.store.repo(name, revision):
            return repo
        if self.server.hub.store.repo(name):
            return _error(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if "Authorization" in self.headers:
            return _error(404, "Repository not found", "RepoNotFound")
        return _error(401, "Invalid username or password.", "RepoNotFound")  # as the Hub does without a token

    def _resolve(self, name: str, revision: str, file: str) -> _Answer:
        repo = self._find(name, revision)
        if isinstance(repo, _Answer):
            return repo
        if repo.settings.get("gated") and self.headers.get("Authorization") != f"Bearer {GRANTED_TOKEN}":
            return _gated(name, 403 if "Authorization" in self.headers else 401)
        blob = repo.blob(file)
        if blob is None:
            return _error(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": repo.commit, "ETag": f'"{blob.etag}"'}
        if blob.is_lfs:
            headers |= {"X-Linked-Size": str(blob.bytes), "X-Linked-Etag": f'"{blob.etag}"'}
        if blob.is_lfs and self.server.hub.cdn:
            place = f"http://localhost:{self.server.hub.port}/cdn/{repo.name}/{repo.commit}/{quote(blob.name)}"
            return _Answer(302, headers | {"Location": place})
        return self._content(blob, headers)

    def _content(self, blob: Blob, headers: dict[str, str]) -> _Answer:
        headers = headers | {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        span = _span(self.headers.get("Range"), blob.bytes)
        if span is None:
            return _Answer(200, headers, blob, range(blob.bytes))
        if not span:
            return _Answer(416, headers | {"Content-Range": f"bytes */{blob.bytes}"})
        headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{blob.bytes}"
        return _Answer(206, headers, blob, span)

    def _disturbed(self, fault: Fault, answer: _Answer) -> _Answer:
        if fault.kind == "status":
            refusal = _error(fault.status, fault.message)
            return _Answer(refusal.status, refusal.headers | fault.headers, refusal.body)
        if fault.kind == "gated":
            return _gated("/".join(self.path.split("/")[1:3]), 403)
        if fault.kind == "no-range" and isinstance(answer.body, Blob) and answer.status in (206, 416):
            headers = {k: v for k, v in answer.headers.items() if k not in ("Content-Range", "Accept-Ranges")}
            return _Answer(200, headers, answer.body, range(answer.body.bytes))
        return answer

    def _send(self, answer: _Answer, faults: list[Fault], request: Request) -> None:
        length = len(answer.span) if isinstance(answer.body, Blob) else len(answer.body)
        self.send_response(answer.status)
        for key, value in {**answer.headers, "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET" and isinstance(answer.body, Blob):
            self.wfile.flush()
            self._send_file(answer.body.path, answer.span, faults, request)
        elif self.command == "GET":
            self.wfile.write(answer.body if isinstance(answer.body, bytes) else b"")

    def _send_file(self, path: Path, span: range, faults: list[Fault], request: Request) -> None:
        sudden = next((fault for fault in faults if fault.kind in ("cut", "reset", "stall")), None)
        slow = next((fault for fault in faults if fault.kind == "slow"), None)
        flips = {fault.after for fault in faults if fault.kind == "flip"}
        stop = span.stop if sudden is None else min(span.stop, span.start + sudden.after)
        piece = PIECE if slow is None else max(1, min(PIECE, int(slow.rate / 50)))
        with path.open("rb") as file:
            file.seek(span.start)
            at = span.start
            while at < stop:
                data = bytearray(file.read(min(piece, stop - at)))
                for flip in (flip for flip in flips if at <= flip < at + len(data)):
                    data[flip - at] ^= 1
                self.connection.sendall(data)
                at += len(data)
                with self.server.hub.moved:
                    request.sent += len(data)
                    self.server.hub.moved.notify_all()
                if slow is not None:
                    self.server.hub.stopped.wait(len(data) / slow.rate)
        if sudden is not None:
            self._end(sudden)

    def _end(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "stall":
            self.server.hub.stopped.wait(fault.seconds)
        elif fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())


def _json(content: Any) -> _Answer:
    return _Answer(200, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _error(status: int, message: str, code: str | None = None) -> _Answer:
    """A refusal in the Hub's form."""
    headers = {"Content-Type": "application/json", "X-Error-Message": message} | (
        {"X-Error-Code": code} if code else {}
    )
    return _Answer(status, headers, json.dumps({"error": message}).encode())


def _gated(name: str, status: int) -> _Answer:
    return _error(status, f"Access to model {name} is restricted. You must accept its licence.", "GatedRepo")


def _span(header: str | None, size: int) -> range | None:
    """The bytes a Range header asks for: None for all (no header, or not one we speak), empty for 416."""
    match = RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    return range(int(first), min(size, int(last) + 1) if last else size)
