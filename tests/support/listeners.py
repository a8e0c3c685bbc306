"""Who may listen where a worker is expected: nobody who answers, somebody else, a worker of any kind."""

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from runner.types import rpc
from runner.types.codec import pack
from runner.types.lending import Offer, Pulse
from runner.types.machine import Device, Kind

OFFER = Offer("tower", "0.9", "1234", (7, 0, 0), (Device("CUDA0", Kind.GPU, "RTX 4090", 24 << 30, 23 << 30),), 8)
Answer = Callable[[socket.socket], None]


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """The address of somebody who gives each caller this answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    one, _ = server.accept()
                    with one, suppress(OSError):
                        answer(one)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def silence(one: socket.socket) -> None:
    deque(iter(lambda: one.recv(1 << 16), b""), maxlen=0)


def garbage(one: socket.socket) -> None:
    one.recv(1 << 16)
    one.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    silence(one)


def a_worker(offer: object, pulse: Callable[[], Pulse] = lambda: Pulse(is_running=True)) -> Answer:
    def answer(one: socket.socket) -> None:
        with one.makefile("rb") as lines:
            for line in lines:
                ask = json.loads(line)
                lines.read(ask["bytes"])
                said = offer if ask["op"] == "greet" else pack(pulse())
                one.sendall(json.dumps(said).encode() + b"\n")

    return answer


def of_llama_cpp(version: rpc.Version) -> Answer:
    def answer(one: socket.socket) -> None:
        with one.makefile("rb") as lines:
            if lines.read(len(rpc.HELLO)) == rpc.HELLO:
                one.sendall(rpc.hello_reply(version))
                silence(one)

    return answer
