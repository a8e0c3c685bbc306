"""Whether the machines that lend to us are still there: each is asked every second, over a connection of its own.

llama.cpp waits for ever for one that is stopped or unplugged, and says of none that dies which one it was.
A server of llama.cpp's own answers nobody else while it serves: of such a one nothing is known here (see watch.py).
"""

from __future__ import annotations

import threading
import time

from runner.client.far import Line, is_there
from runner.types.lending import Lender, Pulse

_PING_S = 1.0
_SILENT_S = 7.5
_LOOK_S = 0.05
_CLOSED = "has closed the connection"


class Heartbeat:
    """Of one lender, from now on."""

    def __init__(self, lender: Lender) -> None:
        self.lender = lender
        self.pulse: Pulse | None = None  # what it said last
        self._before: Pulse | None = None  # and what when we came
        self._heard = time.monotonic()
        self._is_lost = False
        self._over = threading.Event()
        if lender.offer is not None:
            threading.Thread(target=self._listen, name="heartbeat", daemon=True).start()

    @property
    def why_lost(self) -> str | None:
        """Why nothing can be expected of it any more, as the end of a sentence; None while there is hope."""
        if self.lender.offer is None:
            return None
        if self._is_lost:
            return "is gone"
        if self.pulse is not None and not self.pulse.is_running:
            return "does not compute any more"
        if self.pulse is not None and self._before is not None and self.pulse.lives != self._before.lives:
            return "had to start again"
        silent = time.monotonic() - self._heard
        return f"has not answered for {silent:.0f} s" if silent > _SILENT_S else None

    @property
    def has_hung_up(self) -> bool:
        """Whether somebody's connection to it has ended since we came, and not by them: perhaps ours."""
        if self.lender.offer is None:
            return not is_there(self.lender.at)
        return self.pulse is not None and self._before is not None and self.pulse.hang_ups > self._before.hang_ups

    def close(self) -> None:
        """Ask no more."""
        self._over.set()

    def _take(self, pulse: Pulse) -> None:
        self._before = self._before or pulse
        self.pulse = pulse

    def _listen(self) -> None:
        """Where it hangs up, what it held for us is gone, whoever may answer there later."""
        try:
            with Line(self.lender.at, _SILENT_S) as line:
                while not self._over.is_set():
                    self._take(line.ping())
                    self._heard = time.monotonic()
                    self._over.wait(_PING_S)
        except TimeoutError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self._is_lost = True


class Heartbeats:
    """Of all who lend to one engine, by `host:port`."""

    def __init__(self) -> None:
        self._all: dict[str, Heartbeat] = {}

    def add(self, lender: Lender) -> None:
        """Listen to one more, or anew to one that was known."""
        if (known := self._all.pop(lender.at, None)) is not None:
            known.close()
        self._all[lender.at] = Heartbeat(lender)

    def close(self) -> None:
        """Listen to nobody."""
        while self._all:
            self._all.popitem()[1].close()

    @property
    def pulses(self) -> dict[str, Pulse]:
        """What each said last, by the endpoint as it was typed."""
        return {one.lender.endpoint: one.pulse for one in list(self._all.values()) if one.pulse is not None}

    def lost(self) -> tuple[tuple[str, str], ...]:
        """Those that are lost, as a person calls them, each with the reason."""
        return tuple((one.lender.called, why) for one in list(self._all.values()) if (why := one.why_lost))

    def blamed(self, within_s: float) -> tuple[tuple[str, str], ...]:
        """The same after the engine has lost one: its heart is heard to stop a moment later.

        Where none stops it is one that hung up for a reason of its own, no memory for what was sent among them.
        """
        deadline = time.monotonic() + within_s
        while not (found := self.lost()) and time.monotonic() < deadline and self._is_any_heard():
            time.sleep(_LOOK_S)
        every = list(self._all.values())
        names = [one.lender.called for one in every if one.has_hung_up] or [one.lender.called for one in every]
        return found or ((" or ".join(names), _CLOSED),) if names else found

    def _is_any_heard(self) -> bool:
        return any(one.lender.offer for one in list(self._all.values()))
