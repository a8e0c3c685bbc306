"""Which conversations of a server's clients are kept, and in which order."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runner.service import served_states
from runner.service.served_states import ServedStates
from runner.storage.states import States
from runner.types.generation import Message
from runner.types.templating import Templating

SESSION: Any = SimpleNamespace(
    candidate=SimpleNamespace(predicted=SimpleNamespace(prefill_tps=1000.0)), placement=SimpleNamespace(sequences=2)
)


def talk(question: str, *more: str) -> list[Message]:
    return [Message("system", "Be brief."), Message("user", question), *(Message("user", one) for one in more)]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The last words of what is kept; each takes 40 bytes."""
    found: list[str] = []

    def keep(_states: States, _session: object, _name: str, messages: list[Message], _templating: object) -> int:
        found.append(messages[-1].content)
        return 40

    monkeypatch.setattr(served_states, "keep", keep)
    return found


def served(folder: Path, room: int, *talks: list[Message], tokens: int = 1000) -> ServedStates:
    states = ServedStates(States(folder, room))
    for one in talks:
        states.heard(SESSION, one, Templating(), tokens)
    return states


def test_the_last_ones_stay_and_one_that_grows_takes_its_own_place(tmp_path: Path, written: list[str]) -> None:
    states = served(tmp_path, 1000, talk("a"), talk("b"), talk("c"), talk("b", "b again"))
    states.leave(SESSION)
    assert written == ["b again", "c"]
    states.leave(SESSION)
    assert written == ["b again", "c"], "once"


def test_what_is_read_in_a_moment_is_not_kept(tmp_path: Path, written: list[str]) -> None:
    served(tmp_path, 1000, talk("a"), tokens=999).leave(SESSION)
    assert not written


@pytest.mark.parametrize(("room", "kept"), [(0, 0), (40, 1), (79, 1), (81, 2)])
def test_none_pushes_out_a_later_one(tmp_path: Path, written: list[str], room: int, kept: int) -> None:
    served(tmp_path, room, talk("a"), talk("b")).leave(SESSION)
    assert written == ["b", "a"][:kept]
