"""Takes back what was drafted and not accepted, exactly.

KV caches forget their last cells; a sliding window, too, within its last batch: what it has lost by then nobody behind
the first token of that batch sees. A recurrent state goes back within its last batch where llama.cpp has kept the
states on the way (n_rs_seq), as long as one token of that batch stays: it does, for the first one was no guess. Else it
goes back to a copy that was made before, and what was accepted is decoded again with what comes next.
"""

from __future__ import annotations

from runner.engine.cache import Slot
from runner.engine.context import Context
from runner.engine.partial_state import PartialState, partial_state

NO_WAY_BACK = "Guesses could not be taken back from this model's state; nothing is guessed any more."


class Rollback:
    """Of the sequences of one context. `most`: how many guesses can be taken back, 0 where none can."""

    def __init__(self, context: Context, most: int) -> None:
        self._context = context
        self.needs_copies = context.model.is_recurrent and not context.states
        """Whether one sequence at a time may have guesses, and reads again what was accepted where not all was."""
        self.most = min(most, context.states) if context.states else most
        self._before: PartialState | None = None

    def prepare(self, slot: Slot) -> bool:
        """Guesses come next; False where they could not be taken back."""
        if self.needs_copies:
            self._before = partial_state(self._context.handle, slot.sequence, len(slot.tokens))
            if self._before is None:
                self.most = 0
        return self.most > 0

    def back(self, slot: Slot) -> bool:
        """Forget what was decoded behind the tokens of a slot, or even more; False: it holds nothing any more."""
        if self._before is None:
            done = self._context.roll_back(len(slot.tokens), slot.sequence)
        else:
            done = self._before.restore()
            slot.cut(self._before.count)
        if not done:
            self.most = 0  # it would be so again
        return done
