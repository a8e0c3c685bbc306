"""What was tuned, kept on disk."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.storage.tuned import forget, keep, read
from runner.types.codec import pack
from runner.types.measurement import Tuned
from runner.types.placement import Override, Placement

NOW = 2_000_000_000.0
ONE = Tuned("?", Placement(("CUDA0",), 20, 33, (20,), 8192, overrides=(Override("^blk", "CPU"),)), 0.12, NOW)


def test_the_last_answer_to_each_question_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW + 1)
    path = tmp_path / "below" / "tuned.json"
    assert read(path) == ()
    keep(path, ONE)
    keep(path, replace(ONE, question="other"))
    keep(path, replace(ONE, gain=0.2))
    assert [(one.question, one.gain) for one in read(path)] == [("other", 0.12), ("?", 0.2)]
    assert read(path)[1].placement == ONE.placement
    forget(path, "other")
    forget(path, "none")
    assert [one.question for one in read(path)] == ["?"]


def test_after_a_month_it_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW + 1)
    path = tmp_path / "tuned.json"
    keep(path, ONE)
    assert read(path, NOW + 29 * 86400) and not read(path, NOW + 31 * 86400)
    assert read(path, NOW - 86400) and not read(path, NOW - 31 * 86400), "a clock that jumped"
    monkeypatch.setattr("time.time", lambda: 0.0)  # as a battery that is empty leaves it
    keep(path, replace(ONE, question="other"))
    forget(path, "other")
    assert read(path, NOW) == (ONE,), "what a wrong clock does not count is kept for the right one"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1, null, {}]",
        json.dumps([{**pack(ONE), "at": "noon"}]),
        json.dumps([{**pack(ONE), "placement": {}}]),
        json.dumps([{**pack(ONE), "placement": {**pack(ONE.placement), "ubatch": 0}}]),
        json.dumps([{**pack(ONE), "gain": float("nan")}]),
    ],
)
def test_what_is_damaged_is_passed_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tuned.json"
    path.write_text(text)
    assert read(path, NOW) == ()
