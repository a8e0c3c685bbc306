"""What the engine process can compute on: its own list, and devices of other machines that are added to it."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import DeviceLost, EngineError, EngineHung
from models.visible import one_line
from runner.client.far import meet
from runner.client.process import EngineProcess
from runner.client.version import localrun_version
from runner.types.commands import Devices, Protocol
from runner.types.lending import Lender
from runner.types.machine import Runtime

_LONGEST = 400  # characters of a sentence with words of another machine in it


def runtime(process: EngineProcess) -> Runtime:
    """What this llama.cpp can use."""
    return process.ask(Devices())


def add_rpc(process: EngineProcess, endpoints: Sequence[str]) -> None:
    """Make the devices at `host:port` ours."""
    for endpoint in endpoints:
        join(process, meet(endpoint, endpoint))


def join(process: EngineProcess, lender: Lender) -> None:
    """Make what a lender has ours. EngineError where it speaks another RPC than this llama.cpp."""
    if lender.protocol != (own := process.ask(Protocol())):
        raise EngineError(_differ(process, lender, own))
    try:
        process.borrow(lender)
    except EngineHung:
        raise DeviceLost(f"{lender.called} listens and does not answer as a worker does.") from None


def _differ(process: EngineProcess, lender: Lender, own: tuple[int, int, int]) -> str:
    offer = lender.offer
    there = f"localrun {offer.localrun} with llama.cpp {offer.llama_cpp}" if offer else "llama.cpp's own server"
    here = f"localrun {localrun_version()} with llama.cpp {runtime(process).version}"
    return one_line(
        f"{lender.called} and this computer do not understand each other: there is {there} (RPC "
        f"{_dotted(lender.protocol)}), here {here} (RPC {_dotted(own)}). Install the same localrun on both.",
        _LONGEST,
    )


def _dotted(version: tuple[int, int, int]) -> str:
    return ".".join(map(str, version))
