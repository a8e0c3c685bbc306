"""The lines of a batch."""

import pytest

from models.errors import UsageError
from runner.cli.batch import BatchLine, read_lines
from runner.types.sampling import Sampling


def test_plain_lines_objects_and_empty_lines() -> None:
    base = Sampling(seed=1)
    text = 'Say one.\n\n{"prompt": "Say two.", "id": 7, "temp": 0, "stop": "."}\r\n  \n'
    two = BatchLine("Say two.", Sampling(temperature=0.0, seed=1, stop=(".",)))
    assert list(read_lines(text, base)) == [BatchLine("Say one.", base), two]


def test_only_a_newline_ends_a_line() -> None:
    assert [line.prompt for line in read_lines("a\u2028b\x85c\nd", Sampling())] == ["a\u2028b\x85c", "d"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "must be JSON with a prompt"),
        ('{"text": "x"}', "must be JSON with a prompt"),
        ('{"prompt": "x", "temp": 11}', "--batch, line 2: temp: 11 is out of range: 0 to 10."),
    ],
)
def test_a_wrong_line_is_told(line: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        list(read_lines(f"fine\n{line}", Sampling()))
    assert said in str(raised.value)
