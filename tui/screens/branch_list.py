"""The branches of a conversation: go on with one, name the present one."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from runner.types.conversation import Conversation
from tui.screens.dialogs import Dialog
from tui.view.branches import branch_title

NAME = -1


class BranchList(Dialog[int]):
    """Returns the index of another branch to go on with, or `NAME`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("n", "name", "Name")]
    KEYS = "Enter goes on with it · n names the present one · Esc goes back"
    WIDTH = "-wide"

    def __init__(self, conversation: Conversation) -> None:
        super().__init__("Branches")
        self._conversation = conversation

    def inside(self) -> ComposeResult:
        """The present one first, then the others, the newest first."""
        conversation = self._conversation
        present = Content.assemble(("● ", "$accent"), branch_title(conversation.present, ()), ("  present", "$quiet"))
        others = [f"  {branch_title(branch, conversation.turns)}" for branch in reversed(conversation.branches)]
        yield OptionList(Option(present), *(Option(Content(one)) for one in others))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go on with this one; the present one is gone on with by going back."""
        place = event.option_index
        self.dismiss(len(self._conversation.branches) - place if place else None)

    def action_name(self) -> None:
        """Ask for a name."""
        self.dismiss(NAME)
