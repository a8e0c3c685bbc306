"""What `localrun ps` shows of the models that are loaded."""

from runner.report.warm import warm_table
from runner.types.engine import ComponentBytes
from runner.types.placement import Placement
from runner.types.units import GIB
from runner.types.warm import WarmModel


def model(name: str, *memory: ComponentBytes) -> WarmModel:
    return WarmModel(name, "Q4_K_M", "gpu", 4096, memory, Placement((), 0, 0, (), 4096), 3.0, None, None, 0, 0, 1)


def test_what_several_hold_together_is_told_by_device() -> None:
    one = model("one", ComponentBytes("CUDA0", 3 * GIB, GIB, 0), ComponentBytes("CPU", GIB, 0, 0))
    two = model("two", ComponentBytes("CPU", 2 * GIB, 0, GIB))
    assert [row[0] for row in warm_table([one]).rows] == ["one"]
    rows = warm_table([one, two]).rows
    assert [row[0] for row in rows] == ["one", "two", "together"]
    assert [row[4] for row in rows] == ["CUDA0 4.0 GiB, CPU 1.0 GiB", "CPU 3.0 GiB", "CUDA0 4.0 GiB, CPU 4.0 GiB"]
