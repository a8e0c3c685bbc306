"""What the server promises of crowds: many at once, who goes away, who reads nothing.

    python -m scripts.benchmarks.crowd FILE.gguf [--clients 64] [--rounds 10] [--threads 1]

Bytes are what the server and its engine hold beside what others share with them. Who goes away frees the only place
there is: the next one's first token says when, beside the same behind an answer that has ended by itself.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from runner.types.placement import Placement
from runner.types.units import MIB
from scripts.benchmarks.servers import our_server

QUESTION = "Say something about the number {}."
TOKENS, CELLS, PLACES = 32, 256, 8
LONG = 2000
PAUSE_S = 0.05
PATIENCE_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    for name, default in (("clients", 64), ("rounds", 10), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    wanted = parser.parse_args()
    with our_server(wanted.file, _placement(PLACES, wanted.threads)) as port:
        _crowd(port, wanted.clients)
        _beside_readers(port, wanted.rounds)
    with our_server(wanted.file, _placement(1, wanted.threads)) as port:
        _leaving(port, wanted.rounds)
    return 0


def _placement(places: int, threads: int) -> Placement:
    return Placement((), 0, 0, (), max(4096, CELLS * places), threads=threads, sequences=places)


def _crowd(port: int, clients: int) -> None:
    first_token(port, 0)
    idle, peak, ended = _resident(), [0], threading.Event()

    def watch() -> None:
        while not ended.wait(PAUSE_S):
            peak[0] = max(peak[0], _resident())

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        counts = list(pool.map(lambda number: answer(port, number), range(clients)))
    took = time.perf_counter() - began
    ended.set()
    watching.join()
    whole = sum(count > 0 for count in counts)
    print(f"{clients} at once: {whole} answered, {sum(counts) / took:.1f} tok/s, {took:.1f} s")
    print(f"bytes: {idle / MIB:.0f} MiB before, {peak[0] / MIB:.0f} MiB at most, {_resident() / MIB:.0f} MiB behind")


def _beside_readers(port: int, rounds: int) -> None:
    """How long others wait for a first token beside an answer of many bytes that is read, or of which nothing is."""
    asked = {**_asked(0, LONG), "stream": True, "logprobs": True, "top_logprobs": 20}
    body = json.dumps(asked).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for name, is_read in (("a reader", True), ("a reader of nothing", False)):
        with closing(socket.socket()) as beside:
            beside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            beside.connect(("127.0.0.1", port))
            beside.sendall(head + body)
            if is_read:
                threading.Thread(target=_read_all, args=(beside,), daemon=True).start()
            waits = [first_token(port, number) for number in range(1, rounds + 1)]
        print(f"first token beside {name}: {statistics.median(waits):.3f} s, {max(waits):.3f} s at most")


def _read_all(connection: socket.socket) -> None:
    with suppress(OSError):  # closed meanwhile
        while connection.recv(1 << 16):
            pass


def _leaving(port: int, rounds: int) -> None:
    """Seconds for a first token where the only place has just been left, by an answer that ended or by who has gone."""
    behind: dict[str, list[float]] = {"an answer that ended": [], "a stream that was left": [], "one left unheard": []}
    for number in range(1, rounds + 1):
        for name, waits in behind.items():
            if name == "an answer that ended":
                answer(port, number, 1)
            else:
                with _begun(port, number, is_streamed=name == "a stream that was left"):
                    pass
            waits.append(first_token(port, 0))
    for name, waits in behind.items():
        print(f"first token behind {name}: {statistics.median(waits):.3f} s, {max(waits):.3f} s at most")


@contextmanager
def _begun(port: int, number: int, *, is_streamed: bool) -> Iterator[None]:
    """A long answer under way: where it is no stream, for a while."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps({**_asked(number, LONG), "stream": is_streamed}))
        if is_streamed:
            answer = connection.getresponse()
            while not answer.readline().startswith(b"data: "):
                pass
        else:
            time.sleep(1.0)
        yield


def first_token(port: int, number: int) -> float:
    """Seconds for an answer of one token."""
    began = time.perf_counter()
    answer(port, number, 1)
    return time.perf_counter() - began


def answer(port: int, number: int, tokens: int = TOKENS) -> int:
    """Tokens of an answer, 0 for what was refused, and why is printed."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(_asked(number, tokens)))
        said = json.loads(connection.getresponse().read())
    if "usage" not in said:
        print(said)
        return 0
    return int(said["usage"]["completion_tokens"])


def _asked(number: int, tokens: int) -> dict[str, object]:
    messages = [{"role": "user", "content": QUESTION.format(number)}]
    return {"messages": messages, "max_tokens": tokens, "temperature": 0}


def _resident() -> int:
    """Bytes of the server and its engine."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        memory = process.memory_info()
        total += memory.rss - memory.shared
    return total


if __name__ == "__main__":
    sys.exit(main())
