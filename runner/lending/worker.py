"""A worker: this machine's devices at a port, lent to one borrower at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from models.errors import UsageError
from runner.client.devices import runtime
from runner.client.far import own_name
from runner.client.process import EngineProcess
from runner.client.version import localrun_version
from runner.hardware.probe import cpu_device, devices_of
from runner.lending.account import Account, Use
from runner.lending.backend import Backend
from runner.lending.port import Answers, Port
from runner.storage.sent_weights import SentWeights
from runner.types.lending import Offer, Pulse
from runner.types.machine import Device, Machine

_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What is lent: `devices` by id (None: all but the CPU, or the CPU), of each at most `memory` bytes."""

    host: str
    port: int
    devices: tuple[str, ...] | None = None
    memory: int | None = None


class Worker:
    """Lends from the start. `note` hears what a person may want to know. UsageError, EngineError."""

    def __init__(
        self,
        engine: EngineProcess,
        terms: Terms,
        machine: Callable[[], Machine],
        weights: SentWeights | None,
        note: Callable[[str], None],
    ) -> None:
        found, here = runtime(engine), machine()
        known = {device.id.casefold(): device for device in (*devices_of(found.devices), cpu_device(here))}
        self._weights = weights
        self.devices = tuple(_limited(one, terms.memory) for one in _chosen(known, terms.devices))
        if weights is not None:
            weights.ready()
        self._account = Account([device.free for device in self.devices], self._left)
        ids = tuple(device.id for device in self.devices)
        self._backend = Backend(engine, ids, weights.folder if weights else None, note)
        self._port = Port(terms.host, terms.port, self._account, self._backend)
        self.endpoint = f"{terms.host}:{self._port.port}"
        protocol = self._backend.start()
        offer = Offer(
            own_name(),
            localrun_version(),
            found.version,
            protocol,
            self.devices,
            cores=here.cores,
            keeps_weights=weights is not None,
        )
        self._port.open(
            Answers(lambda: replace(offer, lent_to=self._account.lent_to()), self._pulse, self._account.introduce)
        )

    def watch(self, shown: Callable[[Pulse], None]) -> None:
        """Show what goes on, once a second, until the backend cannot be started any more."""
        while not self._backend.failed.wait(_LOOK_S):
            if self._weights is not None:
                self._weights.prune()
            shown(self._pulse())

    def _pulse(self) -> Pulse:
        return self._account.pulse(self._backend.pulse())

    def close(self) -> None:
        """Nobody can borrow any more, and those who did lose it."""
        self._port.close()
        self._backend.close()

    def _left(self, use: Use) -> None:
        if self._weights is not None and (use.kept or use.found):
            self._weights.settle(use.kept, use.found)


def _chosen(known: dict[str, Device], ids: tuple[str, ...] | None) -> list[Device]:
    if ids is None:
        others = [device for name, device in known.items() if name != "cpu"]
        return others or [known["cpu"]]
    for name in ids:
        if name.strip().casefold() not in known:
            offered = ", ".join(device.id for device in known.values())
            raise UsageError(f"There is no device {name!r}; this machine has {offered}.")
    return [known[name.strip().casefold()] for name in dict.fromkeys(ids)]


def _limited(device: Device, memory: int | None) -> Device:
    free = device.free if memory is None else min(device.free, memory)
    return replace(device, free=free, total=max(free, min(device.total, memory or device.total)))
