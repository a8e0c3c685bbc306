"""What a worker says of itself: what it lends, to whom, how much is in use, what went over the network. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from runner.report.words import gib, one_line
from runner.types.lending import Pulse
from runner.types.machine import Device

_MB = 1e6


def lends(devices: Sequence[Device], endpoint: str) -> str:
    """The first line."""
    what = ", ".join(f"{one.id} ({one_line(one.name)}, {gib(one.free)})" for one in devices)
    return f"Lending {what} at {endpoint}. Another localrun borrows it with --rpc {endpoint}; Ctrl-C ends it."


def in_use(devices: Sequence[Device], now: Pulse) -> str:
    """One line about this moment."""
    if not now.is_running:
        return "What computes here was stopped."
    if now.lent_to is None:
        return f"Nobody borrows anything ({_traffic(now)})."
    held = ", ".join(f"{one.id} {gib(used)} of {gib(one.free)}" for one, used in zip(devices, now.used, strict=True))
    return f"Lent to {one_line(now.lent_to)}: {held}; {_traffic(now)}."


def changed(before: Pulse | None, now: Pulse) -> bool:
    """Whether somebody came or left since, or what computes was stopped or goes on."""
    if before is None:
        return not now.is_running
    return (before.lent_to, before.is_running) != (now.lent_to, now.is_running)


def reachable_by_others(endpoint: str, port: int) -> str:
    """Why nobody listens there unasked, and both sides of the way that is safe."""
    return (
        f"Other computers reach {endpoint}, and llama.cpp's RPC has no password and no encryption: whoever reaches it "
        f"can use, read and crash what is lent. Leave `localrun worker` on its own computer (127.0.0.1:{port}) and let "
        f"the other one type `localrun MODEL --rpc ssh:USER@THIS-HOST`, which opens the way itself; or by hand there, "
        f"`ssh -N -L {port}:127.0.0.1:{port} USER@THIS-HOST` and then `localrun MODEL --rpc 127.0.0.1:{port}`. "
        "--i-trust-this-network listens all the same."
    )


def _traffic(now: Pulse) -> str:
    return f"{now.received / _MB:.1f} MB came, {now.sent / _MB:.1f} MB went"
