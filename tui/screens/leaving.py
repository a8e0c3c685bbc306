"""Screens that are left once."""

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import Screen

T = TypeVar("T")


class LeftOnce(Screen[T]):
    """A screen whose second `dismiss` does nothing: Textual's would take along whatever screen has come since.

    Two keys that were typed in one moment leave it twice, and so does a key with what leaves by itself.
    """

    _is_left = False

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Return this to whoever waits for it, unless something was returned."""
        if self._is_left:
            return AwaitComplete()
        self._is_left = True
        return super().dismiss(result)
