"""One sample of the real computer, with a card that no driver speaks for."""

from runner.hardware.meter import sample
from runner.types.machine import Device, Kind, Machine
from runner.types.units import GIB

CARD = Device("CUDA0", Kind.GPU, "A card", 24 * GIB, 23 * GIB)


def test_the_machine_while_it_works() -> None:
    machine = Machine("probe", (CARD,), 1, 1, None, 1)
    found = sample(machine)
    assert 0 < found.ram_available <= found.ram_total
    (card,) = found.devices
    assert (card.device, card.total, card.used) == ("CUDA0", 24 * GIB, None)  # no driver here: nobody says
    assert found.cpu is not None and 0 <= found.cpu <= 1
