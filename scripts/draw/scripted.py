"""A service that does what it is told, with the plans of three machines: for pictures and for tests of screens."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from models.errors import LocalrunError, ModelNotFound
from models.headers.recommended import Recommended
from models.weights import Progress
from runner.types.engine import ComponentBytes, Loaded, LoadProgress
from runner.types.generation import Chunk, Finish, Message, Phase
from runner.types.placement import Placement
from runner.types.plan import Candidate, Plan, Terms, Verdict
from runner.types.sample import DeviceSample, Sample
from runner.types.sampling import Sampling
from runner.types.service import Choice, Session
from runner.types.slowness import Slowness
from runner.types.wish import Wish
from scripts.draw.plans import expert_plan, gibibytes, helped_plan, large_plan, small_plan


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


def _without(row: ComponentBytes, other: ComponentBytes | None) -> ComponentBytes:
    """What is left of a row without another one."""
    less = (other.weights, other.kv, other.compute) if other else (0, 0, 0)
    return ComponentBytes(row.device, row.weights - less[0], row.kv - less[1], row.compute - less[2])


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
    slowness: Slowness | None = None
    is_kept: bool = False

    @property
    def candidate(self) -> Candidate:
        return self.plan.candidates[self.index]

    @property
    def quant(self) -> str:
        return self.candidate.quant

    @property
    def recommended(self) -> tuple[Recommended, ...]:
        return ()

    @property
    def placement(self) -> Placement:
        assert self.candidate.placement is not None
        return self.candidate.placement

    @property
    def loaded(self) -> Loaded:
        beside = {row.device: row for one in self.candidate.companions for row in one.memory}
        held = tuple(_without(row, beside.get(row.device)) for row in self.candidate.memory)
        companion = tuple(_without(row, None) for row in beside.values())
        return Loaded(self.placement.ctx, 1.8, held, "{% for message in messages %}", companion=companion)

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, *, continue_last: bool = False, is_watched: bool = True
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
        return Sample(devices, ram.ram_total, ram.ram_available - gibibytes(0.3), 0.5)

    def _used(self, device: str) -> int:
        row = next((row for row in self.candidate.memory if row.device == device), None)
        return gibibytes(0.7) + (row.total if row else 0)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(4 + len(message.content) // 4 for message in messages)

    def count_text(self, text: str) -> int:
        return len(text) // 4

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
            "llama-3.3-70b-helped": helped_plan,
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
    remembered: list[str] = field(default_factory=list)
    recalled: list[str] = field(default_factory=list)
    warm_for: dict[Wish, float] = field(default_factory=dict)
    closed: bool = False

    @property
    def conversations(self) -> Path:
        return self.folder

    @property
    def prompts(self) -> Path:
        return self.folder.parent / "prompts"

    def choices(self) -> Sequence[Choice]:
        if self.choices_error:
            raise self.choices_error
        return CHOICES

    def plan(self, name: str, wish: Wish) -> Plan:
        self.wishes.append(wish)
        if name not in self.plans:
            raise ModelNotFound(f"There is no model {name}; `localrun list` shows what is here.")
        return replace(self.plans[name](wish), wish=wish)

    def terms(self, plan: Plan, index: int) -> Terms:
        return Terms("~/.cache/huggingface/hub", "llama3.3", 740.0)

    def instead(self, plan: Plan) -> str:
        return "Llama 3.1 8B Instruct would run well: `localrun llama-3.1-8b`."

    def fetch(self, plan: Plan, index: int) -> Iterator[Progress]:
        self.fetched.append(plan.candidates[index].quant)
        yield from _told(self.downloads, self.hold_download)

    def remember(self, session: Session, name: str, messages: Sequence[Message]) -> None:
        self.remembered.append(name)

    def recall(self, session: Session, name: str) -> None:
        self.recalled.append(name)

    def load(self, plan: Plan, index: int) -> Iterator[LoadProgress | Session]:
        yield from _told(self.loads, self.hold_load)
        session = ScriptedSession(plan, index, self.script, self.gate)
        self.sessions.append(session)
        yield session

    def load_kept(self, plan: Plan, index: int, keep_s: float) -> Iterator[LoadProgress | Session]:
        self.warm_for[plan.wish] = keep_s
        yield from self.load(plan, index)
        self.sessions[-1].is_kept = True

    def warm(self, name: str, wish: Wish, keep_s: float | None = None) -> Session | None:
        if wish not in self.warm_for:
            return None
        plan = replace(self.plans[name](wish), wish=wish)
        session = ScriptedSession(plan, 0, self.script, self.gate, is_kept=True)
        self.sessions.append(session)
        return session

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
