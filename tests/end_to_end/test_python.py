"""`import localrun` in somebody's script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import localrun


@pytest.fixture(scope="module", autouse=True)
def a_user_of_their_own(environment: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def model() -> Iterator[localrun.Model]:
    with localrun.open("smollm2-135m", threads=1, ctx=1024) as opened:
        yield opened


def test_a_plan_is_the_contracts_object() -> None:
    found = localrun.plan("smollm2-135m", on="rtx-4090", ctx=2048)
    assert found["candidates"][found["chosen"]]["ctx"] == 2048


def test_a_chat_comes_in_chunks(model: localrun.Model) -> None:
    question = [{"role": "user", "content": "Name three primary colours."}]
    chunks = list(model.chat(question, temp=0, max_tokens=20))
    assert "".join(chunk.text for chunk in chunks) == model.ask(question[0]["content"], temp=0, max_tokens=20)
    assert chunks[-1].finish_reason == "length" and chunks[-1].result is not None
    assert model.info["model"] == {"name": "smollm2-135m", "quant": "Q4_1"}


def test_leaving_a_chat_stops_it(model: localrun.Model) -> None:
    for _chunk in model.chat([{"role": "user", "content": "Write a very long story."}], temp=0):
        break
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


def test_a_script_with_our_names_is_not_disturbed(tmp_path: Path) -> None:
    for name in ("runner", "models", "tui"):
        (tmp_path / f"{name}.py").write_text("who = 'the script'\n")
    (tmp_path / "script.py").write_text(
        "import runner, models, localrun\n"
        "assert runner.who == models.who == 'the script'\n"
        "with localrun.open('smollm2-135m', threads=1, ctx=512) as llm:\n"
        "    print(llm.ask('Hi', temp=0, max_tokens=4))\n"
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr
