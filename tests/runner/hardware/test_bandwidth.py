"""How fast memory can be read, also where there is hardly any."""

import subprocess
import sys

import pytest

from runner.hardware.bandwidth import measure_bandwidth
from runner.types.units import MIB

MEASURE = """
import resource, sys
from pathlib import Path
from runner.hardware.bandwidth import measure_bandwidth
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = held + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
print(measure_bandwidth(4))
"""


def test_a_real_computer_reads_more_than_a_disk() -> None:
    assert 0.5e9 < measure_bandwidth(2) < 2e12


@pytest.mark.parametrize("room", [0, 20 * MIB, 60 * MIB, 150 * MIB])
def test_it_ends_where_memory_or_threads_are_refused(room: int) -> None:
    command = [sys.executable, "-c", MEASURE, str(room)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) > 0.5e9
