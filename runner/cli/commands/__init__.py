"""The commands beside running: plan, pull, list, show, rm, bench, doctor, worker, paths."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from models.errors import Declined, ExitCode, LocalrunError, UsageError
from models.headers.candidates import candidates
from models.headers.describe import Description, quality_word
from models.hub.remote import read_headers
from models.names.remove import removal, remove
from models.stores import local
from models.stores.cache import weights_folder
from models.weights import Offer
from runner.cli import run
from runner.cli.commands import doctor
from runner.cli.options import Options
from runner.cli.output import Output
from runner.client.devices import runtime
from runner.hardware import host
from runner.report import contract
from runner.report.plan_table import plan_lines
from runner.service import benchmark
from runner.service.service import LocalService
from runner.storage.paths import paths
from runner.types.codec import pack
from runner.types.units import gb, gib


@contextmanager
def backend_for(output: Output) -> Iterator[LocalService]:
    """A backend that ends with the command."""
    backend = LocalService(note=output.note)
    try:
        yield backend
    finally:
        backend.close()


def plan(options: Options, output: Output) -> ExitCode:
    """Every way this machine can run the model, before a weight byte moves."""
    with backend_for(output) as backend:
        assert options.model is not None
        found = backend.plan(options.model, options.wish, options.on, wide=True)
        instead = "" if found.chosen is not None else backend.instead(found)
    if options.json:
        output.json({**contract.plan_json(found), **({"instead": instead} if instead else {})})
    else:
        for line in plan_lines(found):
            output.line(line)
    if found.chosen is None:
        output.error(" ".join(filter(None, (found.why, instead))))
        return ExitCode.DOES_NOT_FIT
    return ExitCode.OK


def pull(options: Options, output: Output) -> ExitCode:
    """Download what the plan chooses, and nothing else."""
    with backend_for(output) as backend:
        assert options.model is not None
        found = backend.plan(options.model, options.wish, wide=True)
        index = backend.chosen(found)
        candidate = found.candidates[index]
        if not candidate.download_bytes:
            output.note(f"{candidate.quant} is here already.")
        else:
            run.download(backend, options, output, found, index)
    files = [str(path) for path in backend.paths_of(found, index)]
    if options.json:
        output.json({"quant": candidate.quant, "bytes": candidate.file_bytes, "files": files})
    else:
        for path in files:
            output.line(path)
    return ExitCode.OK


def list_models(options: Options, output: Output) -> ExitCode:
    """All weights on this machine, with where they come from."""
    offers = [_labelled(offer, output) for offer in local.find_local()]
    if options.json:
        output.json([_offer_json(offer) for offer in offers])
        return ExitCode.OK
    rows = [
        (offer.name, one.quant or "unknown", gib(one.bytes), offer.origin)
        for offer in offers
        for one in sorted(offer.sets, key=lambda one: -one.bytes)
    ]
    if rows:
        output.table(("model", "quant", "size", "from"), rows, right=(2,))
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
        reads, _ = candidates(read_headers(silent, paths().headers).sets)
    except LocalrunError as error:
        output.note(str(error))
        return offer
    found = {read.weights.files: read.weights for read in reads}
    return replace(offer, sets=tuple(found.get(one.files, one) for one in offer.sets))


def _offer_json(offer: Offer) -> contract.Json:
    sets = [
        {
            "quant": one.quant,
            "bytes": one.bytes,
            "files": [str(file.path) for file in one.files],
        }
        for one in offer.sets
    ]
    return {"name": offer.name, "origin": offer.origin, "sets": sets, "notes": list(offer.notes)}


def show(options: Options, output: Output) -> ExitCode:
    """What the headers of a model say."""
    assert options.model is not None
    with backend_for(output) as backend:
        found = backend.describe(options.model, options.wish)
    if options.json:
        output.json([pack(one) for one in found])
        return ExitCode.OK
    for number, one in enumerate(found):
        if number:
            output.line()
        for line in _shown(one):
            output.line(line)
    return ExitCode.OK


def _shown(one: Description) -> Iterator[str]:
    experts = f", {one.experts_used} of {one.experts} experts a token" if one.experts else ""
    windows = f", {one.windowed_layers} of {one.layers} layers keep only a window" if one.windowed_layers else ""
    state = f", and {gib(one.state_bytes)} of state" if one.state_bytes else ""
    yield f"{one.name or one.files[0]}  {one.quant}"
    yield f"  architecture  {one.arch}, {one.layers} layers{experts}"
    yield f"  parameters    {one.parameters / 1e9:.4g}B at {one.bits_per_weight:.2f} bits each"
    yield f"  quality       {quality_word(one.quality_loss)}: {one.quality_loss:.4g} ({one.quality_source})"
    here = "here" if one.is_here else "not here"
    files = f"{len(one.files)} files" if len(one.files) > 1 else one.files[0]
    yield f"  size          {gib(one.file_bytes)} ({gb(one.file_bytes)}), {files}, {here}"
    for role in one.roles:
        yield f"    {role.role:<13} {gib(role.bytes):>9}  {role.bits_per_weight:5.2f} bits"
    yield f"  KV cache      {gib(one.kv_bytes_per_1000)} per 1000 tokens at f16{windows}{state}"
    yield f"  context       trained to {one.context_trained} tokens"
    yield f"  vocabulary    {one.vocabulary} tokens"
    yield f"  template      {'in the file' if one.template else 'none: ChatML is used'}"
    yield f"  licence       {one.licence or 'not stated'}"


def rm(options: Options, output: Output) -> ExitCode:
    """Remove weights that this program may remove; say how much that frees."""
    assert options.model is not None
    doomed = removal(options.model, options.wish.quant)
    if output.err_is_terminal and sys.stdin.isatty() and not options.yes:
        names = ", ".join(path.name for path in (*doomed.paths, *doomed.leftovers))
        if not output.ask(f"Remove {names}, {gib(doomed.bytes)}?"):
            raise Declined("Nothing was removed.")
    freed = remove(doomed)
    if options.json:
        output.json({"freed_bytes": freed, "files": [str(path) for path in (*doomed.paths, *doomed.leftovers)]})
    else:
        output.line(f"{gib(freed)} freed.")
    return ExitCode.OK


def run_bench(options: Options, output: Output) -> ExitCode:
    """Measure, next to what was predicted."""
    with backend_for(output) as backend:
        session = run.open_model(backend, options, output)
        measured = benchmark.measure(session, told=output.progress)
        output.clear_progress()
        memory = contract.planned_and_measured(session.candidate.memory, session.loaded.memory)
    if options.json:
        output.json(contract.bench_json(measured, session.candidate, session.loaded, benchmark.RUNS))
        return ExitCode.OK
    predicted = session.candidate.predicted
    rows = [
        (
            "decode",
            *_triple(measured.decode_tps, measured.decode_range),
            _or_dash(predicted.decode_tps if predicted else None),
        ),
        (
            "prefill",
            *_triple(measured.prefill_tps, measured.prefill_range),
            _or_dash(predicted.prefill_tps if predicted else None),
        ),
    ]
    output.table(("tok/s", "median", "range", "predicted"), rows, right=(1, 2, 3))
    output.line(
        f"first token after {measured.ttft_s:.3f} s of a prompt of 512; loaded in {session.loaded.load_s:.2f} s"
    )
    _memory_table(memory, output)
    return ExitCode.OK


def _triple(value: float, spread: tuple[float, float]) -> tuple[str, str]:
    return f"{value:.1f}", f"{spread[0]:.1f} to {spread[1]:.1f}"


def _or_dash(value: float | None) -> str:
    return f"{value:.1f}" if value else "n/a"


def _memory_table(memory: list[contract.Json], output: Output) -> None:
    rows = []
    for row in memory:
        for name in ("weights", "kv", "compute"):
            planned, measured = row["planned"], row["measured"]
            cells = (gib(side[name]) if side else "n/a" for side in (planned, measured))
            rows.append((row["device"] if name == "weights" else "", name, *cells))
    output.line()
    output.table(("device", "", "planned", "measured"), rows, right=(2, 3))


def run_doctor(options: Options, output: Output) -> ExitCode:
    """Hardware, llama.cpp's build, what is missing and the command that fixes it."""
    with backend_for(output) as backend:
        check = doctor.examine(backend.engine, weights_folder())
    if options.json:
        output.json(pack(check))
    else:
        for line in doctor.lines(check, paths()):
            output.line(line)
    return ExitCode.OK


def worker(options: Options, output: Output) -> ExitCode:
    """Lend this machine's devices to another localrun; runs until it is stopped."""
    endpoint = options.listen or "127.0.0.1:50052"
    name, _, port = endpoint.rpartition(":")
    if not name or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen wants host:port, not {endpoint!r}.")
    with backend_for(output) as backend:
        offered = [device.id for device in runtime(backend.engine).devices]
        devices = options.wish.devices or tuple(one for one in offered if one != "CPU") or ("CPU",)
        output.warn(
            f"Lending {', '.join(devices)} at {endpoint}. Anybody who reaches that port can use them: "
            "llama.cpp's RPC has no password. Ctrl-C ends it."
        )
        backend.engine.ask("lend", endpoint=endpoint, devices=list(devices), threads=host.cores())
    return ExitCode.OK


def show_paths(options: Options, output: Output) -> ExitCode:
    """Where everything is."""
    found = paths()
    places: dict[str, Path] = {
        "configuration": found.config_file,
        "conversations": found.conversations,
        "history": found.history,
        "log": found.engine_log,
        "headers": found.headers,
        "weights": weights_folder(),
    }
    if options.json:
        output.json({name: str(path) for name, path in places.items()})
    else:
        output.table(("", ""), [(name, str(path)) for name, path in places.items()])
    return ExitCode.OK


COMMANDS: dict[str, Callable[[Options, Output], ExitCode]] = {
    "plan": plan,
    "pull": pull,
    "list": list_models,
    "show": show,
    "rm": rm,
    "bench": run_bench,
    "doctor": run_doctor,
    "worker": worker,
    "paths": show_paths,
}
