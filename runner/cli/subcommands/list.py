"""`localrun list`: all weights on this machine, with where they come from."""

from __future__ import annotations

from dataclasses import replace

from models.errors import ExitCode, LocalrunError
from models.headers.quantizations import quantizations
from models.hub.remote import read_headers
from models.stores import local
from models.weights import Offer
from runner.cli.options import Options
from runner.cli.output import Output
from runner.report.weights import offer_json, offers_table
from runner.storage.paths import paths


def run(options: Options, output: Output) -> ExitCode:
    """Print a row per quantization."""
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
