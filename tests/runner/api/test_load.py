"""Many clients, clients that go away, and clients that are slow."""

import http.client
import json
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import psutil
import pytest

from runner.api.limits import Limits
from runner.api.pool import Pool
from runner.types.units import MIB
from runner.types.wish import Wish
from tests.support.server import PATIENCE_S, Said, Served, serving

MODEL = "smollm2-135m"
CHAT = "/v1/chat/completions"
LONG = {"model": MODEL, "messages": [{"role": "user", "content": "Tell a very long story."}], "max_tokens": 2000}


def begun(served: Served, *, is_streamed: bool) -> closing[http.client.HTTPConnection]:
    """A long answer under way; the end of the block leaves it."""
    connection = served.connected()
    connection.request("POST", CHAT, json.dumps({**LONG, "stream": is_streamed}))
    served.wait_for(lambda: served.under_way == 1, "it has not begun")
    return closing(connection)


def engine_of(served: Served) -> psutil.Process:
    """What computes, once it is loaded."""
    served.post(CHAT, {**LONG, "max_tokens": 1})
    (resident,) = [one for one in served.pool.residents() if one.known.name == MODEL]
    return psutil.Process(resident.service.engine.pid)


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_client_that_goes_away_frees_its_place(served: Served, is_streamed: bool) -> None:
    with served.leaving(), begun(served, is_streamed=is_streamed):
        pass


@pytest.mark.parametrize("is_streamed", [True, False])
def test_it_is_seen_to_be_gone_before_the_engine_ends_its_step(served: Served, is_streamed: bool) -> None:
    """An engine that stands still says nothing: the stop waits for it already when it goes on.

    What it still computes then is counted in tests/runner/engine/test_turns.py.
    """
    engine, before = engine_of(served), served.left
    with served.leaving():
        try:
            with begun(served, is_streamed=is_streamed):
                engine.suspend()
            served.wait_for(lambda: served.left == before + 1, "it is waited for")
            assert served.requests == 1, "the engine has gone on"
        finally:
            engine.resume()


def test_a_client_that_reads_nothing_holds_up_nobody(served: Served) -> None:
    body = json.dumps({**LONG, "stream": True, "logprobs": True, "top_logprobs": 20, "max_tokens": 200}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with closing(socket.socket()) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        lazy.settimeout(PATIENCE_S)
        lazy.connect(("127.0.0.1", served.port))
        before = psutil.Process().memory_info().rss
        lazy.sendall(head + body)
        served.wait_for(lambda: served.requests == 1, "it has not begun")
        assert served.post(CHAT, {**LONG, "max_tokens": 4}).status == 200
        served.wait_for(lambda: served.requests == 0, "its answer waits for its reader")
        assert psutil.Process().memory_info().rss < before + 32 * MIB, "what waits for it is more than its answer"
        found = http.client.HTTPResponse(lazy)
        found.begin()
        assert found.read().endswith(b"data: [DONE]\n\n")


def test_64_at_once_are_all_answered(served: Served) -> None:
    threads = threading.active_count()

    def ask(number: int) -> tuple[int, int]:
        said = served.post(CHAT, {**LONG, "max_tokens": 2, "messages": [{"role": "user", "content": f"Say {number}"}]})
        return said.status, said.json["usage"]["completion_tokens"] if said.status == 200 else 0

    with ThreadPoolExecutor(64) as clients:
        assert set(clients.map(ask, range(64))) <= {(200, 2), (200, 1)}
    served.wait_for(lambda: threading.active_count() <= threads + 1, "threads stay")


def test_of_64_at_once_each_is_answered_or_refused_in_a_sentence(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine stands still until all have asked: as many wait as may, and no more."""
    engine, refused = engine_of(served), threading.Semaphore(0)
    monkeypatch.setattr(served.desk, "limits", replace(served.desk.limits, at_once=10))

    def ask(number: int) -> Said:
        said = served.post(CHAT, {**LONG, "max_tokens": 2, "messages": [{"role": "user", "content": f"Say {number}"}]})
        if said.status == 429:
            refused.release()
        return said

    with ThreadPoolExecutor(64) as clients:
        engine.suspend()
        try:
            asked = [clients.submit(ask, number) for number in range(64)]
            assert all(refused.acquire(timeout=PATIENCE_S) for _ in range(54))
            assert served.requests <= 10
        finally:
            engine.resume()
        found = [one.result(PATIENCE_S) for one in asked]
    sentences = Counter(one.json["error"]["message"] if one.status == 429 else one.status for one in found)
    assert sentences == {200: 10, "10 requests are under way; ask again when some have ended.": 54}


def test_more_than_are_taken_are_refused_in_a_sentence(home: None) -> None:
    with serving(Pool(Wish()), Limits(at_once=0)) as full:
        said = full.post(CHAT, LONG)
        other = full.post("/api/chat", {"model": MODEL, "messages": LONG["messages"]})
    assert (said.status, other.status) == (429, 429)
    assert said.json["error"]["message"] == other.json["error"]
    assert other.json["error"] == "0 requests are under way; ask again when some have ended."
