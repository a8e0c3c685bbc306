"""What the server refuses before it reads a request, and whom it gives up. No model is loaded."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import UsageError
from runner.api.guard import Rules
from runner.api.limits import Limits
from runner.api.listening import bound
from runner.api.pool import Pool
from runner.cli.options import parse
from runner.cli.subcommands.serve import rules_of
from runner.report.serving import listening_words
from runner.types.address import Address
from runner.types.wish import Wish
from tests.support.server import PATIENCE_S, Served, serving

KEY = "s3cret"
PAGE = "http://localhost:3000"
SMALL = Limits(body=2000, head=4096, messages=5, head_s=0.3, body_s=0.3)


@pytest.fixture(scope="module")
def guarded(home: None) -> Iterator[Served]:
    with serving(Pool(Wish()), SMALL, Rules(KEY, origins=frozenset({PAGE}))) as one:
        yield one


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_each_request_needs_the_key_where_there_is_one(guarded: Served, name: str) -> None:
    lead = "Bearer " if name == "Authorization" else ""
    said = [guarded.send("GET", "/v1/models", None, {name: f"{lead}{key}"}).status for key in (KEY, KEY + "x", "")]
    assert said == [200, 401, 401]
    refused = guarded.get("/v1/models")
    assert (refused.status, refused.json["error"]["code"]) == (401, "invalid_api_key")
    for path, header in (("/v1/models", {"anthropic-version": "2023-06-01"}), ("/v1/messages", {})):
        refused = guarded.get(path, **header)
        assert (refused.status, refused.json["error"]["type"]) == (401, "authentication_error")
        assert refused.json["type"] == "error"
    assert guarded.get("/health").status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("localhost", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("LOCALHOST:99", 200)),
        *(("evil.example", 403), ("evil.example:8080", 403), ("localhost.evil.example", 403), ("", 403)),
    ],
)
def test_a_name_that_somebody_else_leads_here_is_not_ours(guarded: Served, host: str, status: int) -> None:
    assert guarded.send("GET", "/health", None, {"Host": host}).status == status


def test_pages_may_ask_from_origins_that_were_named_and_from_no_other(guarded: Served) -> None:
    mine = {"Authorization": f"Bearer {KEY}"}
    for origin in ("http://evil.example", "null", "http://localhost:3001"):
        refused = guarded.get("/v1/models", **mine, Origin=origin)
        assert refused.status == 403 and "access-control-allow-origin" not in refused.headers
    allowed = guarded.get("/v1/models", **mine, Origin=PAGE)
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
    before = guarded.send("OPTIONS", "/v1/chat/completions", None, {"Origin": PAGE})
    assert before.status == 204 and "authorization" in before.headers["access-control-allow-headers"]
    assert guarded.send("OPTIONS", "/v1/models", None, {**mine, "Origin": "http://evil.example"}).status == 403
    assert "access-control-allow-origin" not in guarded.get("/v1/models", **mine).headers


def test_bodies_are_bounded(guarded: Served) -> None:
    asked = {"model": "x", "messages": [{"role": "user", "content": "w" * 3000}]}
    assert guarded.post("/v1/chat/completions", asked, Authorization=f"Bearer {KEY}").status == 413


def test_conversations_are_bounded(guarded: Served) -> None:
    asked = {"model": "x", "messages": [{"role": "user", "content": ""}] * 6}
    said = guarded.post("/v1/chat/completions", asked, Authorization=f"Bearer {KEY}")
    assert said.json["error"]["message"] == "messages: it has 6 entries; at most 5 are taken."


def test_heads_are_bounded(guarded: Served) -> None:
    assert guarded.get("/health", X_Long="w" * 9000).status == 413


def test_slow_senders_are_given_up(guarded: Served) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\nContent-Length: 900\r\n\r\n"
    for said, answer in ((b"GET /health HT", b""), (head.encode() + b'{"mod', b"HTTP/1.1 408")):
        with closing(socket.create_connection(("127.0.0.1", guarded.port), PATIENCE_S)) as slow:
            slow.sendall(said)
            assert slow.recv(100).startswith(answer)
            assert answer or slow.recv(1) == b""
    assert guarded.get("/health").status == 200


def test_a_connection_may_be_used_again(guarded: Served) -> None:
    with closing(guarded.connected()) as connection:
        for _ in range(2):
            connection.request("GET", "/health")
            found: http.client.HTTPResponse = connection.getresponse()
            assert found.status == 200 and found.read()


def test_other_computers_need_a_key() -> None:
    away, here = Address("0.0.0.0", 80), Address("127.0.0.1", 80)
    assert rules_of(parse(["serve"], {}, {}), here).key is None
    for others in (away, Address("127.example.com", 80), Address("::", 80)):
        with pytest.raises(UsageError, match="--api-key-file"):
            rules_of(parse(["serve"], {}, {}), others)
    assert all(Address(host, 80).is_loopback for host in ("localhost", "::1", "127.0.0.2"))
    assert "is not encrypted" in listening_words("0.0.0.0", 80, is_private=False)[-1]
    assert len(listening_words("127.0.0.1", 80, is_private=True)) == 1


def test_a_key_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\nmore\n")
    options = parse(["serve", "--api-key-file", str(path)], {}, {})
    assert rules_of(options, Address("0.0.0.0", 80)).key == KEY
    path.write_text("\n")
    with pytest.raises(UsageError, match="no API key"):
        rules_of(options, Address("0.0.0.0", 80))


def test_a_place_that_is_taken_or_is_none_is_said() -> None:
    with closing(bound(Address("127.0.0.1", 0))) as door, pytest.raises(Exception, match="cannot be listened on"):
        bound(Address("127.0.0.1", door.getsockname()[1]))
    with pytest.raises(UsageError, match="no address of this computer"):
        bound(Address("no.such.host.invalid", 1))
