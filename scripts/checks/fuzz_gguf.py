"""Feed damaged GGUF headers to the parser: each must be read or refused with BadFile, soon and in little memory.

    python -m scripts.checks.fuzz_gguf --count 1000000 --large 2000 --seed 1

Case N of a seed is always the same: `--first N --count 1` repeats it. Whole buffers, pieces of random sizes and
tokenizers taken as known are tried; the first two must agree. Ends with 1 when a bar is broken.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from models.errors import BadFile
from models.headers.gguf import Header, Span
from models.headers.reader import Reader, parse
from scripts.synthetic.raw import large_headers, small_headers

SECONDS, BYTES = 1.0, 200 * 2**20
_POWERS = [2**n - d for n in (31, 32, 40, 62, 63, 64) for d in (0, 1, 8)]
NUMBERS = (0, 1, 2, 8, 31, 64, 255, 4096, 4097, 65_536, *_POWERS)


def _overwrite(rng: Random, data: bytearray, at: int) -> None:
    data[at : at + 1] = rng.randbytes(1)


def _number(rng: Random, data: bytearray, at: int) -> None:
    size = rng.choice((4, 8))
    data[at : at + size] = (rng.choice(NUMBERS) % 2 ** (8 * size)).to_bytes(size, "little")


def _cut(rng: Random, data: bytearray, at: int) -> None:
    del data[at:]


def _insert(rng: Random, data: bytearray, at: int) -> None:
    data[at:at] = rng.randbytes(rng.randint(1, 16))


def _remove(rng: Random, data: bytearray, at: int) -> None:
    del data[at : at + rng.randint(1, 32)]


def _repeat(rng: Random, data: bytearray, at: int) -> None:
    data[at:at] = data[at : at + rng.randint(8, 64)]


MUTATIONS: tuple[Callable[[Random, bytearray, int], None], ...] = (
    _overwrite, _overwrite, _number, _number, _number, _cut, _insert, _remove, _repeat,
)  # fmt: skip


def damaged(rng: Random, sound: bytes) -> bytearray:
    """A copy with one to three wounds, a quarter of them in the first bytes, where the counts are."""
    data = bytearray(sound)
    for _ in range(rng.randint(1, 3)):
        reach = min(len(data), 200) if rng.random() < 0.25 else len(data)
        rng.choice(MUTATIONS)(rng, data, rng.randint(0, reach))
    return data


def in_pieces(rng: Random, data: bytearray, known: Span | None = None) -> Header:
    """Parse as a remote file is: ranges as wanted, some of them cut short."""
    reader = Reader(len(data), known)
    while reader.header is None:
        start, end = reader.wants
        reader.feed(data[start : rng.randint(start + 1, end) if rng.random() < 0.3 else end])
    return reader.header


def outcome(read: Callable[[], Header]) -> Header | str:
    """The header, or the sentence that refuses it."""
    try:
        found = read()
    except BadFile as refused:
        str(refused).encode()
        return str(refused)
    found.accounts_for(found.data_end)
    found.tokenizer()
    "".join([*found.kv, *(tensor.name for tensor in found.tensors)]).encode()
    return found


@dataclass(slots=True)
class Report:
    """What a run saw; `slowest` in seconds, with the case that took so long."""

    cases: int = 0
    read: int = 0
    slowest: float = 0.0
    slowest_case: int = 0

    def __str__(self) -> str:
        counts = f"{self.cases} cases, {self.read} read, {self.cases - self.read} refused"
        return f"{counts}, slowest {self.slowest:.4f} s (case {self.slowest_case})"


def run(sounds: Sequence[bytes], cases: Iterable[int], seed: int) -> Report:
    """Try damaged copies of sound headers; raises what the parser raises where that is not a BadFile."""
    report = Report()
    spans = [parse(sound).tokenizer() for sound in sounds]
    for case in cases:
        rng = Random(seed << 32 | case)
        chosen = rng.randrange(len(sounds))
        data = damaged(rng, sounds[chosen])
        started = time.process_time()
        found = outcome(partial(parse, data))
        seconds = time.process_time() - started
        if case % 8 == 0 and data:
            pieces = outcome(partial(in_pieces, rng, data))
            assert repr(found) == repr(pieces), f"case {case}: in pieces {pieces}, whole {found}"
        if case % 8 == 1 and data:
            outcome(partial(in_pieces, rng, data, spans[chosen]))
        report.cases += 1
        if isinstance(found, Header):
            report.read += 1
        if seconds > report.slowest:
            report.slowest, report.slowest_case = seconds, case
    return report


def peak_bytes() -> int:
    """The most memory that this process ever held; getrusage counts KiB, on macOS bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="headers of at most 8 KB")
    parser.add_argument("--large", type=int, default=0, help="headers with a vocabulary of 128,256")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    args = parser.parse_args()
    reports = []
    for sounds, count in ((small_headers, args.count), (large_headers, args.large)):
        if count:
            reports.append(run(sounds(), range(args.first, args.first + count), args.seed))
            print(f"{reports[-1]}, peak memory {peak_bytes() / 2**20:.0f} MiB", flush=True)
    return int(peak_bytes() > BYTES or any(report.slowest > SECONDS for report in reports))


if __name__ == "__main__":
    sys.exit(main())
