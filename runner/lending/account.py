"""Who uses what of the devices that are lent, and what went over the network for it. Threads write, any may read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from runner.types.lending import Pulse


class Use:
    """One connection's share: its bytes both ways, the replies it waited for, and the buffers that it holds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.received = self.sent = self.requests = 0
        self.buffers: dict[int, tuple[int, int]] = {}  # address there: (device, bytes)
        self.kept: dict[str, int] = {}  # weights that were sent to be kept: their hash, and bytes
        self.found: set[str] = set()  # those that were here already

    def held(self, device: int) -> int:
        """Bytes of a device."""
        return sum(size for index, size in list(self.buffers.values()) if index == device)


class Account:
    """Of `limits` bytes at most on each device. `left` hears of everybody who leaves."""

    def __init__(self, limits: Sequence[int], left: Callable[[Use], None] = lambda _use: None) -> None:
        self.limits, self._left = tuple(limits), left
        self._changing = threading.Lock()
        self._open: list[Use] = []
        self._past = Use("")
        self._hang_ups = 0
        self._hosts: dict[str, str] = {}  # what borrowers call themselves, by address

    def introduce(self, address: str, host: str) -> None:
        """Somebody at this address says what it is called."""
        self._hosts[address] = host

    def open(self, address: str) -> Use:
        """Somebody came."""
        use = Use(address)
        with self._changing:
            self._open.append(use)
        return use

    def close(self, use: Use) -> None:
        """They left, and gave everything back."""
        with self._changing:
            self._open.remove(use)
            self._past.received += use.received
            self._past.sent += use.sent
            self._past.requests += use.requests
        self._left(use)

    def hung_up(self) -> None:
        """What computes has closed the connection of somebody who was still there."""
        with self._changing:
            self._hang_ups += 1

    def left(self, device: int) -> int:
        """Bytes of a device that nobody holds; 0 for a device that there is not."""
        if device >= len(self.limits):
            return 0
        return self.limits[device] - sum(use.held(device) for use in self._all())

    def lent_to(self) -> str | None:
        """Who holds memory."""
        return next((self._called(use.address) for use in self._all() if use.buffers), None)

    def pulse(self, backend: Pulse) -> Pulse:
        """All of it at this moment, beside what the backend says of itself."""
        every = [self._past, *self._all()]
        return replace(
            backend,
            used=tuple(sum(use.held(index) for use in every) for index in range(len(self.limits))),
            received=sum(use.received for use in every),
            sent=sum(use.sent for use in every),
            requests=sum(use.requests for use in every),
            hang_ups=self._hang_ups,
            lent_to=self.lent_to(),
        )

    def _all(self) -> list[Use]:
        with self._changing:
            return list(self._open)

    def _called(self, address: str) -> str:
        host = self._hosts.get(address)
        return f"{host} ({address})" if host else address
