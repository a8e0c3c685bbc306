"""States of sequences as they were at some token, for caches that cannot be rolled back.

A recurrent state and a sliding window hold the present alone. What they held is small beside the rest of the cache, of
which it is only cut what came later; so it is kept in host memory wherever a conversation may go on another way.

llama.cpp takes a state for any sequence and says that all is well: whose it is, is seen to here.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from runner.engine.context import Context
from runner.engine.llama import C
from runner.engine.partial_state import PartialState, partial_bytes, partial_state
from runner.engine.state_file import Checkpoint


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """The state of a sequence behind its first `count` tokens, of which there is a digest."""

    digest: bytes
    state: PartialState

    @property
    def sequence(self) -> int:
        """Whose."""
        return self.state.sequence

    @property
    def count(self) -> int:
        """Behind how many tokens."""
        return self.state.count


class Checkpoints:
    """States of the sequences of one context, of at most so many bytes in all: the oldest goes first.

    Who cuts tokens off a sequence, or empties it, says so with `cut`.
    """

    def __init__(self, context: Context, most: int) -> None:
        self._handle = context.handle
        self._memory = C.llama_get_memory(context.handle)
        self._most = most
        self._kept: list[_Checkpoint] = []  # the oldest first

    @property
    def bytes(self) -> int:
        """What they hold."""
        return sum(one.state.bytes for one in self._kept)

    @property
    def counts(self) -> tuple[tuple[int, int], ...]:
        """(sequence, tokens) of each, the oldest first."""
        return tuple((one.sequence, one.count) for one in self._kept)

    def keep(self, sequence: int, tokens: Sequence[int]) -> bool:
        """Keep the state of a sequence, which holds exactly these tokens; whether it is kept.

        It is not where it has more bytes than there may be, or where llama.cpp cannot tell it.
        """
        digest = _digest(tokens)
        known = next((one for one in self._kept if one.sequence == sequence and one.digest == digest), None)
        if known is not None:
            self._kept.remove(known)
            self._kept.append(known)
            return True
        if not tokens or not self._make_room(partial_bytes(self._handle, sequence)):
            return False
        state = partial_state(self._handle, sequence, len(tokens))
        if state is None:
            return False
        self._kept.append(_Checkpoint(digest, state))
        return True

    def of(self, sequence: int) -> tuple[Checkpoint, ...]:
        """Those of a sequence, the oldest first."""
        return tuple(Checkpoint(one.count, one.state.data) for one in self._kept if one.sequence == sequence)

    def adopt(self, sequence: int, tokens: Sequence[int], found: Checkpoint) -> None:
        """Keep one that was taken elsewhere, of a sequence that holds these tokens with the state as it was then."""
        if found.count <= len(tokens) and self._make_room(len(found.state)):
            digest = _digest(tokens[: found.count])
            self._kept.append(_Checkpoint(digest, PartialState(self._handle, sequence, found.count, found.state)))

    def go_back(self, sequence: int, tokens: Sequence[int]) -> int:
        """Take a sequence back to its last state behind some or all of these tokens: how many it holds then.

        `tokens` are all those at its beginning that are still wanted. 0 where there is no such state, or llama.cpp
        does not take it: then the sequence is empty.
        """
        self.cut(sequence, len(tokens))
        own = sorted((one for one in self._kept if one.sequence == sequence), key=lambda one: -one.count)
        found = next((one for one in own if one.digest == _digest(tokens[: one.count])), None)
        if found is not None and found.state.restore():
            self.cut(sequence, found.count)
            return found.count
        C.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        self.cut(sequence, 0)
        return 0

    def last(self, sequence: int, most: int) -> int:
        """Behind how many of its first `most` tokens there is a state of a sequence; 0 where there is none."""
        return max((one.count for one in self._kept if one.sequence == sequence and one.count <= most), default=0)

    def cut(self, sequence: int, kept: int) -> None:
        """Forget the states of a sequence behind its first `kept` tokens: it holds them no longer."""
        self._kept = [one for one in self._kept if one.sequence != sequence or one.count <= kept]

    def _make_room(self, size: int) -> bool:
        """Whether there is room for so many bytes by now."""
        if not 0 < size <= self._most:
            return False
        while self.bytes + size > self._most:
            self._kept.pop(0)
        return True


def _digest(tokens: Sequence[int]) -> bytes:
    return blake2b(array("i", tokens).tobytes(), digest_size=16).digest()


def are_needed(context: Context) -> bool:
    """Whether the cache of a model cannot be rolled back: it has a window, or a recurrent state."""
    return bool(context.model.window or context.model.is_recurrent)
