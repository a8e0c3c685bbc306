"""What a worker and who borrows of it tell each other beside llama.cpp's RPC: a line of JSON each way. Pure data.

Both kinds of connection come to the same port. llama.cpp's begins with the byte 14; ours with a brace.
"""

from dataclasses import dataclass

from models.visible import one_line
from runner.types.machine import Device, Road
from runner.types.rpc import Version

MOST_BYTES = 64 << 10  # of a line
LONGEST_NAME = 60  # characters that are shown of what a machine calls itself


@dataclass(frozen=True, slots=True)
class Ask:
    """`greet`, `ping`, or `sink`: so many `bytes` follow, which are read and thrown away. `host` says who asks."""

    op: str
    host: str = ""
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Offer:
    """The answer to `greet`: who lends what. `devices` in the order of the RPC server; `protocol` is its version.

    `cores` are those of the CPU where that is lent. `lent_to`: who has it already.
    """

    host: str
    localrun: str
    llama_cpp: str
    protocol: Version
    devices: tuple[Device, ...]
    cores: int
    keeps_weights: bool = False
    lent_to: str | None = None


@dataclass(frozen=True, slots=True)
class Pulse:
    """The answer to `ping`: whether what computes there still runs, and what it has lent since it started.

    `used`: bytes of each device in use; `received` and `sent`: bytes over the network; `requests`: how often somebody
    waited for an answer; `computed_s`: seconds of the processor. While any of these changes it is at work. `lives`: how
    often what computes was started; what was lent in an earlier one is gone. `hang_ups`: how often it closed a
    connection that a borrower was using.
    """

    is_running: bool
    used: tuple[int, ...] = ()
    received: int = 0
    sent: int = 0
    requests: int = 0
    computed_s: float = 0.0
    lives: int = 1
    hang_ups: int = 0
    lent_to: str | None = None


@dataclass(frozen=True, slots=True)
class Lender:
    """Who lends at `endpoint`, as it was typed; `at`: the `host:port` that leads there.

    Without an `offer` it is a server of llama.cpp's own. `road` has no bandwidth where that was not measured.
    """

    endpoint: str
    at: str
    protocol: Version
    offer: Offer | None
    road: Road

    @property
    def called(self) -> str:
        """What a person calls it."""
        host = one_line(self.offer.host, LONGEST_NAME) if self.offer else ""
        return f"{host} ({self.endpoint})" if host else self.endpoint
