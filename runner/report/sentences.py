"""The reasons of a plan in plain sentences: the same for every front end. Searches nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from models.headers.describe import quality_word
from models.headers.quants import quality
from runner.report import guesses
from runner.report.placement import outlook, where
from runner.report.words import capital, context, gib, one_line, percent, rate, seconds
from runner.types.plan import Candidate, Plan, Verdict
from runner.types.reasons import (
    Accompanied,
    BestAt,
    Better,
    BeyondTrained,
    Faster,
    FastestWith,
    FromHistory,
    Goal,
    HeadsLeftOut,
    LargestThatRuns,
    LayersThatFit,
    LessThanTrained,
    LongerUbatch,
    Lowered,
    Mapped,
    MostOnDevices,
    NoDevices,
    NoneRuns,
    Noted,
    NothingFits,
    OnHost,
    OnlyOne,
    OnOthers,
    OthersLeftOut,
    Overdrawn,
    Reason,
    Refused,
    SharedLimit,
    ShortOnHost,
    Spilled,
    SplitByTensor,
    Taken,
    TunedHere,
    Unaccompanied,
    WeightsThatFit,
    Why,
    WouldFitWith,
)
from runner.types.units import MIB

_LEAST_SLOWDOWN = 1.05  # below that, nobody would notice
_SETTINGS = {"kv_type": "KV cache", "ubatch": "ubatch"}


def why(plan: Plan) -> str:
    """Why this candidate was chosen, or why none; empty where nobody has said."""
    return " ".join(map(sentence, plan.why))


def reasons(candidate: Candidate) -> tuple[str, ...]:
    """Why a candidate is as it is, and what would change it: the most important first."""
    return tuple(map(sentence, candidate.reasons))


def sentence(reason: Reason | Why) -> str:
    """A reason as one plain sentence."""
    match reason:
        case Taken() | Better() | Faster() | NoneRuns() | WeightsThatFit() | TunedHere():
            return _of_choice(reason)
        case SharedLimit() | SplitByTensor() | OnOthers() | OthersLeftOut():
            return _of_devices(reason)
        case Accompanied() | Unaccompanied() | HeadsLeftOut():
            return guesses.sentence(reason)
        case LongerUbatch() | Mapped() | ShortOnHost():
            return _of_prompts(reason)
        case Noted() | Refused() | Overdrawn() | LayersThatFit() | NoDevices() | NothingFits():
            return _of_refusal(reason)
        case _:
            return _of_placement(reason)


def _of_choice(reason: Taken | Better | Faster | NoneRuns | WeightsThatFit | TunedHere) -> str:
    match reason:
        case Taken(quant, tps, ctx, goal):
            return f"{quant}: {rate(tps)} with a context of {context(ctx)}, {_goal(goal)}."
        case Better():
            return _given_up(reason)
        case Faster(quant, tps):
            return f"{quant} fits the GPU whole and would run at {rate(tps)}."
        case NoneRuns(count, quant, first):
            subject = "It does not run" if count == 1 else f"None of {count} quantizations runs"
            label = quant if count == 1 else f"{quant}, the smallest"
            return f"{subject} here. {label}: {sentence(first)}"
        case WeightsThatFit(size):
            return f"Weights of up to {gib(size)} would fit."
        case TunedHere(at, gain):
            return f"Tuned here on {datetime.fromtimestamp(at, UTC).date()}: {percent(gain)} faster than planned."


def _goal(goal: Goal) -> str:
    match goal:
        case OnlyOne():
            return "the only one on offer"
        case BestAt(tps):
            return f"the best quality at {tps:g} tok/s or more"
        case FastestWith(bits):
            return f"the fastest with {bits:g} bits per weight or more"
        case LargestThatRuns():
            return "the largest that runs"
        case FromHistory():
            return "going by what was measured here before"


def _given_up(better: Better) -> str:
    if better.refused is not None:
        return f"{better.quant}: {sentence(Refused(better.refused))}"
    if better.short_of_all > 0:
        return f"{better.quant} would need {gib(better.short_of_all)} more memory."
    if better.tps is None:
        return f"{better.quant} does not fit."
    needs = f" and need {gib(better.short_of_gpu)} more to be all on the GPU" if better.short_of_gpu > 0 else ""
    return f"{better.quant} would run at {rate(better.tps)}{needs}."


def _of_refusal(reason: Noted | Refused | Overdrawn | LayersThatFit | NoDevices | NothingFits) -> str:
    match reason:
        case Noted(said):
            return said
        case Refused(said):
            return f"llama.cpp refuses it: {said}"
        case Overdrawn(device, size):
            name = "RAM" if device == "CPU" else device
            return f"{name} is overdrawn by {gib(size)} (the margin included)."
        case LayersThatFit(count):
            return f"--gpu-layers {count} would fit." if count else "Not one layer would fit there."
        case NoDevices():
            return "There is no GPU to put layers on; --gpu-layers changes nothing."
        case NothingFits(needed, ctx, device_bytes, ram_bytes, short, kept):
            gpus = f"{gib(device_bytes)} of GPU memory and " if device_bytes else ""
            has = f"this machine has {gpus}{gib(ram_bytes)} of RAM to give"
            verdict = f": {gib(short)} too little" if short > 0 else ", too scattered to use"
            reserve = f", for {gib(kept)} of what is free is left to other programs" if 0 < short <= kept else ""
            return f"Needs {gib(needed)} for weights, {context(ctx)} of context and buffers; {has}{verdict}{reserve}."


def _of_placement(reason: Spilled | WouldFitWith | BeyondTrained | LessThanTrained | MostOnDevices | Lowered) -> str:
    match reason:
        case Spilled(on_host, slower):
            return _spilled(on_host, slower)
        case WouldFitWith(size, ctx):
            also = f", or a context of {context(ctx)}" if ctx else ""
            return f"{gib(size)} more GPU memory{also} would fit all of it."
        case BeyondTrained(ctx, trained):
            return f"The context of {context(ctx)} is longer than the {context(trained)} the model was trained on."
        case LessThanTrained(ctx, trained):
            return f"A context of {context(ctx)}; the model was trained on {context(trained)} (--ctx asks for more)."
        case MostOnDevices(ctx):
            return f"A context of {context(ctx)} is the most with everything on the GPU; {_longer(reason)}."
        case Lowered(setting, value, usual):
            return f"The {_SETTINGS[setting]} is {value}: {usual} would not fit."


def _of_prompts(reason: LongerUbatch | Mapped | ShortOnHost) -> str:
    match reason:
        case LongerUbatch(ubatch, usual):
            return f"Long prompts are read {ubatch} tokens at a time (ubatch), which is faster here than {usual}."
        case Mapped():
            return "The weights in RAM are mapped from their file: pinning them would take longer than prompts gain."
        case ShortOnHost(batch):
            return f"Prompts of fewer than {batch} tokens are read on the CPU, which beats the bus to the GPU."


def _of_devices(reason: SharedLimit | SplitByTensor | OnOthers | OthersLeftOut) -> str:
    match reason:
        case SharedLimit():
            return _shared_limit(reason)
        case SplitByTensor():
            return _split_by_tensor(reason)
        case OnOthers():
            return _on_others(reason)
        case OthersLeftOut():
            return _others_left_out(reason)


def _on_others(reason: OnOthers) -> str:
    trips = "once" if reason.round_trips == 1 else f"{reason.round_trips} times"
    parts = f"{reason.layers} layer{'s' if reason.layers != 1 else ''}"
    sent = "" if reason.load_s is None else f", sent in about {seconds(reason.load_s)}"
    first = " the first time" if reason.keeps_weights and sent else ""
    return (
        f"{reason.device} is {one_line(reason.machine)}: {parts}, {gib(reason.weights)} of weights{sent}{first}; "
        f"each token goes there {trips}, which takes {1e3 * reason.token_s:.1f} ms."
    )


def _others_left_out(reason: OthersLeftOut) -> str:
    left = f"Nothing goes to {' and '.join(map(one_line, reason.machines))}: it fits here, and would"
    if reason.times is None or reason.times < _LEAST_SLOWDOWN:
        return f"{left} not be clearly faster there."
    return f"{left} take {reason.times:.1f} times as long with it."


def _shared_limit(limit: SharedLimit) -> str:
    """With the setting that raises it (macOS takes MiB, Linux's amdgpu pages of 4 KiB)."""
    allowed = f"lets the GPU use {gib(limit.limit)} of {gib(limit.ram)}"
    if limit.metal:
        return (
            f"macOS {allowed}: with `sudo sysctl iogpu.wired_limit_mb={-(-limit.wanted // MIB)}` all of it would fit."
        )
    pages = f"for AMD on Linux: ttm.pages_limit={-(-limit.wanted // 4096)}"
    return f"Its driver {allowed}; {gib(limit.wanted)} would fit all of it ({pages})."


def _split_by_tensor(reason: SplitByTensor) -> str:
    across = "both GPUs" if reason.devices == 2 else f"all {reason.devices} GPUs"
    if reason.faster is None:
        effect = "whole layers would not fit"
    elif reason.faster >= 1:
        effect = f"answers come about {reason.faster:.1f}x as fast as from whole layers, one GPU after the other"
    else:
        effect = f"answers come about {1 / reason.faster:.1f}x slower than from whole layers, one GPU after the other"
    return f"Each layer is split across {across} (-sm tensor): {effect}. llama.cpp calls this experimental."


def _spilled(on_host: OnHost, slower: float) -> str:
    left = _parts(on_host)
    verb = "are" if on_host.layers or on_host.experts else "is"
    cost = f": about {slower:.1f}x slower than with everything on the GPU" if slower >= _LEAST_SLOWDOWN else ""
    return f"{capital(left)} {verb} on the CPU{cost}."


def _longer(reason: MostOnDevices) -> str:
    longer, price = context(reason.longer), reason.price
    if price is None:
        return f"{longer} would not fit"
    if price.on_host is None:
        return f"{longer} fits if the GPUs do not pipeline, which slows prompts down, and costs {percent(price.cost)}"
    return f"{longer} would move {_parts(price.on_host)} to the CPU and cost {percent(price.cost)}"


def _parts(on_host: OnHost) -> str:
    """`the experts of 4 of 56 layers`, `9 of 81 layers`."""
    parts = []
    if on_host.layers:
        parts.append(f"{on_host.layers} of {on_host.layers_total} layers")
    if on_host.parts:
        kind = "experts" if on_host.experts else "FFN"
        parts.append(f"the {kind} of {on_host.parts} of {on_host.parts_total} layers")
    return " and ".join(parts)


# ---- a candidate as a whole


def before_load(plan: Plan, candidate: Candidate) -> Iterator[str]:
    """The plan of a run: where the model goes, how fast it should be, why."""
    yield from plan.machine.notes
    name = f"{one_line(plan.model.name)} {one_line(candidate.quant)}"
    yield f"{name}: {outlook(candidate)}."
    yield from (reason for reason in reasons(candidate) if reason not in plan.machine.notes)


def summary(plan: Plan, candidate: Candidate) -> tuple[str, ...]:
    """Where a candidate goes, then why it was chosen, or how fast it would be if another was."""
    if plan.chosen is not None and plan.candidates[plan.chosen].quant == candidate.quant and plan.why:
        return f"{capital(where(candidate))}.", why(plan)
    return (f"{capital(outlook(candidate))}.",)


def what_costs(candidate: Candidate) -> str:
    """The sentences about what costs speed; nothing where everything is on the GPUs."""
    return " ".join(reasons(candidate)) if candidate.verdict in (Verdict.SPLIT, Verdict.CPU) else ""


def checked_at_the_end(left: Sequence[str]) -> str:
    """What of a schema does not bind the answer while it is written."""
    said = ", ".join(one_line(one) for one in left)
    return f"No grammar holds an answer to {said}: the finished answer is checked, and fails if it does not fit."


def model_sentence(title: str, name: str) -> str:
    """Another model that would run well, and the command to type."""
    return f"{title} would run well: `localrun {name}`."


def quant_sentence(name: str, plan: Plan) -> str:
    """The quantization that a plan of all of them chose: what it costs, and the command to type."""
    assert plan.chosen is not None
    taken = plan.candidates[plan.chosen]
    loss = quality(taken.quant, taken.bits_per_weight).loss
    speed = f" at {rate(taken.predicted.decode_tps)}" if taken.predicted else ""
    return (
        f"{taken.quant} would run{speed} ({where(taken)}), with {quality_word(loss)} quality (a mean KL divergence of "
        f"{loss:.2g}): `localrun {name} --quant {taken.quant}`."
    )
