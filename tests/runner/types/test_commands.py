"""Every command names itself and its reply, and survives the pipe."""

import json
from types import NoneType
from typing import Any

import pytest

from runner.types.codec import pack, unpack
from runner.types.commands import (
    AddRpc,
    Count,
    Devices,
    Generate,
    Grammar,
    Lend,
    Load,
    Rehearse,
    StandIns,
    command_of,
)
from runner.types.engine import Loaded, LoadProgress, Rehearsal
from runner.types.generation import Chunk, Message, Request
from runner.types.machine import Runtime
from runner.types.pipe import Command, Event, EventKind, Failure, LastWords, Stop
from runner.types.placement import Placement

HERE = Placement((), 0, 31, (), 512)


@pytest.mark.parametrize(
    ("command", "step", "reply"),
    [
        (Devices(), NoneType, Runtime),
        (AddRpc("host:1"), NoneType, NoneType),
        (StandIns(2), NoneType, tuple[str, ...]),
        (Rehearse("x.gguf", (HERE, HERE)), NoneType, tuple[Rehearsal, ...]),
        (Load("x.gguf", HERE), LoadProgress, Loaded),
        (Count((Message("user", "Hi"),)), NoneType, int),
        (Count(raw="Hi"), NoneType, int),
        (Generate(Request(raw="Hi")), Chunk, NoneType),
        (Grammar("{}"), NoneType, str),
        (Lend("host:1", ("CPU", "CPU"), 2), NoneType, NoneType),
    ],
)
def test_a_command_on_the_pipe(command: Command[Any], step: object, reply: object) -> None:
    line = json.loads(json.dumps({"id": 7, "op": command.op, **pack(command)}))
    assert command_of(line) == command
    assert command.types() == (step, reply)


def test_stop_is_no_command_to_wait_for() -> None:
    assert {"op": Stop(7).op, **pack(Stop(7))} == {"op": "stop", "target": 7}
    with pytest.raises(ValueError, match="'stop'"):
        command_of({"id": 0, "op": "stop", "target": 7})


def test_a_command_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="'fly'"):
        command_of({"id": 7, "op": "fly"})


@pytest.mark.parametrize(
    "value", [Failure("BadFile", "It is none."), LastWords("GGML_ASSERT(x) failed", ("one", "two"))]
)
def test_an_event_carries_any_value(value: Failure | LastWords) -> None:
    event = unpack(Event, json.loads(json.dumps(pack(Event(7, EventKind.ERROR, value)))))
    assert (event.id, event.event) == (7, EventKind.ERROR)
    assert unpack(type(value), event.value) == value
