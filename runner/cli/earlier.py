"""Which conversation a command goes on with, before anything is loaded."""

from __future__ import annotations

from dataclasses import replace

from models.errors import UsageError
from runner.cli.options import Options
from runner.storage.conversations import ConversationStore
from runner.storage.lookup import lookup, named
from runner.storage.paths import paths


def with_earlier(options: Options) -> Options:
    """`continued` as the file of the conversation that is meant, and its model where none is named. UsageError.

    Also where --save names a conversation that is there.
    """
    if options.save is not None and named(store().all(), options.save):
        raise UsageError(f"A conversation is named {options.save!r} already; -c {options.save!r} goes on with it.")
    if options.continued is None:
        return options
    try:
        log = lookup(store(), options.continued)
    except UsageError as error:
        if options.model is None and options.continued:  # which may have been meant as one
            raise UsageError(f"{error} A model goes before -c.") from None
        raise
    model = options.model or log.conversation.model.rpartition(" ")[0] or None
    return replace(options, model=model, continued=str(log.path))


def store() -> ConversationStore:
    """This user's conversations."""
    return ConversationStore(paths().conversations)
