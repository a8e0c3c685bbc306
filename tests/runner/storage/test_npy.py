"""A matrix on disk, as numpy reads it."""

from pathlib import Path

import numpy as np
import pytest

from runner.storage.npy import Matrix


def test_it_grows_and_is_whole_at_every_moment(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    matrix = Matrix(path)
    assert np.load(path).shape == (0, 0)
    matrix.add(3, rows[:1].tobytes())
    assert (np.load(path) == rows[:1]).all()
    matrix.add(3, rows[1:].tobytes())
    matrix.close()
    assert (np.load(path) == rows).all() and np.load(path).dtype == np.float32


def test_a_place_that_refuses_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Matrix(tmp_path / "none" / "x.npy")
