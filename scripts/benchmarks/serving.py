"""A server under load: tokens per second of all clients together, and how long each waits for its first word.

    python -m scripts.benchmarks.serving FILE.gguf [--clients 8] [--tokens 100] [--rounds 3] [--threads 1]
        [--layers 0] [--llama-server PATH]

`layers` of the model go to the devices. Each client of a round asks for an answer of its own over /v1/completions, as a
stream, all at the same moment. With --llama-server, that one with as many slots answers the same in turns. Beside
tokens per second of the clock there are those of the processor, of the server and its engine: others on the machine
count less there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from runner.types.placement import Placement
from scripts.benchmarks.servers import llama_server, our_server, processor_s, used_s

TEXT = (
    "The sea was calm on the morning of day {}, and the old man who kept the lighthouse went down to the rocks to see"
)
CELLS = 256  # for a prompt and its answer


@dataclass(frozen=True, slots=True)
class Round:
    """Tokens of all clients per second of the clock and of the processor, and the seconds until each had a word."""

    tps: float
    processor_tps: float
    ttfts: tuple[float, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    for name, default in (("clients", 8), ("tokens", 100), ("rounds", 3), ("threads", 1), ("layers", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--llama-server", type=Path)
    wanted = parser.parse_args()
    clients, layers = wanted.clients, wanted.layers
    placement = Placement((), layers, layers, (), CELLS * clients, threads=wanted.threads, sequences=clients)
    with ExitStack() as stack:
        ports = {"localrun serve": stack.enter_context(our_server(wanted.file, placement))}
        if wanted.llama_server:
            ports["llama-server"] = stack.enter_context(llama_server(wanted.llama_server, wanted.file, placement))
        for port in ports.values():
            _round(port, 0, wanted.clients, 4)
        found: dict[str, list[Round]] = {name: [] for name in ports}
        for number in range(1, wanted.rounds + 1):
            for name, port in ports.items():
                found[name].append(_round(port, number, wanted.clients, wanted.tokens))
    for name, rounds in found.items():
        waits = sorted(one for each in rounds for one in each.ttfts)
        last = waits[min(len(waits) - 1, int(0.95 * len(waits)))]
        speeds = ", ".join(f"{one.tps:.1f}" for one in rounds)
        total = statistics.median(one.tps for one in rounds)
        used = statistics.median(one.processor_tps for one in rounds)
        print(
            f"{name:16} {total:7.1f} tok/s ({speeds}), {used:.1f} of the processor, "
            f"TTFT {statistics.median(waits):.3f} s, p95 {last:.3f} s"
        )
    return 0


def _round(port: int, number: int, clients: int, tokens: int) -> Round:
    began, before = time.perf_counter(), processor_s()
    with ThreadPoolExecutor(clients) as pool:
        asked = [(port, TEXT.format(1000 * number + client), tokens) for client in range(clients)]
        answers = list(pool.map(lambda one: _answer(*one), asked))
    seconds, used = time.perf_counter() - began, used_s(before)
    total = sum(count for count, _ in answers)
    return Round(total / seconds, total / used, tuple(ttft for _, ttft in answers))


def _answer(port: int, text: str, tokens: int) -> tuple[int, float]:
    """Tokens of an answer, and seconds until its first word."""
    asked = {"prompt": text, "max_tokens": tokens, "temperature": 0, "stream": True}
    body = json.dumps({**asked, "stream_options": {"include_usage": True}})
    count, ttft, began = 0, 0.0, time.perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        for line in connection.getresponse():
            if not line.startswith(b"data: {"):
                continue
            said = json.loads(line[6:])
            if not ttft and any(choice.get("text") for choice in said.get("choices", ())):
                ttft = time.perf_counter() - began
            if usage := said.get("usage"):
                count = usage["completion_tokens"]
    return count, ttft


if __name__ == "__main__":
    sys.exit(main())
