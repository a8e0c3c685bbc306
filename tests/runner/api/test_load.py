"""Many clients, clients that go away, and clients that are slow."""

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from runner.api.limits import Limits
from runner.api.pool import Pool
from runner.types.wish import Wish
from tests.support.server import PATIENCE_S, Served, serving
from tests.support.waiting import until

MODEL = "smollm2-135m"
CHAT = "/v1/chat/completions"
LONG = {"model": MODEL, "messages": [{"role": "user", "content": "Tell a very long story."}], "max_tokens": 2000}


def under_way(served: Served) -> int:
    """Answers that the engine works on, as far as the server knows."""
    lines = served.get("/metrics").body.decode().splitlines()
    found = [float(line.rpartition(" ")[2]) for line in lines if line.startswith("localrun_answers_running{")]
    return int(sum(found))


def requests(served: Served) -> int:
    """Requests that hold a model."""
    return sum(one.requests for one in served.pool.residents())


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    until(is_so, lambda: what)


def left(served: Served) -> int:
    """Answers that ended because nobody was there to hear them."""
    lines = served.get("/metrics").body.decode().splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if 'finish="left"' in line)


def test_a_client_that_goes_away_frees_its_place(served: Served) -> None:
    served.post(CHAT, {**LONG, "max_tokens": 1})
    before = left(served)
    for is_streamed in (True, False):
        with closing(served.connected()) as connection:
            connection.request("POST", CHAT, json.dumps({**LONG, "stream": is_streamed}))
            wait_for(lambda: under_way(served) == 1, "it has not begun")
        wait_for(lambda: requests(served) == 0, "it goes on for nobody")
    assert left(served) == before + 2, "they have ended by themselves"


def test_a_client_that_reads_nothing_holds_up_nobody(served: Served) -> None:
    body = json.dumps({**LONG, "stream": True, "logprobs": True, "top_logprobs": 20, "max_tokens": 100}).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with closing(socket.socket()) as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        lazy.settimeout(PATIENCE_S)
        lazy.connect(("127.0.0.1", served.port))
        lazy.sendall(head + body)
        wait_for(lambda: requests(served) == 1, "it has not begun")
        assert served.post(CHAT, {**LONG, "max_tokens": 4}).status == 200
        wait_for(lambda: requests(served) == 0, "its answer waits for its reader")
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
    wait_for(lambda: threading.active_count() <= threads + 1, "threads stay")


def test_more_than_are_taken_are_refused_in_a_sentence(home: None) -> None:
    with serving(Pool(Wish()), Limits(at_once=0)) as full:
        said = full.post(CHAT, LONG)
        other = full.post("/api/chat", {"model": MODEL, "messages": LONG["messages"]})
    assert (said.status, other.status) == (429, 429)
    assert said.json["error"]["message"] == other.json["error"]
    assert other.json["error"] == "0 requests are under way; ask again when some have ended."
