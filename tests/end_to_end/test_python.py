"""`import localrun` in somebody's script."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

import localrun
from tests.support.typed import misfits, stubs
from tests.support.waiting import COMMAND_S, PATIENCE_S, until

pytestmark = pytest.mark.usefixtures("a_user_of_their_own")


@pytest.fixture(scope="module")
def model() -> Iterator[localrun.Model]:
    with localrun.open("smollm2-135m", threads=1, ctx=1024, parallel=3) as opened:
        yield opened


def test_a_plan_is_the_contracts_object() -> None:
    found = localrun.plan("smollm2-135m", on="rtx-4090", ctx=2048)
    assert misfits(found, stubs()["Plan"]) == []
    assert found["candidates"][found["chosen"]]["ctx"] == 2048


def test_a_chat_comes_in_chunks(model: localrun.Model) -> None:
    question = [{"role": "user", "content": "Name three primary colours."}]
    chunks = list(model.chat(question, temp=0, max_tokens=20))
    assert "".join(chunk.text for chunk in chunks) == model.ask(question[0]["content"], temp=0, max_tokens=20)
    assert chunks[-1].finish_reason == "length" and chunks[-1].result is not None
    assert model.info["model"] == {"name": "smollm2-135m", "quant": "Q4_1"}


def test_logprobs_are_in_the_result(model: localrun.Model) -> None:
    *_, last = model.chat([{"role": "user", "content": "Hi"}], temp=0, max_tokens=6, logprobs=2)
    assert last.result is not None
    assert misfits(last.result, stubs()["Result"]) == misfits(model.info, stubs()["Info"]) == []
    told = last.result["logprobs"]
    assert len(told) == last.result["usage"]["completion_tokens"] and len(told[0]["top_logprobs"]) == 2
    assert last.result["text"].startswith(told[0]["token"].strip())


STORY = [{"role": "user", "content": "Write a very long story."}]
ENDLESS: dict[str, Any] = {"temp": 2, "seed": 1, "logit_bias": {"0": -100, "2": -100}}  # its two ends never come


def by_break(model: localrun.Model) -> None:
    for _chunk in model.chat(STORY, **ENDLESS):
        break


def by_close_of_a_text(model: localrun.Model) -> None:
    text = model.complete("The sea", **ENDLESS)
    next(text)
    text.close()  # type: ignore[attr-defined]


def by_close_of_a_batch(model: localrun.Model) -> None:
    results = model.batch(["Say one.", *[STORY] * 40], temp=0)
    next(results)
    results.close()  # type: ignore[attr-defined]


def by_cancelled_tasks(model: localrun.Model) -> None:
    async def cancelled() -> None:
        story = model.achat(STORY, **ENDLESS)
        await anext(story)
        tasks = [asyncio.ensure_future(one) for one in (anext(story), model.aask("Hi", **ENDLESS))]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait(tasks, timeout=PATIENCE_S)
        await story.aclose()  # type: ignore[attr-defined]

    asyncio.run(cancelled())


def test_whoever_leaves_lets_the_next_one_begin() -> None:
    """One answer at a time, and what is left would take minutes."""
    ways = (by_break, by_close_of_a_text, by_close_of_a_batch, by_cancelled_tasks)
    with ThreadPoolExecutor(1) as pool, localrun.open("smollm2-135m", threads=1, ctx=8192, parallel=1) as model:
        for leave in ways:
            leave(model)
            assert pool.submit(model.ask, "Hi", temp=0, max_tokens=4).result(PATIENCE_S), leave


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_model_that_ends_in_the_midst_of_an_answer_leaves_no_process(is_killed: bool) -> None:
    with localrun.open("smollm2-135m", threads=1, ctx=8192) as model:
        story = model.chat(STORY, **ENDLESS)
        next(story)
        (session,) = [one for one in psutil.Process().children() if "8192" in one.cmdline()]
        (engine,) = session.children()
        if is_killed:
            session.kill()
        else:
            model.close()
        assert not psutil.wait_procs([session, engine], timeout=PATIENCE_S)[1]
        with suppress(localrun.Error):
            assert not list(story)[-1].text, "and the iterator ends"
        with pytest.raises(localrun.Error):
            model.ask("Hi")


def test_a_model_that_answers_makes_no_vectors(model: localrun.Model) -> None:
    for asked in (lambda: model.embed(["sea"]), lambda: model.rerank("sea", ["ship"])):
        with pytest.raises(localrun.Error, match="answers") as caught:
            asked()
        assert caught.value.code == 2
    assert model.ask("Hi", temp=0, max_tokens=4)


def test_errors_carry_a_sentence_and_the_code(model: localrun.Model) -> None:
    with pytest.raises(localrun.Error, match="near it"):
        localrun.plan("smollm2-35m")
    with pytest.raises(localrun.Error) as caught:
        localrun.open("smollm2-35m")
    assert caught.value.code == 3
    with pytest.raises(localrun.Error, match="the context holds 1024"):
        model.ask("word " * 3000)
    with pytest.raises(localrun.Error, match="no sampling setting"):
        model.ask("Hi", temperatur=3)
    assert model.ask("Hi", temp=0, max_tokens=4), "an error ends a turn, not the model"


def engine_of(model: localrun.Model) -> psutil.Process:
    (session,) = [child for child in psutil.Process().children() if "--json-session" in child.cmdline()]
    (engine,) = session.children()
    return engine


def test_a_killed_engine_ends_an_answer_not_the_model(model: localrun.Model) -> None:
    said = ""
    with pytest.raises(localrun.Error, match="The engine was killed") as caught:
        for chunk in model.chat([{"role": "user", "content": "Write a very long story."}], temp=0):
            said += chunk.text
            engine_of(model).kill()
    assert said and caught.value.code == 1
    assert model.ask("Hi", temp=0, max_tokens=4)


@pytest.mark.parametrize("asked", [{"stop": 5}, {"seed": "x"}])
def test_what_cannot_be_understood_costs_a_turn(model: localrun.Model, asked: dict[str, Any]) -> None:
    with pytest.raises(localrun.Error) as caught:
        model.ask("Hi", **asked)
    assert caught.value.code == 2
    assert model.ask("Hi", temp=0, max_tokens=4)


def test_half_a_character_is_no_end(model: localrun.Model) -> None:
    assert model.ask("What is \ud800?", temp=0, max_tokens=4)


def test_answers_side_by_side(model: localrun.Model) -> None:
    """From one thread, from several, and none is stopped by the end of another one."""
    first = model.chat(STORY, temp=0)
    next(first)
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda word: model.ask(f"Say {word}.", temp=0, max_tokens=6), ("one", "two")))
    assert all(told) and next(first).text
    first.close()  # type: ignore[attr-defined]
    assert model.ask("Hi", temp=0, max_tokens=4)


def test_a_text_goes_on_and_tokens_are_counted(model: localrun.Model) -> None:
    assert "".join(chunk.text for chunk in model.complete("1, 2, 3, 4,", temp=0, max_tokens=4)).startswith(" 5")
    assert model.count_tokens("One two three") == 3
    assert model.count_tokens([{"role": "user", "content": "One two three"}]) > 6


def test_a_batch_brings_each_result_as_it_ends(model: localrun.Model) -> None:
    prompts: list[Any] = ["Say one.", "word " * 3000, [{"role": "user", "content": "Say two."}]]
    results = dict(model.batch(prompts, temp=0, max_tokens=4))
    assert results[0]["text"] and results[2]["text"]
    assert results[1]["error"]["kind"] == "PromptTooLong"
    assert [misfits(result, stubs()["BatchResult"]) for result in results.values()] == [[]] * 3


def test_the_same_for_asyncio(model: localrun.Model) -> None:
    async def asked() -> tuple[str, str, int, str]:
        story = model.achat(STORY, temp=0)
        begun = (await anext(story)).text
        both = await asyncio.gather(*(model.aask(f"Say {word}.", temp=0, max_tokens=6) for word in ("one", "two")))
        await story.aclose()  # type: ignore[attr-defined]
        more = [chunk.text async for chunk in model.acomplete("1, 2, 3, 4,", temp=0, max_tokens=4)]
        return begun, both[1], await model.acount_tokens("One two three"), "".join(more)

    begun, two, count, more = asyncio.run(asked())
    assert begun and two == model.ask("Say two.", temp=0, max_tokens=6)
    assert (count, more[:2]) == (3, " 5")


def test_a_batch_for_asyncio(model: localrun.Model) -> None:
    async def asked() -> dict[int, dict[str, Any]]:
        prompts = ["Say one.", "word " * 3000, "Say two."]
        return {index: result async for index, result in model.abatch(prompts, temp=0, max_tokens=4)}

    results = asyncio.run(asked())
    assert results[0]["text"] and results[2]["text"] and results[1]["error"]["kind"] == "PromptTooLong"


def test_a_dead_model_can_be_closed_and_a_dropped_one_ends() -> None:
    with localrun.open("smollm2-135m", threads=1, ctx=512) as dead:
        (process,) = [one for one in psutil.Process().children() if "512" in one.cmdline()]
        process.kill()
        with pytest.raises(localrun.Error):
            dead.ask("Hi")
    dropped = localrun.open("smollm2-135m", threads=1, ctx=256)
    (process,) = [one for one in psutil.Process().children() if "256" in one.cmdline()]
    (engine,) = process.children()
    assert os.getsid(process.pid) == process.pid, "Ctrl-C in a shell of Python is not for it"
    del dropped
    assert not psutil.wait_procs([process, engine], timeout=PATIENCE_S)[1]


def test_a_grammar_and_choices_bind_the_answers_of_a_script(tmp_path: Path) -> None:
    (tmp_path / "yes.gbnf").write_text('root ::= "yes"')
    for flags, bound in (({"grammar": tmp_path / "yes.gbnf"}, ["yes"]), ({"choices": "red,blue"}, ["red", "blue"])):
        with localrun.open("smollm2-135m", threads=1, ctx=512, **flags) as llm:
            assert llm.ask("Is the sky blue?", temp=0, max_tokens=40) in bound


def test_much_on_stderr_blocks_nobody(tmp_path: Path, smollm2: Path) -> None:
    for number in range(900):
        (tmp_path / f"model-with-a-rather-long-name-number-{number}-Q4_K_M.gguf").write_text("junk")
    (tmp_path / "good-Q4_1.gguf").symlink_to(smollm2)
    with localrun.open(str(tmp_path), threads=1, ctx=512) as llm:
        assert llm.ask("Hi", temp=0, max_tokens=3)


SCRIPT = "import localrun; localrun.open('smollm2-135m')"


def test_a_script_that_is_killed_while_it_loads_leaves_nobody() -> None:
    script = subprocess.Popen([sys.executable, "-c", SCRIPT])
    family = partial(psutil.Process(script.pid).children, recursive=True)
    until(lambda: any("runner.engine" in one.cmdline() for one in family()[1:]), family)
    left = family()
    left[-1].suspend()  # the engine: the plan waits for it
    script.kill()
    script.wait(PATIENCE_S)
    assert not psutil.wait_procs(left, timeout=PATIENCE_S)[1]


def test_a_script_with_our_names_is_not_disturbed(tmp_path: Path) -> None:
    for name in ("runner", "models", "tui"):
        (tmp_path / f"{name}.py").write_text("who = 'the script'\n")
    (tmp_path / "script.py").write_text(
        "import runner, models, localrun\n"
        "assert runner.who == models.who == 'the script'\n"
        "with localrun.open('smollm2-135m', threads=1, ctx=512) as llm:\n"
        "    print(llm.ask('Hi', temp=0, max_tokens=4))\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("name", "said"), [("python", r"(?s).*The prompt has .* 2\n"), ("tools", r"(?s)(Paris|Rome)\n.+")]
)
def test_the_documentation_runs_as_it_stands(environment: dict[str, str], tmp_path: Path, name: str, said: str) -> None:
    page = Path(localrun.__file__).parent / "docs" / f"{name}.md"
    program = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(said, done.stdout), done.stdout
