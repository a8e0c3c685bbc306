"""Where somebody listens. Pure data."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from models.errors import UsageError


@dataclass(frozen=True, slots=True)
class Address:
    """A name or number of a host, and a port (0: any that is free)."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this computer reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return self.host == "localhost"


def parse_address(text: str) -> Address:
    """`127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:80`, as `--listen` has it. UsageError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"--listen wants host:port, not {text!r}.")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))
