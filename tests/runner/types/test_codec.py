"""What goes over the pipe comes back equal, and both ends may grow."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.types.codec import pack, unpack
from runner.types.drafts import DraftKind
from runner.types.engine import ComponentBytes, Loaded
from runner.types.generation import Chunk, Finish, Message, Phase, Request
from runner.types.placement import Companion, Override, Placement
from runner.types.sampling import Sampling

MESSAGES = st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(), st.none() | st.text())
SAMPLINGS = st.builds(Sampling, stop=st.lists(st.text()).map(tuple), seed=st.none() | st.integers(0, 9))
COMPANION = Companion(DraftKind.MODEL, "small.gguf", Placement(("CUDA0",), 9, 9, (9,), 64))
VALUES = [
    st.builds(Request, st.lists(MESSAGES).map(tuple), st.none() | st.text(), SAMPLINGS),
    st.builds(Chunk, st.sampled_from(Phase), st.text(), finish=st.none() | st.sampled_from(Finish)),
    st.builds(
        Placement,
        st.lists(st.text()).map(tuple),
        st.integers(),
        st.integers(),
        st.lists(st.integers()).map(tuple),
        st.integers(),
        overrides=st.lists(st.builds(Override, st.text(), st.text())).map(tuple),
        companion=st.sampled_from([None, Companion(DraftKind.MTP), COMPANION]),
    ),
    st.builds(Loaded, st.integers(), st.floats(0, 9), st.just((ComponentBytes("CPU", 1, 2, 3),)), st.text()),
]


@given(st.one_of(VALUES))
def test_a_value_survives_the_pipe(value: Request | Chunk | Placement | Loaded) -> None:
    assert unpack(type(value), json.loads(json.dumps(pack(value)))) == value


def test_unknown_fields_are_ignored_and_missing_ones_default() -> None:
    assert unpack(Message, {"role": "user", "content": "hi", "new": 1}) == Message("user", "hi")


@dataclass(frozen=True)
class Point:
    place: tuple[int, str]
    phase: Phase | None
    ahead: tuple[Message, ...] | None = None
    inner: Message | None = None


@pytest.mark.parametrize(
    "value",
    [
        Point((3, "x"), None),
        Point((3, "x"), Phase.DONE, (), Message("user", "hi")),
        Point((3, "x"), Phase.DECODE, (Message("user", "hi"),)),
    ],
)
def test_fixed_tuples_and_what_may_be_missing(value: Point) -> None:
    assert unpack(Point, json.loads(json.dumps(pack(value)))) == value


def test_a_value_need_not_be_an_object() -> None:
    assert unpack(int, pack(7)) == 7
    assert unpack(tuple[str, ...], pack(("a", "b"))) == ("a", "b")
    assert unpack(tuple[Message, ...], pack((Message("user", "hi"),))) == (Message("user", "hi"),)
    assert unpack(tuple[Phase, int], pack((Phase.DONE, 1))) == (Phase.DONE, 1)
    assert unpack(Phase, pack(Phase.DONE)) is Phase.DONE


@pytest.mark.parametrize(
    ("kind", "data"), [(Phase, "never"), (tuple[str, ...], "ab"), (tuple[int, str], [1]), (tuple[int, str], [1, "", 2])]
)
def test_a_value_of_another_kind_is_refused(kind: type, data: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        unpack(kind, data)


@pytest.mark.parametrize("data", [[], None, "x", {"role": "user"}])
def test_what_does_not_fit_is_refused(data: object) -> None:
    with pytest.raises(TypeError):
        unpack(Message, data)
