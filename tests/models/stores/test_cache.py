"""Where weights lie at a given moment: not here, in part, whole, and outside of the Hub's cache."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.stores.cache import as_on_disk, place_of
from models.weights import WeightFile, WeightSet

FILE = WeightFile("sub/m-Q4_0.gguf", 100, repo="org/m-GGUF", revision="a" * 40, sha256="b" * 64)


def found(file: WeightFile, cache: Path) -> WeightFile:
    (one,) = as_on_disk(WeightSet("Q4_0", (file,)), cache).files
    return one


def test_a_file_on_its_way(tmp_path: Path) -> None:
    place = place_of(FILE, tmp_path)
    assert found(FILE, tmp_path) == FILE
    place.part.parent.mkdir(parents=True)
    place.part.write_bytes(bytes(40))
    assert found(FILE, tmp_path) == replace(FILE, fetched=40)
    place.part.write_bytes(bytes(100))
    assert found(FILE, tmp_path) == replace(FILE, fetched=99)  # its digest is not checked yet
    place.part.replace(place.blob)
    place.link()
    assert found(FILE, tmp_path) == replace(FILE, path=place.snapshot)
    place.blob.unlink()
    assert found(FILE, tmp_path) == FILE


@pytest.mark.parametrize("file", [replace(FILE, path=Path("/there.gguf")), WeightFile("of-a-folder.gguf", 100)])
def test_what_lies_elsewhere_stays_as_it_was_found(file: WeightFile, tmp_path: Path) -> None:
    assert found(file, tmp_path) == file
