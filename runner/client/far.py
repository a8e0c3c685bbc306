"""Find out who lends what at an address, before the engine goes there. Edge: the network.

llama.cpp aborts on a port that does not answer and waits for ever for one that keeps silent: whoever gets past here
speaks its RPC.
"""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

from models.errors import DeviceLost, EngineError, UsageError
from models.visible import one_line
from runner.client.wire import hello
from runner.types.codec import pack, unpack
from runner.types.lending import LONGEST_NAME, MOST_BYTES, Ask, Lender, Offer, Pulse
from runner.types.machine import Road

REACHED_S = 3.0
_AGAIN_S = 0.2
_LEAST_S = 0.5
_MEASURING_S = 20.0  # for the first bytes over a slow road
_LEAST_PINGS, _MOST_PINGS, _PINGING_S = 4, 40, 0.4
_LARGEST = 1 << 63
_FIRST_BYTES, _MOST_SENT = 256 << 10, 64 << 20
_WORTH_S = 0.25  # of sending tell how fast a road is
_CHANGED = 3.0  # times as long there and back as was kept: it is another road
_DISTINCT_S = 0.3e-3  # there and back, below which a road may vary as it likes


class Line:
    """Questions and answers over a connection to a worker. OSError and ValueError where it is none."""

    def __init__(self, at: str, timeout_s: float) -> None:
        began = time.monotonic()
        self._socket = socket.create_connection(address_of(at), timeout_s)
        self.wait_for(max(_LEAST_S, timeout_s - (time.monotonic() - began)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_for(self, seconds: float) -> None:
        """At most, for each answer."""
        self._socket.settimeout(seconds)

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def greet(self) -> Offer:
        """What is on offer."""
        return _checked(unpack(Offer, self._asked(Ask("greet", own_name()))))

    def ping(self) -> Pulse:
        """How it is."""
        return unpack(Pulse, self._asked(Ask("ping")))

    def seconds_for(self, size: int) -> float:
        """How long so many bytes take to get there, and a word to come back."""
        began = time.perf_counter()
        self._asked(Ask("sink" if size else "ping", bytes=size), bytes(size))
        return time.perf_counter() - began

    def _asked(self, ask: Ask, more: bytes = b"") -> object:
        self._socket.sendall(json.dumps(pack(ask)).encode() + b"\n" + more)
        answer = self._lines.readline(MOST_BYTES)
        if not answer:
            raise ConnectionResetError("closed")
        return json.loads(answer)


def address_of(endpoint: str) -> tuple[str, int]:
    """Host and port. UsageError where it is neither."""
    name, _, port = endpoint.rpartition(":")
    if not name or not port.isdecimal():
        raise UsageError(f"--rpc wants host:port or ssh:user@host, not {endpoint!r}.")
    return name.strip("[]"), int(port)


def is_there(at: str) -> bool:
    """Whether anybody listens at `at`."""
    try:
        socket.create_connection(address_of(at), REACHED_S).close()
    except OSError:
        return False
    return True


def meet(endpoint: str, at: str, kept: Road | None = None) -> Lender:
    """Who lends at `at`, within 3 s; how far away it is, measured where `kept` does not say.

    EngineError where nobody does, DeviceLost where somebody else is there.
    """
    deadline = time.monotonic() + REACHED_S
    while True:
        lender = _met(endpoint, at, kept)
        taken = lender.offer and lender.offer.lent_to
        if not taken:
            return lender
        if time.monotonic() > deadline:
            whom = one_line(taken, LONGEST_NAME)
            raise EngineError(f"What {lender.called} lends is lent to {whom}: a worker has one borrower at a time.")
        time.sleep(_AGAIN_S)  # who had it may be leaving


def _met(endpoint: str, at: str, kept: Road | None) -> Lender:
    try:
        with Line(at, REACHED_S) as line:
            try:
                offer = line.greet()
            except ConnectionError:
                return _plain(endpoint, at, kept)
            return Lender(endpoint, at, offer.protocol, offer, _road(line, kept))
    except TimeoutError:
        raise _silent(endpoint) from None
    except (OSError, OverflowError):
        raise EngineError(f"No device answers at {endpoint}; start `localrun worker` there.") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _silent(endpoint) from None


def _plain(endpoint: str, at: str, kept: Road | None) -> Lender:
    """A server of llama.cpp's own, which closes on what it does not know: how long it takes to get there is all."""
    try:
        latency = min(_connecting_s(at) for _ in range(_LEAST_PINGS))
        with socket.create_connection(address_of(at), REACHED_S) as server:
            road = kept if kept is not None and _is_as_ever(kept, latency) else Road(latency)
            return Lender(endpoint, at, hello(server), None, road)
    except (OSError, ValueError):
        raise _silent(endpoint) from None


def _connecting_s(at: str) -> float:
    began = time.perf_counter()
    with socket.create_connection(address_of(at), REACHED_S):
        return time.perf_counter() - began


def _silent(endpoint: str) -> DeviceLost:
    return DeviceLost(f"Something listens at {endpoint} and does not answer as a worker does.")


def _road(line: Line, kept: Road | None) -> Road:
    """The road as it was kept, if it is as long as ever."""
    line.wait_for(_MEASURING_S)
    latency = _latency(line)
    if kept is not None and _is_as_ever(kept, latency):
        return kept
    size = _FIRST_BYTES
    while True:
        seconds = max(line.seconds_for(size) - latency, 1e-6)
        if seconds >= _WORTH_S or size >= _MOST_SENT:
            return Road(latency, size / seconds)
        size = min(_MOST_SENT, max(2 * size, int(1.2 * size * _WORTH_S / seconds)))


def _is_as_ever(kept: Road, latency: float) -> bool:
    return latency < max(_DISTINCT_S, _CHANGED * kept.latency_s)


def _latency(line: Line) -> float:
    """Of the quickest of many answers: the others waited for somebody else's turn on a processor."""
    deadline, found = time.monotonic() + _PINGING_S, [line.seconds_for(0) for _ in range(_LEAST_PINGS)]
    while len(found) < _MOST_PINGS and time.monotonic() < deadline:
        found.append(line.seconds_for(0))
    return min(found)


def _checked(offer: Offer) -> Offer:
    """With devices, and numbers where it says so: it came over the network. ValueError."""
    numbers: list[float] = [value for one in offer.devices for value in (one.total, one.free, one.overhead)]
    numbers += [offer.cores, *offer.protocol]
    numbers += [v for one in offer.devices for v in (one.bandwidth, one.cycles, one.flops) if v is not None]
    words = [value for one in offer.devices for value in (one.id, one.name, one.memory_type or "", offer.host)]
    words += [offer.localrun, offer.llama_cpp]
    if not offer.devices or not all(map(_is_number, numbers)):
        raise ValueError("no devices")
    if not all(isinstance(word, str) for word in words):
        raise ValueError("no names")
    return offer


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value < _LARGEST


def own_name() -> str:
    """What this computer calls itself."""
    with suppress(OSError):
        return socket.gethostname()
    return ""
