"""What the KV cache holds of whom: slots, one for each of llama.cpp's sequences, over one pool of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from runner.chat.template import common_prefix
from runner.engine.checkpoints import Checkpoints
from runner.engine.context import Context
from runner.engine.state_file import Checkpoint, State


@dataclass(slots=True)
class Run:
    """Cells for the positions `start` to `end`; slots that have cells in common have runs of the same `stamp`."""

    stamp: int
    start: int
    end: int


@dataclass(slots=True, eq=False)
class Slot:
    """A sequence of llama.cpp, with `tokens` in its cells, which are its `runs`; it adds to the one with stamp `own`.

    While it `is_taken`, `promised` cells of the pool are for it, those in use included. `left`: when it was given back,
    as a count. `matched`: how many tokens of the request that took it last were in the cache, kept or not.
    """

    sequence: int
    tokens: list[int] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    own: int = -1
    is_taken: bool = False
    promised: int = 0
    left: int = 0
    matched: int = 0

    def cut(self, kept: int) -> None:
        """Only the first tokens are left; what comes behind them takes cells that nobody else has."""
        if kept < len(self.tokens):
            del self.tokens[kept:]
            self.runs = [replace(run, end=min(run.end, kept)) for run in self.runs if run.start < kept]
            self.own = -1


class Cache:
    """Slots keep what they hold when they are given back, until somebody needs the slot or its cells.

    The one that was given back first goes first. With `checkpoints` a slot that cannot be rolled back goes back to the
    last of its states that is still wanted.
    """

    def __init__(self, context: Context, checkpoints: Checkpoints | None = None) -> None:
        self._context, self._checkpoints = context, checkpoints
        self._slots = tuple(map(Slot, range(context.sequences)))
        self._stamps, self._returns = count(), count(1)

    def take(self, tokens: Sequence[int], cells: int, *, reuse: bool) -> Slot | None:
        """A slot for these, of whose beginning (all but the last) it already holds as much as any does.

        `cells` of the pool are promised to it. None where there are not as many, or no slot is free.
        """
        free = [slot for slot in self._slots if not slot.is_taken]
        if not free:
            return None
        slot, source, common = self._choose(free, tokens[:-1] if reuse else ())
        if self.spare < cells - (common if source.is_taken else 0):
            return None
        slot.matched = common
        if slot is source:
            self.trim(slot, common)
        else:
            self._share(source, slot, common)
        slot.is_taken, slot.promised = True, cells
        return slot

    def give_back(self, slot: Slot) -> None:
        """Nobody uses it any more; what it holds stays for now."""
        slot.is_taken, slot.promised, slot.left = False, 0, next(self._returns)

    def promise(self, slot: Slot, more: int) -> bool:
        """Promise so many more cells to a taken slot, if there are as many."""
        if self.spare < more:
            return False
        slot.promised += more
        return True

    def make_room(self, cells: int) -> None:
        """Have so many cells of the promised ones really free, at the cost of slots that nobody uses."""
        idle = sorted((slot for slot in self._slots if not slot.is_taken and slot.tokens), key=_worth)
        while idle and self._context.size - _cells(self._slots) < cells:
            self.trim(idle.pop(0), 0)

    def grow(self, slot: Slot, tokens: Sequence[int]) -> None:
        """These were decoded behind the others."""
        if slot.own < 0:
            slot.own, start = next(self._stamps), len(slot.tokens)
            slot.runs.append(Run(slot.own, start, start))
        slot.tokens += tokens
        slot.runs[-1].end = len(slot.tokens)

    def trim(self, slot: Slot, kept: int) -> None:
        """Forget all but the first tokens, or all where that cannot be done."""
        if kept < len(slot.tokens):
            slot.cut(self._cut(slot, kept))

    def resync(self, slot: Slot) -> None:
        """After a batch that was interrupted: some of it may be decoded, or even less be left."""
        slot.cut(self._context.positions(slot.sequence))
        slot.cut(self._cut(slot, len(slot.tokens)))

    @property
    def keeps_states(self) -> bool:
        """Whether `remember` is of use."""
        return self._checkpoints is not None

    def remember(self, slot: Slot) -> None:
        """Keep the state of a slot as it is, so that it can go back to it."""
        if self._checkpoints is not None:
            self._checkpoints.keep(slot.sequence, slot.tokens)

    def remembered(self, slot: Slot) -> tuple[Checkpoint, ...]:
        """States that a slot can go back to, the oldest first."""
        return self._checkpoints.of(slot.sequence) if self._checkpoints else ()

    def holder(self, tokens: Sequence[int]) -> Slot | None:
        """The slot that holds the beginning of these and little else; None where there is none."""
        slot = max(self._slots, key=lambda slot: common_prefix(slot.tokens, tokens))
        return slot if 2 * common_prefix(slot.tokens, tokens) > len(slot.tokens) else None

    def unread(self, tokens: Sequence[int]) -> int:
        """How many of these no slot holds."""
        return len(tokens) - max(common_prefix(slot.tokens, tokens) for slot in self._slots)

    def adopt(self, state: State) -> int:
        """Let a slot that nobody uses hold a state; how many tokens that are, 0 where it cannot be."""
        free = [slot for slot in self._slots if not slot.is_taken]
        count = len(state.tokens)
        if not free or self.spare < count:
            return 0
        slot = min(free, key=_worth)
        self.trim(slot, 0)
        self.make_room(count)
        if not self._context.set_state(slot.sequence, state.cells):
            return 0
        self.grow(slot, state.tokens)
        if self._checkpoints is not None:
            for one in state.checkpoints:
                self._checkpoints.adopt(slot.sequence, state.tokens, one)
        slot.left = next(self._returns)
        return count

    def clear(self) -> None:
        """Forget everything, also who has what."""
        for slot in self._slots:
            self.trim(slot, 0)
            slot.is_taken, slot.promised = False, 0

    @property
    def spare(self) -> int:
        """Cells that no taken slot uses or has been promised."""
        taken = [slot for slot in self._slots if slot.is_taken]
        promised: int = sum(max(0, slot.promised - len(slot.tokens)) for slot in taken)
        return int(self._context.size) - _cells(taken) - promised

    def _choose(self, free: Sequence[Slot], tokens: Sequence[int]) -> tuple[Slot, Slot, int]:
        """(slot, who has most of the tokens, how many). A slot of which only a small part is of use stays as it is."""
        known = self._slots if self._context.can_share else free
        common = {slot: common_prefix(slot.tokens, tokens) for slot in known}
        slot = max(free, key=lambda slot: self._usable(slot, common[slot]))
        if 2 * common[slot] < len(slot.tokens):
            slot = min(free, key=_worth)
        best = max(known, key=common.__getitem__) if self._context.can_share else slot
        source = best if common[best] > common[slot] else slot
        return slot, source, common[source]

    def _usable(self, slot: Slot, common: int) -> int:
        """How many tokens stay if only the first ones are wanted."""
        if self._checkpoints is None or common == len(slot.tokens) or self._context.reaches(common, slot.sequence):
            return common
        return self._checkpoints.last(slot.sequence, common)

    def _cut(self, slot: Slot, kept: int) -> int:
        """Have llama.cpp forget all but the first tokens, or more where that cannot be exact: how many are left."""
        if self._checkpoints is None:
            return kept if self._context.keep(kept, slot.sequence) else 0
        if not self._context.cut(kept, slot.sequence):
            return self._checkpoints.go_back(slot.sequence, slot.tokens[:kept])
        self._checkpoints.cut(slot.sequence, kept)
        return kept

    def _share(self, source: Slot, slot: Slot, common: int) -> None:
        self.trim(slot, 0)
        self._context.share(source.sequence, slot.sequence, common)
        slot.tokens = source.tokens[:common]
        slot.runs = [replace(run, end=min(run.end, common)) for run in source.runs if run.start < common]


def _worth(slot: Slot) -> tuple[bool, int]:
    """Empty ones first, then those that were given back long ago."""
    return bool(slot.tokens), slot.left


def _cells(slots: Iterable[Slot]) -> int:
    """How many cells these have together. A run of one stamp starts where it starts, whoever has a part of it."""
    ends: dict[int, Run] = {}
    for run in (run for slot in slots for run in slot.runs):
        known = ends.get(run.stamp)
        if known is None or run.end > known.end:
            ends[run.stamp] = run
    return sum(run.end - run.start for run in ends.values())
