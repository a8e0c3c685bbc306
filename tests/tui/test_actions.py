"""Commands and settings as they are typed."""

import pytest

from models.errors import UsageError
from runner.types.sampling import Sampling
from tui.actions import ACTIONS, command, completions, with_setting
from tui.screens.chat import Chat

COMMANDS = """
    help model system set clear regen continue save load export stats plan think fold exit undo branch compact find
    panel stop tools answer
"""


@pytest.mark.parametrize("name", COMMANDS.split())
def test_every_promised_command_exists(name: str) -> None:
    found = command(f"/{name} some text ")
    assert found is not None
    assert (found[0].slash, found[1]) == (name, "some text")


def test_every_action_is_a_method_and_no_key_is_used_twice() -> None:
    assert all(callable(getattr(Chat, f"action_{action.name}")) for action in ACTIONS)
    assert not [action.title for action in ACTIONS if not action.slash]
    assert [action.title for action in ACTIONS if not (action.key or action.letter)] == [
        "Stop"
    ]  # Escape is the screen's
    for keys in ([action.key for action in ACTIONS], [action.letter for action in ACTIONS]):
        used = [key for key in keys if key]
        assert len(used) == len(set(used))


@pytest.mark.parametrize("line", ["hello", "//etc/hosts", "/help\nme", "", " /help"])
def test_messages_are_no_commands(line: str) -> None:
    assert command(line) is None


@pytest.mark.parametrize(
    ("line", "hint"), [("/hlep", "did you mean /help?"), ("/zzzz", "/help lists them all"), ("/", "/help lists")]
)
def test_an_unknown_command_is_told(line: str, hint: str) -> None:
    with pytest.raises(UsageError, match="There is no command") as error:
        command(line)
    assert hint in str(error.value)


def test_completions() -> None:
    assert [action.slash for action in completions("/s")] == ["system", "set", "save", "stats", "stop"]
    assert completions("s") == completions("/set x") == []
    assert len(completions("/")) == len(COMMANDS.split()) + 2  # /edit and /copy


@pytest.mark.parametrize(
    ("typed", "field", "value"),
    [
        ("temp 0.5", "temperature", 0.5),
        ("temp=0", "temperature", 0.0),
        ("top-k 5", "top_k", 5),
        ("seed 7", "seed", 7),
        ("seed off", "seed", None),
        ("temp off", "temperature", None),
        ("max-tokens 100", "max_tokens", 100),
        ("max-tokens off", "max_tokens", None),
    ],
)
def test_settings(typed: str, field: str, value: float | None) -> None:
    assert getattr(with_setting(Sampling(seed=3, max_tokens=9), typed), field) == value


@pytest.mark.parametrize(
    "typed", ["", "temp", "temp x", "temp 11", "temp nan", "top-k 1.5", "temp on", "colour 3", "seed -1"]
)
def test_a_bad_setting_is_one_sentence(typed: str) -> None:
    with pytest.raises(UsageError) as error:
        with_setting(Sampling(), typed)
    assert str(error.value).endswith(".")
