"""Why an answer is slower than predicted, and what would help, in words and as JSON. Pure."""

from __future__ import annotations

from typing import Any

from runner.report.words import file_size, one_line, percent, plural
from runner.types.codec import pack
from runner.types.sample import Throttle
from runner.types.slowness import (
    BandwidthShared,
    Cause,
    CoresTaken,
    DeviceShared,
    DiskReads,
    DriverSpill,
    FewerCores,
    LongContext,
    OnBattery,
    Slowness,
    Swapping,
    Throttled,
)


def slow_line(slow: Slowness) -> str:
    """`Decode is 38% below its prediction: ffmpeg (process 812) ... Ending it would help.`"""
    return f"Decode is {percent(slow.below)} below its prediction: {_said(slow.cause)}"


def slow_json(slow: Slowness) -> dict[str, Any]:
    """The cause by its name with what was seen, and the same sentence as everywhere."""
    cause = {"kind": type(slow.cause).__name__, **pack(slow.cause)} if slow.cause else None
    return {"below": round(slow.below, 2), "cause": cause, "message": slow_line(slow)}


def _said(cause: Cause | None) -> str:
    """The cause, and what would help."""
    known = cause and (_of_memory(cause) or _of_devices(cause) or _of_cores(cause))
    return known or "nothing that can be seen from here explains it."


def _of_memory(cause: Cause) -> str | None:
    match cause:
        case Swapping(rate):
            return f"{file_size(rate)} a second come from swap. Ending other programs would help, or a smaller model."
        case DiskReads(rate):
            much = f"{file_size(rate)} a second of weights are" if rate is not None else "weights are"
            return f"{much} read from disk, as memory does not hold them. Ending other programs would help."
        case LongContext(tokens, predicted_at):
            longer = f"{plural(tokens, 'token')} are in the context, and it was predicted for {predicted_at:,}"
            return f"{longer}. A shorter conversation would help."
    return None


def _of_devices(cause: Cause) -> str | None:
    match cause:
        case DriverSpill(device):
            return f"the driver keeps a part of {device}'s memory in host memory. A larger --margin would help."
        case Throttled(device, Throttle.HEAT):
            return f"{_device(device)} is too hot and has lowered its clocks. Cooling would help."
        case Throttled(device, Throttle.POWER):
            return f"{_device(device)} is at its power limit. A higher one would help (nvidia-smi -pl)."
        case DeviceShared(device, claim):
            return f"{claim} and computes on {device}, too. Ending it would help."
        case OnBattery():
            return "this computer runs on its battery. Power from the mains would help."
    return None


def _of_cores(cause: Cause) -> str | None:
    match cause:
        case FewerCores(cores, threads):
            return f"it may use {_cores(cores)}, and {plural(threads, 'thread')} were planned. More cores would help."
        case CoresTaken(name, pid, cores):
            return f"other programs take {_cores(cores)}, {_process(name, pid)} most of it. Ending it would help."
        case BandwidthShared(name, pid, cores):
            busy = f"other programs keep {_cores(cores)} busy, {_process(name, pid)} most of it"
            return f"{busy}, and may read the same memory. Ending it would help."
    return None


def _device(device: str) -> str:
    return "the processor" if device == "CPU" else device


def _process(name: str, pid: int) -> str:
    return f"{one_line(name or 'one', 30)} (process {pid})"


def _cores(count: float) -> str:
    """`1.5 cores`, `1 core`."""
    text = f"{count:.1f}".removesuffix(".0")
    return f"{text} core" if text == "1" else f"{text} cores"
