"""What llama.cpp's own --fit would do with a model: asked from `llama-fit-params`, or worked out by the same rule."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.errors import EngineError
from models.headers.shape import ModelShape
from runner.cost.blocks import blocks_of
from runner.cost.laid_out import settings_of
from runner.cost.layout import Layout, overrides_of
from runner.cost.ledger import reserve
from runner.planning.packing import apportion
from runner.planning.problem import Problem
from runner.planning.restrictions import limited
from runner.types.machine import Device, Machine
from runner.types.placement import Override, Placement
from runner.types.units import MIB
from runner.types.wish import Wish
from scripts.checks.fit_rule import fitted

_PATIENCE_S = 60


def by_tool(tool: Path, path: Path, ours: Placement, machine: Machine, wish: Wish) -> Placement:
    """What `tool` (llama-fit-params) answers under the wish's limit, at our context, ubatch and KV type.

    The tool knows no limit, only how much of a device is to stay free. EngineError if it fails.
    """
    devices = limited(machine, replace(wish, vram_limit=None)).devices
    targets = [device.free - _usable(device, wish) for device in devices]
    words = [tool, "-m", path, "-c", ours.ctx, "-ub", ours.ubatch, "-b", ours.ubatch]
    words += ["-ctk", ours.kv_type, "-ctv", ours.kv_type]
    words += ["--rpc", ",".join(wish.rpc)] if wish.rpc else []
    words += ["-dev", ",".join(device.id for device in devices)]
    words += ["-fitt", ",".join(str(-(-target // MIB)) for target in targets)]
    try:
        said = [str(word) for word in words]
        done = subprocess.run(said, capture_output=True, text=True, check=True, timeout=_PATIENCE_S)
    except OSError as error:
        raise EngineError(f"{tool} cannot be run: {error.strerror}.") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"llama-fit-params has not answered for {_PATIENCE_S} s.") from None
    except subprocess.CalledProcessError as error:
        raise EngineError(f"llama-fit-params failed: {' '.join(error.stderr.split())[-300:]}") from None
    return placement_of(done.stdout, ours, devices)


def _usable(device: Device, wish: Wish) -> int:
    """Bytes that weights, KV and compute may take, as our own planner counts them."""
    free = device.free if wish.vram_limit is None else min(device.free, wish.vram_limit)
    return max(0, free - reserve(device, wish.margin))


def placement_of(output: str, ours: Placement, devices: Sequence[Device]) -> Placement:
    """`ours` placed as the tool's last line says: -c N -ngl N [-ts N,N] [-ot "PATTERN=BUFFER,..."]."""
    try:
        words = shlex.split(output.strip().splitlines()[-1])
        said = dict(zip(words[::2], words[1::2], strict=False))
        ctx, layers = int(said["-c"]), int(said["-ngl"])
        counts = [int(float(count)) for count in said.get("-ts", "").split(",") if count]
    except (LookupError, ValueError):
        raise EngineError(f"llama-fit-params printed no options that are understood here: {output[-200:]!r}") from None
    layers = ours.layers_total if layers < 0 else min(layers, ours.layers_total)
    counts = counts or list(apportion(layers, [device.free for device in devices]))
    overrides = tuple(_override(rule) for rule in said.get("-ot", "").split(",") if rule)
    names = [device.id for device in devices]
    return _placed(replace(ours, ctx=ctx), names, counts, overrides)


def _override(rule: str) -> Override:
    """Buffer types are called like their device; those of RPC go on with an address."""
    pattern, _, buffer = rule.rpartition("=")
    return Override(pattern, buffer.partition("[")[0])


def by_rule(shape: ModelShape, ours: Placement, machine: Machine, wish: Wish) -> Placement:
    """The same by the rule in common/fit.cpp, on our own ledger."""
    problem = Problem(blocks_of(shape), limited(machine, wish), wish.margin)
    layout: Layout = fitted(problem, settings_of(ours)).layout
    return _placed(ours, [device.id for device in layout.devices], layout.counts, overrides_of(layout))


def _placed(ours: Placement, names: Sequence[str], counts: Sequence[int], overrides: tuple[Override, ...]) -> Placement:
    """llama.cpp's tools map the file unless told otherwise; what no device holds is left out of the device list."""
    used = [(name, count) for name, count in zip(names, counts, strict=False) if count]
    return replace(
        ours,
        devices=tuple(name for name, _ in used),
        gpu_layers=sum(count for _, count in used),
        tensor_split=tuple(count for _, count in used),
        overrides=overrides,
        load_mode="mmap",
        experts_on_cpu=0,
        ffn_on_cpu=0,
    )
