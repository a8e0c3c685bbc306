"""Several models on one machine: who is loaded beside whom, who has to go, what has no room."""

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import DoesNotFit, ModelNotFound
from runner.api.asked import Loading
from runner.api.pool import Pool
from runner.api.room import fewest_gone, is_clearly_better, left
from runner.service.service import LocalService
from runner.types.plan import Plan, Verdict
from runner.types.units import GIB, MIB
from runner.types.wish import Wish
from scripts.synthetic.embedders import write
from tests.support.server import Served, serving

MESSAGES = "/v1/messages"
SMALL = Wish(ctx=256, ubatch=64, threads=1, sequences=1)


@pytest.fixture(scope="module")
def model(home: None, smollm2: Path) -> Plan:
    with closing(LocalService()) as service:
        return service.plan(str(smollm2), SMALL)


def ram_of(plan: Plan) -> int:
    return plan.candidates[0].memory[-1].total


def worse(plan: Plan, **changes: object) -> Plan:
    """The same plan with another candidate in the place of the chosen one."""
    (one,) = plan.candidates
    return replace(plan, candidates=(replace(one, **changes),))  # type: ignore[arg-type]


def test_what_is_clearly_better(model: Plan) -> None:
    (one,) = model.candidates
    assert one.wait is not None and one.placement is not None
    none = replace(model, chosen=None)
    assert is_clearly_better(model, none) and not is_clearly_better(none, model)
    assert not is_clearly_better(model, model) and not is_clearly_better(none, none)
    for change in (
        {"verdict": Verdict.NO},
        {"wait": replace(one.wait, answer_s=2 * one.wait.answer_s, prompt_s=2 * one.wait.prompt_s)},
        {"placement": replace(one.placement, ctx=one.placement.ctx // 2)},
        {"bits_per_weight": one.bits_per_weight / 2},
    ):
        assert is_clearly_better(model, worse(model, **change)), change
        assert not is_clearly_better(worse(model, **change), model), change


def test_no_more_are_unloaded_than_help(model: Plan) -> None:
    none = replace(model, chosen=None)
    assert fewest_gone([none, none, model, model].__getitem__, 3) == (2, model)
    assert fewest_gone([model, model].__getitem__, 1) == (0, model)
    assert fewest_gone([none, none].__getitem__, 1) == (0, none)
    assert fewest_gone([none].__getitem__, 0) == (0, none)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, model: Plan, smollm2: Path) -> Iterator[Served]:
    """Room for the small model, or for a smaller one, and not for both; they are `one` and `two`, and `three`."""
    folder = tmp_path_factory.mktemp("weights")
    pool = Pool(replace(SMALL, ram_limit=ram_of(model) + GIB + 2 * MIB))
    for name in ("one", "two"):
        (folder / f"{name}.gguf").symlink_to(smollm2)
        pool.names.serve(str(folder / f"{name}.gguf"))
    pool.names.serve(str(write(folder / "three.gguf", "nomic-bert")))
    with serving(pool) as served:
        yield served


@pytest.fixture
def names(crowded: Served) -> Pool:
    return crowded.pool


def loaded(pool: Pool) -> list[str]:
    return [one.known.name for one in pool.residents()]


def test_the_idle_make_room_and_the_busy_do_not(names: Pool) -> None:
    told: list[Loading] = []
    with names.lease("one", told.append):
        assert told and {one.model for one in told} == {"one"} and told[-1].fraction == 1
        with pytest.raises(DoesNotFit, match=r"^two does not fit beside what is loaded: one \(\d+ MiB\)\. "):
            names.lease("two").__enter__()
        assert loaded(names) == ["one"]
    with names.lease("two") as resident:
        assert loaded(names) == ["two"] and resident.requests == 1
        assert not names.unload(resident)
    assert left(resident.running.plan.machine, SMALL, [resident.running], []).ram_available > 0
    assert names.unload(resident) and loaded(names) == []


@pytest.mark.parametrize("is_streamed", [False, True])
def test_who_asks_for_what_has_no_room_is_told_the_numbers(crowded: Served, is_streamed: bool) -> None:
    talk = {"model": "two", "messages": [{"role": "user", "content": "Hi"}], "stream": is_streamed}
    said = re.compile(r"two does not fit beside what is loaded: one \(\d+ MiB\)\. .*\d+ MiB too little")
    with crowded.pool.lease("one"):
        openai, messages, ollama = (
            crowded.post(path, talk) for path in ("/v1/chat/completions", MESSAGES, "/api/chat")
        )
    assert (openai.status, messages.status, ollama.status) == (503, 503, 503)
    assert openai.json["error"]["code"] == "no_room" and messages.json["type"] == "error"
    for sentence in (openai.json["error"]["message"], messages.json["error"]["message"], ollama.json["error"]):
        assert said.match(sentence), sentence


def test_a_name_leads_to_no_file_and_to_no_hub(names: Pool, tmp_path: Path, smollm2: Path) -> None:
    for name in (str(smollm2), "./one.gguf", "~/x.gguf", "org/repo", "http://127.0.0.1/x.gguf", "llama-3.3-70b", ""):
        with pytest.raises(ModelNotFound):
            names.names.meant(name)
    assert names.names.meant("ONE").name == "one"
    assert names.names.meant("smollm2-135m:Q4_1") == names.names.meant("SmolLM2_135M")
    assert [row.name for row in names.names.listed()][:3] == ["one", "two", "three"]
