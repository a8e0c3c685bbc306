"""The benchmark, on the real small model, cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from runner.client.session import EngineSession
from runner.report.contract import bench_json
from runner.service import benchmark
from runner.service.service import LocalService
from runner.types.sampling import Sampling
from runner.types.wish import Wish


@pytest.fixture(scope="module")
def session(environment: dict[str, str]) -> Iterator[EngineSession]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        service = LocalService()
        plan = service.plan("smollm2-135m", Wish(ctx=768, threads=1))
        *_, loaded = service.load(plan, service.chosen(plan))
        assert isinstance(loaded, EngineSession)
        yield loaded
        service.close()


def test_it_measures_what_llama_bench_measures(session: EngineSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "DECODE_TOKENS", 24)
    told: list[str] = []
    measured = benchmark.measure(session, runs=2, told=told.append)
    assert told == ["Run 1 of 2", "Run 2 of 2"]
    assert measured.last.completion_tokens == 25
    assert measured.decode_range[0] <= measured.decode_tps <= measured.decode_range[1]
    assert measured.prefill_tps > measured.decode_tps > 0 < measured.ttft_s
    said = bench_json(measured, session.candidate, session.loaded, 2)
    assert json.loads(json.dumps(said)) == said
    assert {"decode_tps", "decode_tps_range", "prefill_tps", "ttft_s", "load_s", "predicted", "memory", "runs"} <= set(
        said
    )


def test_the_prompt_has_512_tokens(session: EngineSession) -> None:
    prompt, wanted = benchmark.prompt_for(session)
    last = list(session.generate((), Sampling(max_tokens=1), raw=prompt, reuse=False))[-1]
    assert wanted == 512 and last.prompt_tokens == 512
