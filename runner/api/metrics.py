"""Numbers of the server for Prometheus, in its text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from runner.api.asked import Piece
from runner.api.pool import Resident
from runner.report.contract import paired
from runner.types.engine import ComponentBytes
from runner.types.generation import Chunk, Phase
from runner.types.plan import MemoryRow

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_PARTS = ("weights", "kv", "compute")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """How many values there were up to each bound, their sum and count."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds, self._counts = bounds, [0] * len(bounds)
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        """Another one."""
        self._counts = [
            count + (1 if value <= bound else 0) for count, bound in zip(self._counts, self._bounds, strict=True)
        ]
        self._sum += value
        self._count += 1

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """In the text format."""
        for bound, count in zip(self._bounds, self._counts, strict=True):
            yield f'{name}_bucket{{{labels},le="{bound:g}"}} {count}'
        yield f'{name}_bucket{{{labels},le="+Inf"}} {self._count}'
        yield f"{name}_sum{{{labels}}} {self._sum:.9g}"
        yield f"{name}_count{{{labels}}} {self._count}"


class Tally:
    """What was asked of one model."""

    def __init__(self) -> None:
        self.answers: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.ttft, self.queue, self.speed = Histogram(_SECONDS), Histogram(_SECONDS), Histogram(_SPEEDS)
        self.under_way: dict[tuple[int, int], Chunk] = {}

    def heard(self, number: int, piece: Piece) -> None:
        """A step of an answer; `number` is the request's."""
        chunk, key = piece.chunk, (number, piece.index)
        self.under_way[key] = chunk
        if chunk.finish is not None:
            self._ended(chunk, chunk.finish.value)
            del self.under_way[key]

    def left(self, number: int, why: str) -> None:
        """Answers to the request that have not ended will not."""
        for key in [key for key in self.under_way if key[0] == number]:
            self._ended(self.under_way.pop(key), why)

    def _ended(self, last: Chunk, how: str) -> None:
        self.answers[how] += 1
        self.tokens["prompt"] += last.prompt_tokens
        self.tokens["cached"] += last.cached_tokens
        self.tokens["completion"] += last.completion_tokens
        self.queue.add(last.waited_s)
        if last.ttft_s is not None:
            self.ttft.add(last.ttft_s)
        if last.decode_tps is not None:
            self.speed.add(last.decode_tps)


class Metrics:
    """Of all models, since the server began. For one thread."""

    def __init__(self) -> None:
        self._tallies: dict[str, Tally] = {}
        self._refused: Counter[str] = Counter()

    def of(self, model: str) -> Tally:
        """The tally of a model."""
        return self._tallies.setdefault(model, Tally())

    def refused(self, kind: str) -> None:
        """A request has failed, or was not answered."""
        self._refused[kind] += 1

    def text(self, residents: Sequence[Resident]) -> str:
        """All of it, with what is loaded."""
        families = (*self._counters(), *self._histograms(), *self._gauges(residents))
        return "".join(
            f"# TYPE {name} {kind}\n" + "".join(f"{line}\n" for line in lines) for name, kind, lines in families
        )

    def _counters(self) -> Iterator[tuple[str, str, list[str]]]:
        answers, tokens = "localrun_answers_total", "localrun_tokens_total"
        yield answers, "counter", [*_counted(answers, "finish", self._tallies, "answers")]
        yield tokens, "counter", [*_counted(tokens, "kind", self._tallies, "tokens")]
        refused = "localrun_requests_refused_total"
        yield refused, "counter", [f'{refused}{{kind="{kind}"}} {count}' for kind, count in self._refused.items()]

    def _histograms(self) -> Iterator[tuple[str, str, list[str]]]:
        for name, of in (("ttft_seconds", "ttft"), ("queue_seconds", "queue"), ("decode_tokens_per_second", "speed")):
            lines: list[str] = []
            for model, tally in self._tallies.items():
                lines += getattr(tally, of).lines(f"localrun_{name}", _label("model", model))
            yield f"localrun_{name}", "histogram", lines

    def _gauges(self, residents: Sequence[Resident]) -> Iterator[tuple[str, str, list[str]]]:
        running, waiting, kv, memory = (
            f"localrun_{name}" for name in ("answers_running", "answers_waiting", "kv_fill_ratio", "memory_bytes")
        )
        rows: dict[str, list[str]] = {name: [] for name in (running, waiting, kv, memory)}
        for one in residents:
            model, chunks = _label("model", one.known.name), [*self.of(one.known.name).under_way.values()]
            waits = sum(chunk.phase is Phase.WAITING for chunk in chunks)
            rows[running].append(f"{running}{{{model}}} {len(chunks) - waits}")
            rows[waiting].append(f"{waiting}{{{model}}} {waits}")
            used = sum(chunk.context_used for chunk in chunks) / one.running.loaded.ctx
            rows[kv].append(f"{kv}{{{model}}} {used:.6g}")
            rows[memory] += _memory(memory, model, one)
        yield from ((name, "gauge", lines) for name, lines in rows.items())


def _counted(name: str, label: str, tallies: dict[str, Tally], of: str) -> Iterator[str]:
    for model, tally in tallies.items():
        for what, count in getattr(tally, of).items():
            yield f"{name}{{{_label('model', model)},{_label(label, what)}}} {count}"


def _memory(name: str, model: str, one: Resident) -> Iterator[str]:
    """By device and part, as it was planned and as it is."""
    for device, planned, held in paired(one.running.candidate.memory, one.running.loaded.held):
        for source, row in (("planned", planned), ("measured", held)):
            yield from _parts(f"{name}{{{model},{_label('device', device)},{_label('source', source)}", row)


def _parts(lead: str, row: MemoryRow | ComponentBytes | None) -> Iterable[str]:
    return [f'{lead},part="{part}"}} {getattr(row, part)}' for part in _PARTS] if row is not None else []


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"'
