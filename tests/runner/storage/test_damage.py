"""What cannot be read any more is kept and said, never overwritten in silence."""

from dataclasses import fields
from pathlib import Path

import pytest

from runner.storage import history, rates
from runner.storage.damage import set_aside
from runner.storage.paths import Paths, paths
from runner.types.measurement import Bandwidth, Measurement
from tests.support.homes import own_home

KEPT = ("history", "tuned", "listings", "bandwidth", "download_rate", "roads")


def put(there: Paths, name: str, data: bytes) -> Path:
    path: Path = getattr(there, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("damage", [b"", b"\0" * 512, b"{", b"[" * 100_000, b"\xff\xfe", b"17"])
@pytest.mark.parametrize("name", KEPT)
def test_a_damaged_file_is_kept_under_another_name_and_said(tmp_path: Path, name: str, damage: bytes) -> None:
    with own_home(tmp_path):
        there = paths()
        path = put(there, name, damage)
        if name == "history" and not damage:  # nothing was measured yet
            assert not list(set_aside(there))
            return
        for number in ("", "-2"):
            path.write_bytes(damage)
            [sentence] = set_aside(there)
            assert str(path) in sentence and f"{path.name}.damaged{number}" in sentence
            assert path.with_name(f"{path.name}.damaged{number}").read_bytes() == damage
            assert not path.exists()
        assert not list(set_aside(there))


def test_what_is_sound_or_partly_sound_stays(tmp_path: Path) -> None:
    with own_home(tmp_path):
        there = paths()
        history.add(there.history, Measurement("c", 1, (), 1.0, 1.0, 2e9))
        with there.history.open("ab") as file:
            file.write(b"half a li")
        rates.keep_bandwidth(there.bandwidth, "here", Bandwidth(1e9, True))
        rates.keep_download_rate(there.download_rate, 1e6)
        put(there, "tuned", b"[]")
        assert not list(set_aside(there))
        assert len(history.read(there.history, 2e9)) == 1


@pytest.mark.parametrize("rate", ["NaN", "Infinity", "-1", "0", "1" + "0" * 400, '"fast"', "[" * 900 + "]" * 900])
def test_a_rate_that_is_none_is_measured_anew(tmp_path: Path, rate: str) -> None:
    path = tmp_path / "bandwidth.json"
    path.write_text(f'{{"here": {{"bytes_per_s": {rate}, "quiet": true}}}}')
    assert rates.bandwidth(path, "here") is None
    path.write_text(f'{{"bytes_per_s": {rate}}}')
    assert rates.download_rate(path) is None


def test_every_file_that_is_kept_is_looked_at() -> None:
    others = {"config_file", "sent_weights", "prompts", "conversations", "states", "engine_log", "headers"}
    assert {field.name for field in fields(Paths)} == {*KEPT, *others}
