"""A service that does what it is told, with the plans of three machines: for pictures and for tests of screens."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from models.errors import LocalrunError, ModelNotFound
from models.headers.quants import CACHE_TYPES, TYPES
from models.weights import Progress
from runner.types.engine import ComponentBytes, Loaded, LoadProgress
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.machine import Device, Kind, Machine
from runner.types.placement import Override, Placement
from runner.types.plan import Candidate, MemoryRow, ModelInfo, Plan, Predicted, Source, Terms, Verdict, Wish
from runner.types.reasons import Noted
from runner.types.sample import DeviceSample, Sample
from runner.types.sampling import Sampling
from runner.types.service import Choice, Session

GIB = 1 << 30
MIB = 1 << 20


def gib(number: float) -> int:
    return int(number * GIB)


LAPTOP = Machine("probe", (), gib(24), gib(18), 40e9, 2, "AMD EPYC 7B13")
TWO_CARDS = Machine(
    "probe",
    tuple(
        Device(f"CUDA{n}", Kind.GPU, "NVIDIA GeForce RTX 3090", gib(24), gib(23.3), 936e9, 330 * MIB, "GDDR6X")
        for n in range(2)
    ),
    gib(64),
    gib(56),
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
        (MemoryRow("CPU", 94 * MIB, 180 * MIB * ctx // 8192, 97 * MIB, 0, gib(18)),),
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
    candidates = tuple(_large(*row, ctx=ctx, kv=kv, cache=int(cache)) for row in rows)
    model = ModelInfo("Llama 3.3 70B Instruct", "llama", 70_553_706_496, 80, 0, 0, 131_072)
    why = (Noted("Q4_K_M is the best quality that stays on the GPUs with 8k of f16 KV."),)
    return Plan(model, TWO_CARDS, candidates, 3, why, 2_300_000, 1.4)


def _large(quant: str, gb: float, bits: float, layers: int, tps: float, *, ctx: int, kv: str, cache: int) -> Candidate:
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
            MemoryRow(f"CUDA{n}", on_gpu[n], cache * (layers // 2) // 81, 310 * MIB, 330 * MIB, gib(23.3))
            for n in range(2)
        ),
        MemoryRow("CPU", size - sum(on_gpu) + 563 * MIB, cache * (81 - layers) // 81, 40 * MIB, 0, gib(56)),
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
        MemoryRow("CUDA0", gib(20.4), gib(0.9), 236 * MIB, 330 * MIB, gib(23.3)),
        MemoryRow("CUDA1", gib(19.8), gib(0.85), 236 * MIB, 330 * MIB, gib(23.3)),
        MemoryRow("CPU", gib(39.5), 0, 32 * MIB, 0, gib(56)),
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


def turn(words: Sequence[str], *, prompt: int = 40, tps: float = 40.0, reasoning: Sequence[str] = ()) -> list[Chunk]:
    """The chunks of one answer: the prompt, thinking, words, the end."""
    chunks = [Chunk(Phase.PREFILL, prompt_tokens=prompt, prefilled=done) for done in (prompt // 2, prompt)]
    steps = [("", thought) for thought in reasoning] + [(word, "") for word in words]
    state = Chunk(
        Phase.DECODE, prompt_tokens=prompt, prefilled=prompt, ttft_s=0.42, prefill_tps=20 * tps, decode_tps=tps
    )
    for count, (text, thought) in enumerate(steps, 1):
        chunk = replace(state, text=text, reasoning=thought, completion_tokens=count, context_used=prompt + count)
        chunks.append(chunk)
    last = replace(
        state,
        phase=Phase.DONE,
        completion_tokens=len(steps),
        context_used=prompt + len(steps),
        finish=Finish.STOP,
    )
    return [*chunks, last]


@dataclass
class ScriptedSession:
    """A loaded model whose answers come from `script`, a list of turns or errors.

    With `gate`, a chunk comes for each release of it. A token is four characters of a message.
    """

    plan: Plan
    index: int
    script: list[list[Chunk] | LocalrunError] = field(default_factory=list)
    gate: threading.Semaphore | None = None
    asked: list[tuple[list[Message], Sampling, bool]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    closed: bool = False
    busy: float = 0.97

    @property
    def candidate(self) -> Candidate:
        return self.plan.candidates[self.index]

    @property
    def placement(self) -> Placement:
        assert self.candidate.placement is not None
        return self.candidate.placement

    @property
    def loaded(self) -> Loaded:
        held = tuple(ComponentBytes(row.device, row.weights, row.kv, row.compute) for row in self.candidate.memory)
        return Loaded(self.placement.ctx, 1.8, held, "{% for message in messages %}")

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, *, continue_last: bool = False
    ) -> Iterator[Chunk]:
        self.asked.append((list(messages), sampling, continue_last))
        self.stopped.clear()
        script = self.script.pop(0) if self.script else turn(["Yes", "."])
        if isinstance(script, LocalrunError):
            raise script
        last = script[0]
        for chunk in script:
            if self.gate is not None:
                self.gate.acquire()
            if self.stopped.is_set():
                yield replace(last, phase=Phase.DONE, text="", reasoning="", finish=Finish.INTERRUPTED)
                return
            last = chunk
            yield chunk

    def stop(self) -> None:
        self.stopped.set()
        if self.gate is not None:
            self.gate.release()

    def sample(self) -> Sample:
        devices = tuple(
            DeviceSample(device.id, device.total, self._used(device.id), self.busy, 71.0 + n, 338.0 - 9 * n)
            for n, device in enumerate(self.plan.machine.devices)
        )
        ram = self.plan.machine
        return Sample(0.0, devices, ram.ram_total, ram.ram_available - gib(0.3), gib(0.4), 0.5)

    def _used(self, device: str) -> int:
        row = next((row for row in self.candidate.memory if row.device == device), None)
        return gib(0.7) + (row.total if row else 0)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(4 + len(message.content) // 4 for message in messages)

    def close(self) -> None:
        self.closed = True


CHOICES = (
    Choice("smollm2-135m", "Q4_1", 98_362_432, True, Verdict.CPU, 165.0),
    Choice("llama-3.3-70b", "Q4_K_M", 42_520_000_000, False, Verdict.GPU, 17.3, "the best that stays on the GPUs"),
    Choice("mixtral-8x22b", "Q4_K_M", 85_580_000_000, False, Verdict.SPLIT, 8.4, "half its experts in RAM"),
)


@dataclass
class ScriptedService:
    """Plans by name, and a session per load; `downloads` and `loads` are what those iterators yield or raise."""

    folder: Path
    plans: dict[str, Callable[[Wish], Plan]] = field(
        default_factory=lambda: {
            "smollm2-135m": small_plan,
            "llama-3.3-70b": large_plan,
            "mixtral-8x22b": expert_plan,
        }
    )
    choices_error: LocalrunError | None = None
    downloads: list[Progress | LocalrunError] = field(default_factory=list)
    loads: list[LoadProgress | LocalrunError] = field(default_factory=lambda: [LoadProgress(0.5), LoadProgress(1.0)])
    script: list[list[Chunk] | LocalrunError] = field(default_factory=list)
    gate: threading.Semaphore | None = None
    hold_download: threading.Event | None = None
    hold_load: threading.Event | None = None
    wishes: list[Wish] = field(default_factory=list)
    sessions: list[ScriptedSession] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    closed: bool = False

    @property
    def conversations(self) -> Path:
        return self.folder

    def choices(self) -> Sequence[Choice]:
        if self.choices_error:
            raise self.choices_error
        return CHOICES

    def plan(self, name: str, wish: Wish) -> Plan:
        self.wishes.append(wish)
        if name not in self.plans:
            raise ModelNotFound(f"There is no model {name}; `localrun list` shows what is here.")
        return self.plans[name](wish)

    def terms(self, plan: Plan, index: int) -> Terms:
        return Terms("~/.cache/huggingface/hub", "llama3.3", 740.0)

    def instead(self, plan: Plan) -> str:
        return "Llama 3.1 8B Instruct would run well: `localrun llama-3.1-8b`."

    def fetch(self, plan: Plan, index: int) -> Iterator[Progress]:
        self.fetched.append(plan.candidates[index].quant)
        yield from _told(self.downloads, self.hold_download)

    def load(self, plan: Plan, index: int) -> Iterator[LoadProgress | Session]:
        yield from _told(self.loads, self.hold_load)
        session = ScriptedSession(plan, index, self.script, self.gate)
        self.sessions.append(session)
        yield session

    def close(self) -> None:
        self.closed = True


@dataclass
class Clock:
    """Seconds that pass when somebody says so."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


T = TypeVar("T")


def _told(steps: Sequence[T | LocalrunError], hold: threading.Event | None) -> Iterator[T]:
    for step in steps:
        if isinstance(step, LocalrunError):
            raise step
        yield step
    if hold is not None:
        hold.wait()
