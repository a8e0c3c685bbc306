"""Driving a download: its progress, its pause, its failure, and the rate it leaves behind."""

import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from models.errors import DownloadError
from models.weights import Progress, WeightFile
from runner.service.downloads import download, seconds_for

FILE = WeightFile("a.gguf", 100_000_000)
HERE = WeightFile("a.gguf", 100_000_000, Path("/a.gguf"))
Tell = Callable[[Progress], None]


def bring(
    files: Sequence[WeightFile], progress: Tell, _note: Callable[[str], None], _stop: threading.Event
) -> tuple[WeightFile, ...]:
    for done in (60_000_000, 80_000_000, 100_000_000):
        progress(Progress("a.gguf", done, files[0].bytes))
    return (HERE,)


def test_progress_and_then_the_files(tmp_path: Path) -> None:
    steps = download((FILE,), tmp_path / "cache" / "rate.json", lambda _: None, bring)
    seen = []
    try:
        while True:
            seen.append(next(steps).done)
    except StopIteration as end:
        assert end.value == (HERE,)
    assert seen == [60_000_000, 80_000_000, 100_000_000]
    rate = json.loads((tmp_path / "cache" / "rate.json").read_text())["bytes_per_s"]
    assert seconds_for(10 * rate, tmp_path / "cache" / "rate.json") == pytest.approx(10)


def test_closing_it_stops_it(tmp_path: Path) -> None:
    stopped = []

    def endless(
        _files: Sequence[WeightFile], progress: Tell, _note: Callable[[str], None], stop: threading.Event
    ) -> tuple[WeightFile, ...]:
        progress(Progress("a.gguf", 1, 2))
        stopped.append(stop.wait(20))
        raise DownloadError("stopped")

    steps = download((FILE,), tmp_path / "rate.json", lambda _: None, endless)
    next(steps)
    steps.close()
    assert stopped == [True]
    assert not (tmp_path / "rate.json").exists()  # a byte tells no rate


def test_a_failure_comes_out(tmp_path: Path) -> None:
    def failing(*_: object) -> tuple[WeightFile, ...]:
        raise DownloadError("The disk is full.")

    with pytest.raises(DownloadError, match="The disk is full"):
        list(download((FILE,), tmp_path / "rate.json", lambda _: None, failing))


@pytest.mark.parametrize("damage", [None, "", "{", "[]", "{}", '{"bytes_per_s": "fast"}', '{"bytes_per_s": 0}'])
def test_without_a_rate_nothing_is_promised(tmp_path: Path, damage: str | None) -> None:
    if damage is not None:
        (tmp_path / "rate.json").write_text(damage)
    assert seconds_for(1000, tmp_path / "rate.json") is None
