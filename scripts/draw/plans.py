"""Examples of plans, on a laptop and on two cards: their numbers are made up."""

from dataclasses import replace

from models.headers.quants import CACHE_TYPES, TYPES
from runner.types.drafts import DraftKind
from runner.types.machine import Device, Kind, Machine
from runner.types.placement import Companion, Override, Placement
from runner.types.plan import Candidate, CompanionPlan, MemoryRow, ModelInfo, Plan, Predicted, Source, Verdict
from runner.types.reasons import Noted
from runner.types.units import GIB, MIB
from runner.types.wish import Wish


def gibibytes(number: float) -> int:
    """Bytes."""
    return int(number * GIB)


LAPTOP = Machine("probe", (), gibibytes(24), gibibytes(18), 40e9, 2, "AMD EPYC 7B13")
TWO_CARDS = Machine(
    "probe",
    tuple(
        Device(
            f"CUDA{n}", Kind.GPU, "NVIDIA GeForce RTX 3090", gibibytes(24), gibibytes(23.3), 936e9, 330 * MIB, "GDDR6X"
        )
        for n in range(2)
    ),
    gibibytes(64),
    gibibytes(56),
    50e9,
    12,
    "AMD Ryzen 9 5900X",
)


def small_plan(wish: Wish | None = None) -> Plan:
    """SmolLM2 on a laptop: all on the CPU, already here."""
    wish = wish or Wish()
    ctx = wish.ctx or 8192
    placement = Placement((), 0, 31, (), ctx, wish.kv_type or "f16", threads=2)
    candidate = Candidate(
        "Q4_1",
        ("SmolLM2-135M-Instruct.Q4_1.gguf",),
        98_362_432,
        5.8,
        0,
        Verdict.CPU,
        placement,
        (MemoryRow("CPU", 94 * MIB, 180 * MIB * ctx // 8192, 97 * MIB, 0, gibibytes(18)),),
        Predicted(165.0, 640.0, 2048),
        Source.REHEARSAL,
        (Noted("There is no GPU here: the model runs on the CPU."),),
    )
    model = ModelInfo("SmolLM2 135M Instruct", "llama", 134_515_008, 30, 0, 0, 8192)
    return Plan(model, LAPTOP, (candidate,), 0, (Noted("Q4_1 is the only quantization and it fits."),))


def large_plan(wish: Wish | None = None) -> Plan:
    """Llama 3.3 70B on two cards: one quantization too large, one split, two on the GPUs."""
    wish = wish or Wish()
    ctx, kv = wish.ctx or 8192, wish.kv_type or "f16"
    cache = ctx * 327_680 * TYPES[CACHE_TYPES[kv]].bits / 16
    rows = (
        ("Q8_0", 74.98, 8.5, 0, 0.0),
        ("Q6_K", 57.89, 6.6, 62, 3.4),
        ("Q5_K_M", 49.95, 5.7, 72, 6.1),
        ("Q4_K_M", 42.52, 4.8, 81, 17.3),
        ("IQ4_XS", 37.90, 4.3, 81, 18.9),
    )
    candidates = tuple(_large(row, ctx, kv, int(cache)) for row in rows)
    model = ModelInfo("Llama 3.3 70B Instruct", "llama", 70_553_706_496, 80, 0, 0, 131_072)
    why = (Noted("Q4_K_M is the best quality that stays on the GPUs with 8k of f16 KV."),)
    return Plan(model, TWO_CARDS, candidates, 3, why, 1.4)


def _large(row: tuple[str, float, float, int, float], ctx: int, kv: str, cache: int) -> Candidate:
    quant, gb, bits, layers, tps = row
    size = int(gb * 1e9)
    if not layers:
        reasons = (Noted("It needs 72.1 GiB and there are 46.6 GiB on the GPUs and 52.8 GiB of RAM to spare."),)
        return Candidate(
            quant, (f"{quant}.gguf",), size, bits, size, Verdict.NO, None, (), None, Source.FORMULA, reasons
        )
    half = layers // 2
    placement = Placement(("CUDA0", "CUDA1"), layers, 81, (layers - half, half), ctx, kv, threads=12)
    on_gpu = [size * part // 81 for part in (layers - half, half)]
    memory = (
        *(
            MemoryRow(f"CUDA{n}", on_gpu[n], cache * (layers // 2) // 81, 310 * MIB, 330 * MIB, gibibytes(23.3))
            for n in range(2)
        ),
        MemoryRow("CPU", size - sum(on_gpu) + 563 * MIB, cache * (81 - layers) // 81, 40 * MIB, 0, gibibytes(56)),
    )
    slower = f"about {17.3 / tps:.1f}x slower; Q4_K_M would fit them all."
    split = (Noted(f"{81 - layers} of 81 layers are on the CPU: {slower}"),)
    return Candidate(
        quant,
        (f"Llama-3.3-70B-Instruct-{quant}.gguf",),
        size,
        bits,
        size,
        Verdict.GPU if layers == 81 else Verdict.SPLIT,
        placement,
        memory,
        Predicted(tps, 30 * tps, 2048),
        Source.REHEARSAL,
        () if layers == 81 else split,
    )


def expert_plan(wish: Wish | None = None) -> Plan:
    """Mixtral 8x22B on two cards: attention on the GPUs, half the experts in RAM."""
    pattern = r"blk\.(2[4-9]|[345][0-9])\.ffn_(up|down|gate)_exps"
    partial = r"blk\.23\.ffn_down_exps"
    overrides = (Override(pattern, "CPU"), Override(partial, "CPU"))
    placement = Placement(
        ("CUDA0", "CUDA1"), 57, 57, (29, 28), 8192, overrides=overrides, experts_on_cpu=33, threads=12
    )
    memory = (
        MemoryRow("CUDA0", gibibytes(20.4), gibibytes(0.9), 236 * MIB, 330 * MIB, gibibytes(23.3)),
        MemoryRow("CUDA1", gibibytes(19.8), gibibytes(0.85), 236 * MIB, 330 * MIB, gibibytes(23.3)),
        MemoryRow("CPU", gibibytes(39.5), 0, 32 * MIB, 0, gibibytes(56)),
    )
    reason = "The experts of 33 of 56 layers are in RAM: about 2.6x slower; Q3_K_M would keep 20 more on the GPUs."
    candidate = Candidate(
        "Q4_K_M",
        tuple(f"Mixtral-8x22B-Q4_K_M-0000{n}-of-00002.gguf" for n in (1, 2)),
        85_580_000_000,
        4.8,
        0,
        Verdict.SPLIT,
        placement,
        memory,
        Predicted(8.4, 210.0, 2048),
        Source.REHEARSAL,
        (Noted(reason),),
    )
    model = ModelInfo("Mixtral 8x22B Instruct", "llama", 140_630_000_000, 56, 8, 2, 65_536)
    return Plan(model, TWO_CARDS, (candidate,), 0, (Noted("Q4_K_M with half its experts in RAM is the best balance."),))


def helped_plan(wish: Wish | None = None) -> Plan:
    """Llama 3.3 70B on two cards, with a model of 1B that guesses on the first."""
    plan = large_plan(wish)
    taken = plan.candidates[3]
    assert taken.placement is not None
    small = Placement(("CUDA0",), 17, 17, (17,), taken.placement.ctx)
    rows = (
        MemoryRow("CUDA0", gibibytes(0.8), gibibytes(0.25), gibibytes(0.25), 330 * MIB, gibibytes(23.3)),
        MemoryRow("CPU", gibibytes(0.2), 0, 20 * MIB, 0, gibibytes(56)),
    )
    own = {row.device: row for row in rows}
    memory = tuple(
        replace(row, weights=row.weights + more.weights, kv=row.kv + more.kv, compute=row.compute + more.compute)
        if (more := own.get(row.device))
        else row
        for row in taken.memory
    )
    helped = replace(
        taken,
        placement=replace(taken.placement, companion=Companion(DraftKind.MODEL, "small.gguf", small)),
        memory=memory,
        companions=(CompanionPlan(DraftKind.MODEL, rows, "llama-3.2-1b", ("small.gguf",)),),
    )
    candidates = (*plan.candidates[:3], helped, *plan.candidates[4:])
    return replace(plan, candidates=candidates)
