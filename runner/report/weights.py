"""Weights and what their headers say, in words, tables and JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from models.files import typed_name
from models.headers.describe import Description, quality_word
from models.weights import Offer, WeightSet
from runner.report.contract import Json
from runner.report.sampling import sampling_json, sampling_lines
from runner.report.table import Table
from runner.report.words import file_size, gib, one_line, plural
from runner.types.codec import pack
from runner.types.sampling import Sampling, in_force


def offers_table(offers: Sequence[Offer]) -> Table:
    """`list`: a row per set of weights, the largest of each offer first; several of one quantization by their files."""
    rows = [
        (one_line(_row_name(offer, one)), one_line(one.quant or "unknown"), gib(one.bytes), offer.origin)
        for offer in offers
        for one in sorted(offer.sets, key=lambda one: -one.bytes)
    ]
    return Table(("model", "quant", "size", "from"), rows, right=(2,))


def _row_name(offer: Offer, one: WeightSet) -> str:
    is_alone = [other.quant for other in offer.sets].count(one.quant) == 1
    return offer.name if is_alone else typed_name(offer, one)


def offer_json(offer: Offer) -> Json:
    """An entry of `list --json`."""
    sets = [
        {"quant": one.quant, "bytes": one.bytes, "files": [str(file.path) for file in one.files]} for one in offer.sets
    ]
    return {"name": offer.name, "origin": offer.origin, "sets": sets, "notes": list(offer.notes)}


def description_json(one: Description, asked: Sampling) -> Json:
    """An entry of `show --json`."""
    return {**pack(one), "sampling": sampling_json(in_force(asked, one.recommended))}


def description_lines(one: Description, asked: Sampling) -> Iterator[str]:
    """`show`: one set of weights, and how it is sampled where only the configuration asks.

    Foreign words are single lines, so that none poses as a line of ours.
    """
    experts = f", {one.experts_used} of {one.experts} experts a token" if one.experts else ""
    windows = f", {one.windowed_layers} of {one.layers} layers keep only a window" if one.windowed_layers else ""
    state = f", and {gib(one.state_bytes)} of state" if one.state_bytes else ""
    yield f"{one_line(one.name or one.files[0])}  {one_line(one.quant)}"
    yield f"  architecture  {one_line(one.arch)}, {one.layers} layers{experts}"
    yield f"  parameters    {one.parameters / 1e9:.4g}B at {one.bits_per_weight:.2f} bits each"
    yield f"  quality       {quality_word(one.quality_loss)}: {one.quality_loss:.4g} ({one.quality_source})"
    here = "here" if one.is_here else "not here"
    files = f"{len(one.files)} files" if len(one.files) > 1 else one_line(one.files[0])
    yield f"  size          {gib(one.file_bytes)} ({file_size(one.file_bytes)}), {files}, {here}"
    for role in one.roles:
        yield f"    {role.role:<13} {gib(role.bytes):>9}  {role.bits_per_weight:5.2f} bits"
    yield f"  KV cache      {gib(one.kv_bytes_per_1000)} per 1000 tokens at f16{windows}{state}"
    yield f"  context       trained to {one.context_trained} tokens"
    yield f"  vocabulary    {one.vocabulary} tokens"
    yield f"  template      {'in the file' if one.template else 'none: the usual marks, if they are tokens'}"
    if one.heads:
        yield f"  guesses       {plural(one.heads, 'head')} of its own can (--draft mtp)"
    if one.drafter:
        yield f"  guesses       {one.drafter} can guess for it (--draft {one.drafter})"
    yield from _sampling(one, asked)
    yield f"  licence       {one_line(one.licence or 'not stated')}"


def _sampling(one: Description, asked: Sampling) -> Iterator[str]:
    lines = [*sampling_lines(in_force(asked, one.recommended))]
    if one.unsupported:
        lines.append(f"its header also sets {', '.join(one.unsupported)}, which localrun does not apply")
    for number, line in enumerate(lines):
        yield f"  {'' if number else 'sampling':<13} {line}"


def removal_question(files: Sequence[Path], size: int) -> str:
    """What `rm` asks first; `size` in bytes."""
    return f"Remove {', '.join(one_line(path.name) for path in files)}, {gib(size)}?"


def freed_line(size: int) -> str:
    """What `rm` did."""
    return f"{gib(size)} freed."
