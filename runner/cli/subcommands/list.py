"""`localrun list`: all weights on this machine, with where they come from; or what is kept, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from models.errors import ExitCode, LocalrunError, UsageError
from models.headers.quantizations import quantizations
from models.hub.remote import read_headers
from models.stores import local
from models.weights import Offer
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.conversation import listed_json, listed_lines
from runner.report.table import Table
from runner.report.weights import offer_json, offers_table
from runner.report.words import one_line
from runner.storage.conversations import ConversationStore
from runner.storage.full_text import find_words
from runner.storage.paths import paths
from runner.storage.prompts import PromptStore


def run(options: Options, output: Output) -> ExitCode:
    """Print a row for each."""
    what, *words = options.words or ("",)
    match what:
        case "":
            return _weights(options, output)
        case "conversations":
            return _conversations(words, options, output)
        case "prompts" if not words:
            return _prompts(options, output)
    raise UsageError("There are localrun list, localrun list conversations [WORDS] and localrun list prompts.")


def _conversations(words: Sequence[str], options: Options, output: Output) -> ExitCode:
    """The latest used first; those that have all of the words, the best first."""
    listed = ConversationStore(paths().conversations).listed()
    found = find_words(listed, words) if words else listed
    if options.json:
        output.json([listed_json(one) for one in found])
    elif found:
        output.lines(listed_lines(found))
    else:
        output.note("No conversation has all of these words." if listed else "There are no conversations yet.")
    return ExitCode.OK


def _prompts(options: Options, output: Output) -> ExitCode:
    """Their names and how they begin."""
    store = PromptStore(paths().prompts)
    found = [(name, store.text(name)) for name in store.names()]
    if options.json:
        output.json([{"name": name, "text": text, "file": str(store.path(name))} for name, text in found])
    elif found:
        output.table(Table(("", ""), [(name, one_line(text, 80)) for name, text in found]))
    else:
        output.note("There are no named prompts yet; localrun prompt add NAME TEXT keeps one.")
    return ExitCode.OK


def _weights(options: Options, output: Output) -> ExitCode:
    offers = [_labelled(offer, output) for offer in local.find_local()]
    if options.json:
        output.json([offer_json(offer) for offer in offers])
        return ExitCode.OK
    if offers:
        output.table(offers_table(offers))
    else:
        output.note("There are no weights here yet; localrun llama-3.2-3b would fetch some.")
    for offer in offers:
        for sentence in offer.notes:
            output.note(sentence)
    return ExitCode.OK


def _labelled(offer: Offer, output: Output) -> Offer:
    """With the quantization of sets whose names do not say it, from their headers."""
    silent = [one for one in offer.sets if not one.quant]
    if not silent:
        return offer
    try:
        reads = read_headers(silent, paths().headers).sets
    except LocalrunError as error:
        output.note(str(error))
        return offer
    labelled = (one for read in reads for one in quantizations([read])[0])
    found = {one.weights.files: one.weights for one in labelled}
    return replace(offer, sets=tuple(found.get(one.files, one) for one in offer.sets))
