"""Which conversation a person means."""

from pathlib import Path

from models.errors import UsageError
from models.visible import one_line
from runner.storage.conversations import ConversationLog, ConversationStore

_SHOWN = 4


def lookup(store: ConversationStore, name: str = "") -> ConversationLog:
    """The conversation of that name or file, or the only one whose title has these words; empty: the one used last.

    Of several with one name, the one used last. Raises UsageError.
    """
    if name.endswith(".jsonl") and Path(name).is_file():
        return store.open(Path(name))
    if (last := store.last()) is None:
        raise UsageError("There are no conversations yet.")
    if not name:
        return ConversationLog(last.path, last.conversation)
    logs = store.all()
    if exact := named(logs, name):
        return exact[0]
    near = [log for log in logs if name.casefold() in log.conversation.title.casefold()]
    if len(near) == 1:
        return near[0]
    raise UsageError(_several(name, near) if near else _none(name))


def named(logs: list[ConversationLog], name: str) -> list[ConversationLog]:
    """Those that were given this name, or whose file has it."""
    return [log for log in logs if name.casefold() in (log.conversation.name.casefold(), log.path.stem)]


def _several(name: str, near: list[ConversationLog]) -> str:
    files = ", ".join(f"{log.path.stem} ({one_line(log.conversation.title)})" for log in near[:_SHOWN])
    more = ", and more" if len(near) > _SHOWN else ""
    return f"{len(near)} conversations have {name!r} in their title: {files}{more}."


def _none(name: str) -> str:
    return f"No conversation is named {name!r}; localrun list conversations shows them."
