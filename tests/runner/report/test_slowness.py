"""Every cause has its sentence and its JSON."""

from typing import get_args

import pytest

from runner.report.slowness import slow_json, slow_line
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

HELP = "Ending it would help."
SAID = (
    (DriverSpill("CUDA0"), "the driver keeps a part of CUDA0's memory in host memory. A larger --margin would help."),
    (Swapping(2e7), "20 MB a second come from swap. Ending other programs would help, or a smaller model."),
    (
        DiskReads(9e7),
        "90 MB a second of weights are read from disk, as memory does not hold them. Ending other programs would help.",
    ),
    (DiskReads(None), "weights are read from disk, as memory does not hold them. Ending other programs would help."),
    (Throttled("CPU", Throttle.HEAT), "the processor is too hot and has lowered its clocks. Cooling would help."),
    (Throttled("CUDA1", Throttle.POWER), "CUDA1 is at its power limit. A higher one would help (nvidia-smi -pl)."),
    (
        DeviceShared("CUDA0", "blender (process 7) holds 3.0 GiB"),
        "blender (process 7) holds 3.0 GiB and computes on CUDA0, too. Ending it would help.",
    ),
    (FewerCores(0.5, 8), "it may use 0.5 cores, and 8 threads were planned. More cores would help."),
    (FewerCores(1.0, 2), "it may use 1 core, and 2 threads were planned. More cores would help."),
    (
        CoresTaken("ffmpeg", 812, 1.52),
        "other programs take 1.5 cores, ffmpeg (process 812) most of it. Ending it would help.",
    ),
    (
        BandwidthShared("x\x1b[2J", 9, 1.0),
        "other programs keep 1 core busy, x␛[2J (process 9) most of it, and may read the same memory. " + HELP,
    ),
    (OnBattery(), "this computer runs on its battery. Power from the mains would help."),
    (
        LongContext(20_000, 2048),
        "20,000 tokens are in the context, and it was predicted for 2,048. A shorter conversation would help.",
    ),
    (None, "nothing that can be seen from here explains it."),
)


@pytest.mark.parametrize(("cause", "said"), SAID)
def test_the_sentence(cause: Cause | None, said: str) -> None:
    assert slow_line(Slowness(0.384, cause)) == f"Decode is 38% below its prediction: {said}"


def test_every_cause_is_said() -> None:
    assert {type(cause) for cause, _ in SAID} == {*get_args(Cause), type(None)}


def test_json() -> None:
    assert slow_json(Slowness(0.384, CoresTaken("ffmpeg", 812, 1.52))) == {
        "below": 0.38,
        "cause": {"kind": "CoresTaken", "name": "ffmpeg", "pid": 812, "cores": 1.52},
        "message": "Decode is 38% below its prediction: other programs take 1.5 cores, "
        "ffmpeg (process 812) most of it. Ending it would help.",
    }
    assert slow_json(Slowness(0.3, None)) == {
        "below": 0.3,
        "cause": None,
        "message": "Decode is 30% below its prediction: nothing that can be seen from here explains it.",
    }
