"""What a worker says of itself while it lends."""

from runner.report.lending import changed, in_use
from runner.types.lending import Pulse
from runner.types.machine import Device, Kind
from runner.types.units import GIB

DEVICES = tuple(Device(f"CUDA{number}", Kind.GPU, "RTX 3090", 24 * GIB, 23 * GIB) for number in range(2))
NOBODY = Pulse(is_running=True, used=(0, 0), received=2_500_000, sent=100_000)
BUSY = Pulse(is_running=True, used=(6 * GIB, GIB), received=6_000_000_000, sent=40_000, lent_to="lap\x1btop (10.0.0.3)")
STOPPED = Pulse(is_running=False, used=(0, 0))


def test_to_whom_how_much_is_used_and_the_traffic() -> None:
    assert in_use(DEVICES, NOBODY) == "Nobody borrows anything (2.5 MB came, 0.1 MB went)."
    assert in_use(DEVICES, BUSY) == (
        "Lent to lap␛top (10.0.0.3): CUDA0 6.0 GiB of 23.0 GiB, CUDA1 1.0 GiB of 23.0 GiB; 6000.0 MB came, 0.0 MB went."
    )
    assert in_use(DEVICES, STOPPED) == "What computes here was stopped."


def test_a_line_stays_where_somebody_comes_or_leaves() -> None:
    assert changed(NOBODY, BUSY) and changed(BUSY, NOBODY) and changed(BUSY, STOPPED)
    assert not changed(BUSY, BUSY) and not changed(None, NOBODY) and changed(None, STOPPED)
