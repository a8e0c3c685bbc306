"""The machine that a plan is for: this computer, asked when there is reason to, or one that somebody describes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from runner.client.devices import join, runtime
from runner.client.far import meet
from runner.client.process import EngineProcess
from runner.client.tunnel import PREFIX, Tunnel
from runner.client.version import localrun_version
from runner.hardware import host
from runner.hardware.bandwidth import bandwidth
from runner.hardware.described_group import parse_hardware
from runner.hardware.lent import with_lenders
from runner.hardware.probe import probe
from runner.storage import rates
from runner.storage.paths import Paths
from runner.types.lending import Lender
from runner.types.machine import Machine


class Machines:
    """This computer as it was before anything was loaded, with the devices of others that were asked for so far.

    `mapped` bytes of files are in memory for other engines of ours: the system counts them as available.
    """

    def __init__(self, engine: EngineProcess, paths: Paths, mapped: Callable[[], int] = lambda: 0) -> None:
        self._engine = engine
        self._paths = paths
        self._mapped = mapped
        self._here: Machine | None = None
        self._tunnels: dict[str, Tunnel] = {}

    def here(self, endpoints: Sequence[str] = ()) -> Machine:
        """This computer; asked anew where devices of others come to it. EngineError, UsageError."""
        known = {lender.endpoint for lender in self._engine.lenders}
        fresh = [endpoint for endpoint in dict.fromkeys(endpoints) if endpoint not in known]
        if self._here is None or fresh:
            for lender in [self._met(endpoint) for endpoint in fresh]:  # all are there before the engine goes to one
                join(self._engine, lender)
            self._here = self._probed(self._ram_bandwidth())
        return self._here

    def again(self) -> Machine:
        """This computer as it is at this moment; nothing of ours may be loaded."""
        bandwidth = self._here.ram_bandwidth if self._here else None
        self._here = self._probed(bandwidth or self._ram_bandwidth())
        return self._here

    def named(self, hardware: str | Machine | None, endpoints: Sequence[str] = ()) -> Machine:
        """The machine that `hardware` describes; this computer where it is None."""
        if isinstance(hardware, Machine):
            return hardware
        return self.here(endpoints) if hardware is None else parse_hardware(hardware)

    def _probed(self, ram_bandwidth: float) -> Machine:
        found = runtime(self._engine)
        machine = with_lenders(probe(found, ram_bandwidth), self._engine.lenders, localrun_version(), found.version)
        return replace(machine, ram_available=max(0, machine.ram_available - self._mapped()))

    def _met(self, endpoint: str) -> Lender:
        """A lender, the road to it measured once."""
        kept = rates.road(self._paths.roads, endpoint)
        lender = meet(endpoint, self._address_of(endpoint), kept)
        if lender.road != kept:
            rates.keep_road(self._paths.roads, endpoint, lender.road)
        return lender

    def _address_of(self, endpoint: str) -> str:
        """The `host:port` that leads there."""
        if not endpoint.startswith(PREFIX):
            return endpoint
        tunnel = self._tunnels.get(endpoint) or Tunnel(endpoint)
        self._tunnels[endpoint] = tunnel
        return tunnel.at

    def close(self) -> None:
        """End what was started on other machines."""
        while self._tunnels:
            self._tunnels.popitem()[1].close()

    def _ram_bandwidth(self) -> float:
        """Bytes per second, measured when there is reason to and kept on disk."""
        computer = f"{host.cpu_name()}, {host.cores()} cores"
        known = rates.bandwidth(self._paths.bandwidth, computer)
        found = bandwidth(known)
        if found != known:
            rates.keep_bandwidth(self._paths.bandwidth, computer, found)
        return found.bytes_per_s
