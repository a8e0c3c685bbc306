"""The doctor on this computer, and what it says of others."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from runner.build.routes import Lack
from runner.cli.subcommands.doctor import Check, SeenGpu, examine, lines
from runner.client.process import EngineProcess
from runner.hardware import nvml
from runner.types.codec import pack, unpack
from runner.types.machine import DeviceFacts, Holder, Kind
from runner.types.units import GIB

LOG = Path("/x/engine.log")
CPU = DeviceFacts("CPU", "Some CPU", Kind.CPU, "CPU", 32 * GIB, 32 * GIB, None, False)
HEALTHY = Check(
    system="Linux",
    cpu="Some CPU",
    cores=8,
    ram_total=32 * GIB,
    ram_available=30 * GIB,
    ram_limit=None,
    weights_folder="/w",
    disk_free=100 * GIB,
    driver=None,
    gpus=(),
    devices=(CPU,),
    backends=("RPC", "CPU"),
    llama_cpp="1.2",
    cpu_features="AVX2 = 1",
    versions={"localrun-llm": "0.1"},
    fix=(),
    lacks=(),
    why=("The processor alone.",),
)


@pytest.fixture(scope="module")
def check(child: EngineProcess, tmp_path_factory: pytest.TempPathFactory) -> Check:
    return examine(child, tmp_path_factory.mktemp("weights"))


def test_this_computer(check: Check) -> None:
    assert check.cores >= 1 and 0 < check.ram_available <= check.ram_total and check.disk_free > 0
    assert "CPU" in check.backends and check.devices[-1].id == "CPU"
    assert check.versions["llama-cpp-python"] == version("llama-cpp-python")
    told = lines(check, LOG)
    assert [line.split()[0] for line in told[:5]] == ["system", "CPU", "RAM", "disk", "driver"]
    assert f"built for {', '.join(check.backends)}" in "\n".join(told)


def test_it_travels_as_json(check: Check) -> None:
    assert unpack(Check, json.loads(json.dumps(pack(check)))) == check


def test_a_folder_that_is_not_there_yet_has_free_space_too(child: EngineProcess, tmp_path: Path) -> None:
    assert examine(child, tmp_path / "not" / "yet").disk_free > 0


def test_all_is_well() -> None:
    told = lines(HEALTHY, LOG)
    assert told[-1] == "llama.cpp can use everything that was found here."
    assert "driver     no NVIDIA driver" in told


def test_what_is_missing_comes_last_with_the_command() -> None:
    gpus = (SeenGpu("RTX 4090", 24 * GIB, None, 23 * GIB), SeenGpu("RTX 3090", 24 * GIB, "CUDA0", 20 * GIB))
    told = lines(replace(HEALTHY, gpus=gpus, fix=("uv pip install x",), why=("NVIDIA GPU: CUDA.",)), LOG)
    assert "GPU        RTX 4090, 24.0 GiB, 23.0 GiB free: llama.cpp cannot use it" in told
    assert "GPU        RTX 3090, 24.0 GiB, 20.0 GiB free: llama.cpp uses it as CUDA0" in told
    assert "           CPU: Some CPU, 32.0 GiB free of 32.0 GiB" in told
    assert told[-3:] == [
        "NVIDIA GPU: CUDA.",
        "To fix it, in a working copy run scripts/setup; elsewhere:",
        "uv pip install x",
    ]


def test_what_no_command_mends_is_said_too() -> None:
    told = lines(replace(HEALTHY, lacks=(Lack("no compiler", "apt install it"), Lack("too old a card"))), LOG)
    assert told[-2:] == ["no compiler: apt install it", "too old a card"]


def test_the_limit_of_a_control_group_is_shown() -> None:
    told = lines(replace(HEALTHY, ram_limit=GIB), LOG)
    assert "RAM        30.0 GiB available of 32.0 GiB, limited to 1.0 GiB by the control group" in told


def test_a_card_that_only_the_driver_sees(
    child: EngineProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvml, "gpus", lambda: (nvml.DriverGpu("0000:01:00.0", "RTX 4090", 24 * GIB, 23 * GIB),))
    monkeypatch.setattr(nvml, "driver", lambda: nvml.Driver("550.1", (12, 4)))
    found = examine(child, tmp_path)
    assert found.gpus == (SeenGpu("RTX 4090", 24 * GIB, None, 23 * GIB),)
    assert found.driver == "NVIDIA 550.1, CUDA 12.4"


def test_who_holds_memory_of_a_gpu_stands_below_it() -> None:
    ollama = Holder(812, "ollama", 3 * GIB)
    gpu = SeenGpu("RTX 3090", 24 * GIB, "CUDA0", 20 * GIB, (ollama, Holder(9, "Xorg", None)))
    told = lines(replace(HEALTHY, gpus=(gpu,)), LOG)
    place = told.index("GPU        RTX 3090, 24.0 GiB, 20.0 GiB free: llama.cpp uses it as CUDA0")
    assert told[place + 1 : place + 3] == [
        "           ollama (process 812) holds 3.0 GiB",
        "           Xorg (process 9) holds some memory",
    ]
