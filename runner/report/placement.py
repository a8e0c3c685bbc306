"""A model and a machine in words: what they are, where a candidate would go, how fast it should be. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from runner.report.guesses import guesser, with_guesses
from runner.report.words import context, gib, hardware, parameters, rate, rates
from runner.types.machine import Device, Machine
from runner.types.placement import Placement
from runner.types.plan import Candidate, ModelInfo, Verdict
from runner.types.reasons import Refused

PLACES = {Verdict.GPU: "GPU", Verdict.SPLIT: "GPU+CPU", Verdict.CPU: "CPU", Verdict.NO: "does not fit"}


def place_word(candidate: Candidate) -> str:
    """Where it would run; why it would not, if that is no matter of memory."""
    is_refused = any(isinstance(reason, Refused) for reason in candidate.reasons)
    return "refused" if is_refused else PLACES[candidate.verdict]


def model_facts(model: ModelInfo) -> Iterator[str]:
    """`70.6B parameters`, `80 layers`, `2 of 8 experts a token`, `trained to 128k`."""
    yield f"{parameters(model.parameters)} parameters"
    yield f"{model.layers} layers"
    if model.experts:
        yield f"{model.experts_used} of {model.experts} experts a token"
    yield f"trained to {context(model.context_trained)}"


def machine_facts(machine: Machine) -> Iterator[str]:
    """`2 × RTX 3090 (23.3 GiB free each)`, `Ryzen 9 5900X`, `56.0 GiB of RAM`, `RTX 4090 of tower (22.1 GiB free)`."""
    yield from _devices([device for device in machine.devices if device.lent is None])
    if machine.cpu_name:
        yield hardware(machine.cpu_name)
    yield f"{gib(machine.ram_available)} of RAM"
    yield from _devices([device for device in machine.devices if device.lent is not None])


def _devices(devices: Sequence[Device]) -> Iterator[str]:
    for (name, free), count in Counter((_name(device), gib(device.free)) for device in devices).items():
        several, each = (f"{count} × ", " each") if count > 1 else ("", "")
        yield f"{several}{name} ({free} free{each})"


def _name(device: Device) -> str:
    """What it is, and whose where that is another machine's."""
    lent = device.lent
    if lent is None or device.name == lent.endpoint:
        return hardware(device.name)
    return f"{hardware(device.name)} of {lent.host or lent.endpoint}"


def where(candidate: Candidate) -> str:
    """`all 81 layers on CUDA0, 8k context in f16, beside it llama-3.2-1b with 1.2 GiB`."""
    placement = candidate.placement
    if placement is None:
        return "does not run here"
    beside = (f"beside it {guesser(one.kind, one.name)} with {gib(one.bytes)}" for one in candidate.companions)
    return ", ".join((layers_on(placement), cache(placement), *beside))


def layers_on(placement: Placement) -> str:
    """`all 81 layers on CUDA0, the FFN of 4 in RAM`."""
    names, total = " and ".join(placement.devices) or "the CPU", placement.layers_total
    if placement.devices and placement.gpu_layers < total:
        return f"{placement.gpu_layers} of {total} layers on {names}"
    if placement.experts_on_cpu:
        return f"all {total} layers on {names}, experts of {placement.experts_on_cpu} in RAM"
    if placement.ffn_on_cpu:
        return f"all {total} layers on {names}, the FFN of {placement.ffn_on_cpu} in RAM"
    return f"all {total} layers on {names}"


def cache(placement: Placement) -> str:
    """`8k context in f16`; of a model that makes vectors, `texts of up to 8k tokens`."""
    if placement.pooling:
        return f"texts of up to {context(placement.ctx)} tokens"
    return f"{context(placement.ctx)} context in {placement.kv_type}"


def expected(candidate: Candidate) -> str:
    """`about 17.3 tok/s (15.9 to 18.2)`, of a model that makes vectors those read; empty where nothing is predicted."""
    predicted = candidate.predicted
    if predicted is None:
        return ""
    reads = candidate.placement is not None and candidate.placement.pooling is not None
    speed = predicted.prefill_tps if reads else predicted.decode_tps
    spread = predicted.range and (predicted.range.prefill if reads else predicted.range.decode)
    said = f"about {rate(speed)}{f' ({rates(spread)})' if spread else ''}"
    return ", ".join(filter(None, (said, with_guesses(predicted))))


def outlook(candidate: Candidate) -> str:
    """`all 81 layers on CUDA0, 8k context in f16, about 17.3 tok/s (15.9 to 18.2)`."""
    return ", ".join(filter(None, (where(candidate), expected(candidate))))
