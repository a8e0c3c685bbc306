"""What is said of the machines that lend."""

from runner.hardware.lent import with_lenders
from runner.types.lending import Lender, Offer
from runner.types.machine import Device, Kind, Machine, Road

AT = "10.0.0.2:50052"
CARD = Device("CUDA0", Kind.GPU, "RTX 4090", 24 << 30, 23 << 30, bandwidth=1008e9)
MACHINE = Machine("probe", (Device("RPC0", Kind.RPC, AT, 24 << 30, 23 << 30),), 8 << 30, 8 << 30, 40e9, 2)


def lending(localrun: str, llama_cpp: str) -> Lender:
    return Lender("ssh:me@tower", AT, (7, 0, 0), Offer("tower", localrun, llama_cpp, (7, 0, 0), (CARD,), 8), Road(1e-3))


def test_a_device_is_what_its_owner_says_of_it() -> None:
    found = with_lenders(MACHINE, [lending("1.0", "b900")], "1.0", "b900")
    (device,) = found.devices
    assert (device.id, device.name, device.bandwidth, found.notes) == ("RPC0", "RTX 4090", 1008e9, ())
    assert device.lent is not None and device.lent.called == "tower (ssh:me@tower)" and device.lent.is_heard


def test_another_version_is_said() -> None:
    lenders = [lending("1.0", "b9\x1b[2J01"), Lender("a:1", "a:1", (7, 0, 0), None, Road(1e-3))]
    (note,) = with_lenders(MACHINE, lenders, "1.1", "b900").notes
    assert note == (
        "tower (ssh:me@tower) has localrun 1.0 with llama.cpp b9␛[2J01, "
        "this computer localrun 1.1 with llama.cpp b900: the same on both is safer."
    )
