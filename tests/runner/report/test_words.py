"""Numbers people can read, each spelled in one way."""

import pytest

from runner.report import words
from runner.types.units import GIB, MIB


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (words.gib(40_000_000_000), "37.3 GiB"),
        (words.gib(512 * MIB), "512 MiB"),
        (words.gib(-3 * GIB), "-3.0 GiB"),
        (words.gib_cell(None), "n/a"),
        (words.gib_cell(0), "0.0"),
        (words.gib_cell(96 * MIB), "0.09"),
        (words.gib_cell(22.64 * GIB), "22.6"),
        (words.gib_cell(-(1 << 29)), "-0.50"),
        (words.file_size(420_000), "420 kB"),
        (words.file_size(6_210_000), "6.2 MB"),
        (words.file_size(9_960_000), "10 MB"),
        (words.file_size(98_362_432), "98 MB"),
        (words.file_size(999_700_000), "1.0 GB"),
        (words.file_size(42_520_000_000), "42.5 GB"),
        (words.file_size(404_000_000_000), "404.0 GB"),
        (words.rate(17.34), "17.3 tok/s"),
        (words.rate_cell(None), "n/a"),
        (words.rate_cell(0.417), "0.42"),
        (words.rate_cell(8.44), "8.4"),
        (words.rate_cell(99.97), "100"),
        (words.rate_cell(164.6), "165"),
        (words.seconds(None), "n/a"),
        (words.seconds(0.0248), "0.025 s"),
        (words.seconds(0.42), "0.42 s"),
        (words.seconds(3.2), "3.2 s"),
        (words.seconds(9.97), "10 s"),
        (words.seconds(200), "3 min 20 s"),
        (words.seconds(7500), "2 h 05 min"),
        (words.seconds(7199.9), "2 h 00 min"),
        (words.context(500), "500"),
        (words.context(512), "512"),
        (words.context(5000), "5,000"),
        (words.context(8192), "8k"),
        (words.context(23_296), "22.75k"),
        (words.context(2**31 - 1024), "2097151k"),
        (words.parameters(134_515_008), "135M"),
        (words.parameters(70_553_706_496), "70.6B"),
        (words.parameters(8_030_261_248), "8.03B"),
        (words.percent(None), "n/a"),
        (words.percent(0.97), "97%"),
        (words.degrees(None), "n/a"),
        (words.degrees(71.4), "71°C"),
        (words.watts(None), "n/a"),
        (words.watts(338.2), "338 W"),
        (words.plural(1, "token"), "1 token"),
        (words.plural(1024, "token"), "1,024 tokens"),
        (words.hardware("NVIDIA GeForce RTX 3090"), "RTX 3090"),
        (words.hardware("Intel(R) Core(TM) i7"), "Core i7"),
        (words.hardware("AMD EPYC\x1b[2J"), "EPYC␛[2J"),
    ],
)
def test_numbers(number: str, shown: str) -> None:
    assert number == shown
