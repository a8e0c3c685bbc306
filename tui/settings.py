"""What the application is opened with, and the clocks it goes by."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from runner.types.notice import Notice
from runner.types.sampling import Sampling
from runner.types.wish import Wish


@dataclass(frozen=True, slots=True)
class Launch:
    """What was asked for. `model` None: begin with the picker; `ask` False: download without a question.

    `notes` are what there was to say before there was a screen.
    `conversation`: the file of an earlier one to go on with; `title`: keep it, or a copy of that one, under this name.
    `files` are what the first question is about. `notice` is given when a long answer ends. `keep` leaves the engine
    warm for so many seconds.
    """

    model: str | None = None
    wish: Wish = field(default_factory=Wish)
    sampling: Sampling = field(default_factory=Sampling)
    system: str = ""
    ask: bool = True
    notes: tuple[str, ...] = ()
    conversation: Path | None = None
    title: str = ""
    files: tuple[Path, ...] = ()
    notice: Notice = Notice.BELL
    keep: float | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now` counts seconds for the speed curve, `today` seconds since 1970 for conversations.

    `tick` seconds lie between two measurements (None: nothing ticks by itself); for `result` seconds the start screen
    shows planned against measured.
    """

    now: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    tick: float | None = 0.5
    result: float = 0.8


@dataclass(frozen=True, slots=True)
class Next:
    """The model to run after this one, how it is asked, and the file of the conversation that it goes on with."""

    model: str
    sampling: Sampling
    conversation: Path | None


@dataclass(slots=True)
class ChatSettings:
    """What a chat is held with; `name` is what was planned. /set, /think and /tools change the sampling.

    `conversation`, `title`, `files`, `notice` and `keep`: as in `Launch`.
    """

    name: str
    sampling: Sampling
    system: str
    clocks: Clocks
    conversation: Path | None = None
    title: str = ""
    files: tuple[Path, ...] = ()
    notice: Notice = Notice.BELL
    keep: float | None = None
