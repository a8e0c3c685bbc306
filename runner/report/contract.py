"""Plans, answers and measurements as the contract's JSON. Pure: fields may be added, never renamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from models.errors import ExitCode, LocalrunError
from runner.report import sentences
from runner.report.reread import no_way_back
from runner.report.sampling import sampling_json
from runner.report.slowness import slow_json
from runner.types.codec import pack
from runner.types.drafts import Drafted
from runner.types.engine import ComponentBytes, Loaded
from runner.types.exchange import Wait
from runner.types.generation import Chunk, Finish, LikelyToken, TokenLogprobs
from runner.types.machine import Device, Machine
from runner.types.measurement import Benchmark, DraftBenchmark
from runner.types.placement import Placement
from runner.types.plan import Candidate, CompanionPlan, MemoryRow, Plan, Predicted, Spread
from runner.types.reasons import OnOthers
from runner.types.sampling import Sampling, in_force
from runner.types.service import Session
from runner.types.tools_json import deltas_json

Json = dict[str, Any]


def plan_json(plan: Plan) -> Json:
    """`plan --json`."""
    return {
        "model": pack(plan.model),
        "machine": machine_json(plan.machine),
        "candidates": [candidate_json(candidate) for candidate in plan.candidates],
        "chosen": plan.chosen,
        "why": sentences.why(plan),
        "hint": pack(plan.hint),
        "fetched_bytes": plan.fetched_bytes,
        "seconds": round(plan.seconds, 3),
    }


def machine_json(machine: Machine) -> Json:
    """The machine, its devices and, last, the CPU."""
    cpu = {
        "id": "CPU",
        "kind": "cpu",
        "name": machine.cpu_name,
        "total": machine.ram_total,
        "free": machine.ram_available,
        "bandwidth": machine.ram_bandwidth,
        "shares_host_memory": True,
    }
    return {
        **_some(machine, "source", "ram_total", "ram_available", "ram_bandwidth", "cores"),
        "devices": [*(_device_json(device) for device in machine.devices), cpu],
        "notes": list(machine.notes),
    }


def _device_json(device: Device) -> Json:
    said = _some(device, "id", "kind", "name", "total", "free", "bandwidth", "shares_host_memory", "overhead")
    lent = device.lent
    if lent is None:
        return said
    return {**said, "machine": lent.called, "endpoint": lent.endpoint, "road": pack(lent.road)}


def network_json(candidate: Candidate) -> list[Json]:
    """What of it is on other machines, an entry for each of their devices."""
    return [pack(reason) for reason in _on_others(candidate)]


def _on_others(candidate: Candidate) -> list[OnOthers]:
    return [reason for reason in candidate.reasons if isinstance(reason, OnOthers)]


def _some(value: object, *names: str) -> Json:
    """These attributes, under their names."""
    return {name: pack(getattr(value, name)) for name in names}


def candidate_json(candidate: Candidate) -> Json:
    """One candidate; context and KV type stand beside the placement, which holds the rest."""
    placement = candidate.placement
    return {
        **_some(candidate, "quant", "files", "file_bytes"),
        "bits_per_weight": round(candidate.bits_per_weight, 2),
        **_some(candidate, "download_bytes", "verdict"),
        "ctx": placement.ctx if placement else None,
        "kv_type": placement.kv_type if placement else None,
        "placement": placement_json(placement) if placement else None,
        "memory": [memory_json(row) for row in candidate.memory],
        "companions": [_companion_json(one, placement) for one in candidate.companions],
        "predicted": predicted_json(candidate.predicted),
        "request": request_json(candidate.wait),
        "network": network_json(candidate),
        "confirmed_by": candidate.confirmed_by.value,
        "reasons": list(sentences.reasons(candidate)),
        "short_of_gpu": candidate.short_of_gpu,
    }


def placement_json(placement: Placement) -> Json:
    """What llama.cpp is told."""
    fields: Json = pack(placement)
    return {key: value for key, value in fields.items() if key not in ("ctx", "kv_type", "sequences", "companion")}


def loaded_placement_json(placement: Placement) -> Json:
    """The same with context and KV type, where these do not stand beside it."""
    return {"ctx": placement.ctx, "kv_type": placement.kv_type, **placement_json(placement)}


def loaded_json(name: str, candidate: Candidate, placement: Placement, loaded: Loaded) -> Json:
    """What runs, in the words of an answer's JSON."""
    return {
        "model": {"name": name, "quant": candidate.quant},
        "placement": loaded_placement_json(placement),
        "memory": planned_and_measured(candidate.memory, loaded.held),
        "notes": list(loaded.notes),
    }


def _companion_json(one: CompanionPlan, beside: Placement | None) -> Json:
    """Who guesses; `memory` is its part of the candidate's."""
    own = beside.companion.placement if beside is not None and beside.companion is not None else None
    return {
        "kind": one.kind.value,
        "file": one.files[0] if one.files else None,
        "memory": [memory_json(row) for row in one.memory],
        "download_bytes": one.download_bytes,
        "placement": placement_json(own) if own else None,
    }


def memory_json(row: MemoryRow) -> Json:
    """A ledger line with its sums."""
    fields: Json = pack(row)
    return {**fields, "total": row.total, "free_after": row.free_after}


def predicted_json(predicted: Predicted | None) -> Json | None:
    """Speeds, rounded to what they mean."""
    if predicted is None:
        return None
    return {
        "decode_tps": round(predicted.decode_tps, 2),
        "prefill_tps": round(predicted.prefill_tps, 1),
        "at_depth": predicted.at_depth,
        "range": _range_json(predicted.range),
        "draft": _guesses_json(predicted),
    }


def _guesses_json(predicted: Predicted) -> Json | None:
    """What is assumed of a companion's guesses; None without one."""
    guesses = predicted.guesses
    if guesses is None:
        return None
    return {
        **_some(guesses, "kind", "guessed"),
        "acceptance": round(guesses.acceptance, 3),
        "gain": round(guesses.gain, 3),
        "decode_tps": round(predicted.decode_tps * guesses.gain, 2),
        "measured": guesses.is_measured,
    }


def request_json(wait: Wait | None) -> Json | None:
    """The mix of requests that the placement was chosen for, and the seconds that one takes in the mean."""
    if wait is None:
        return None
    mix = [{**_some(one, "depth", "prompt", "answer"), "weight": round(one.weight, 3)} for one in wait.mix]
    return {"mix": mix, "seconds": round(wait.seconds, 2)}


def _range_json(found: Spread | None) -> Json | None:
    if found is None:
        return None
    return {
        "decode": [round(value, 2) for value in found.decode],
        "prefill": [round(value, 1) for value in found.prefill],
    }


def planned_and_measured(planned: Sequence[MemoryRow], measured: Sequence[ComponentBytes]) -> list[Json]:
    """One entry per device: what the plan said beside what llama.cpp allocated; None where one is silent."""
    return [
        {"device": name, "planned": _components(plan), "measured": _components(held)}
        for name, plan, held in paired(planned, measured)
    ]


def paired(
    planned: Sequence[MemoryRow], measured: Sequence[ComponentBytes]
) -> list[tuple[str, MemoryRow | None, ComponentBytes | None]]:
    """Every device with what the plan said of it and what llama.cpp holds there, the CPU last."""
    plans = {row.device: row for row in planned}
    found = {row.device: row for row in measured}
    names = [name for name in (*plans, *found) if name != "CPU"]
    return [(name, plans.get(name), found.get(name)) for name in (*dict.fromkeys(names), "CPU")]


def _components(row: MemoryRow | ComponentBytes | None) -> Json | None:
    return _some(row, "weights", "kv", "compute") if row else None


def numbered(said: Json, number: object) -> Json:
    """With the `id` of the question that it answers, where that had one."""
    return said if number is None else {**said, "id": number}


def delta_json(chunk: Chunk) -> Json:
    """A line of `--jsonl`; `recast` where all deltas before are thinking after all. Pieces of calls as OpenAI's."""
    reasoning = {"reasoning": chunk.reasoning} if chunk.reasoning else {}
    calls = {"tool_calls": deltas_json(chunk.calls)} if chunk.calls else {}
    return {"delta": chunk.text, **reasoning, **({"recast": True} if chunk.recast else {}), **calls}


def answer_json(
    text: str,
    reasoning: str,
    last: Chunk,
    session: Session,
    asked: Sampling,
    logprobs: Sequence[TokenLogprobs] = (),
) -> Json:
    """`-p ... --json`, and the last line of `--jsonl`; `asked` is the sampling as far as somebody said so.

    `logprobs` of all tokens of the answer, where asked for.
    """
    candidate, placement, loaded = session.candidate, session.placement, session.loaded
    sampling = in_force(replace(asked, seed=None), session.recommended)
    return {
        "text": text,
        "reasoning": reasoning or None,
        "finish_reason": last.finish.value if last.finish else "error",
        "model": {"name": session.plan.model.name, "quant": candidate.quant},
        "usage": {
            **_some(last, "prompt_tokens", "cached_tokens", "completion_tokens"),
            "reread_reason": no_way_back(last),
        },
        "timings": {
            "load_s": round(loaded.load_s, 3),
            "ttft_s": _rounded(last.ttft_s, 3),
            "prefill_tps": _rounded(last.prefill_tps, 1),
            "decode_tps": _rounded(last.decode_tps, 2),
            **({"draft": _draft_json(last.draft)} if last.draft else {}),
            **({"slow": slow_json(session.slowness)} if session.slowness else {}),
        },
        "placement": loaded_placement_json(placement),
        "memory": planned_and_measured(candidate.memory, loaded.held),
        "seed": last.seed,
        "logprobs": [_logprobs_json(one) for one in logprobs] or None,
        "sampling": sampling_json(sampling),
        "notes": [*loaded.notes, *last.notes],
    }


def _draft_json(draft: Drafted) -> Json:
    return {**_some(draft, "kind", "drafted", "accepted"), "gain": round(draft.gain, 3)}


def _logprobs_json(one: TokenLogprobs) -> Json:
    return {**_likely_json(one.drawn), "top_logprobs": [_likely_json(other) for other in one.top]}


def _likely_json(one: LikelyToken) -> Json:
    return {**_some(one, "id", "token", "bytes"), "logprob": round(one.logprob, 6)}


def bench_json(measured: Benchmark, candidate: Candidate, loaded: Loaded, runs: int) -> Json:
    """`bench --json`."""
    return {
        "decode_tps": round(measured.decode_tps, 2),
        "decode_tps_range": [round(value, 2) for value in measured.decode_range],
        "prefill_tps": round(measured.prefill_tps, 1),
        "prefill_tps_range": [round(value, 1) for value in measured.prefill_range],
        "ttft_s": round(measured.ttft_s, 4),
        "load_s": round(loaded.load_s, 3),
        "predicted": predicted_json(candidate.predicted),
        "memory": planned_and_measured(candidate.memory, loaded.held),
        "network": [{**pack(one), "traffic": dict(measured.traffic).get(one.device)} for one in _on_others(candidate)],
        "runs": runs,
        "draft": _draft_bench_json(measured.draft),
        "companion": _draft_bench_json(measured.companion),
    }


def _draft_bench_json(draft: DraftBenchmark | None) -> Json | None:
    if draft is None:
        return None
    return {
        **_some(draft, "kind", "drafted", "accepted"),
        "decode_tps": round(draft.decode_tps, 2),
        "plain_decode_tps": round(draft.plain_decode_tps, 2),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def no_answer_json() -> Json:
    """Where nothing was loaded, or asked."""
    return {"text": "", "reasoning": None, "finish_reason": Finish.ERROR.value}


def error_json(error: LocalrunError | KeyboardInterrupt) -> Json:
    """What stands where the result would, when there is none."""
    if isinstance(error, KeyboardInterrupt):
        said = {"kind": "Interrupted", "message": "interrupted", "code": ExitCode.INTERRUPTED}
        return {"finish_reason": Finish.INTERRUPTED.value, "error": said}
    return {"error": {"kind": type(error).__name__, "message": str(error), "code": error.exit_code}}
