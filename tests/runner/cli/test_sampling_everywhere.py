"""A sampling setting means the same wherever it is written, and a wrong one is told in the same words."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from models.errors import UsageError
from runner.cli.batch_lines import read_lines
from runner.cli.json_session import read_question
from runner.cli.options import parse
from runner.types.sampling import Sampling
from tests.support.grammars import Grammars
from tui import actions


def by_flag(name: str, text: str) -> Sampling:
    return parse(["m", f"--{name}={text}"], {}, {}).sampling


def by_environment(name: str, text: str) -> Sampling:
    return parse(["m"], {f"LOCALRUN_{name.replace('-', '_').upper()}": text}, {}).sampling


def by_configuration(name: str, text: str) -> Sampling:
    return parse(["m"], {}, {name.replace("-", "_"): text}).sampling


def by_slash(name: str, text: str) -> Sampling:
    return actions.with_setting(Sampling(), f"{name} {text}")


def by_batch_line(name: str, text: str) -> Sampling:
    (line,) = read_lines(json.dumps({"prompt": "x", name.replace("-", "_"): text}), Sampling(), Grammars())
    if line.wrong:
        raise line.wrong
    return line.sampling


def by_python(name: str, text: str) -> Sampling:
    return read_question({"messages": [], "sampling": {name.replace("-", "_"): text}}, Sampling())[1]


PLACES = (by_flag, by_environment, by_configuration, by_slash, by_batch_line, by_python)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [
        ("temp", "0.5", Sampling(temperature=0.5)),
        ("temp", "10", Sampling(temperature=10.0)),
        ("top-p", "1", Sampling(top_p=1.0)),
        ("top-k", "0", Sampling(top_k=0)),
        ("min-p", ".1", Sampling(min_p=0.1)),
        ("repeat-penalty", "1.1", Sampling(repeat_penalty=1.1)),
        ("seed", "7", Sampling(seed=7)),
        ("seed", "off", Sampling()),
        ("temp", "off", Sampling()),
        ("max-tokens", "1", Sampling(max_tokens=1)),
        ("logprobs", "0", Sampling(logprobs=0)),
        ("logprobs", "off", Sampling()),
    ],
)
def test_it_means_the_same(place: Callable[[str, str], Sampling], name: str, text: str, meant: Sampling) -> None:
    assert place(name, text) == meant


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("temp", "hot", "'hot' is not a number."),
        ("temp", "11", "11 is out of range: 0 to 10."),
        ("temp", "-1", "-1 is out of range: 0 to 10."),
        ("temp", "nan", "nan is out of range: 0 to 10."),
        ("temp", "inf", "inf is out of range: 0 to 10."),
        ("temp", "on", "'on' is not a number."),
        ("top-p", "1.5", "1.5 is out of range: 0 to 1."),
        ("top-k", "1.5", "'1.5' is not a whole number."),
        ("repeat-penalty", "inf", "inf is out of range: 0 to 10."),
        ("seed", "-1", "-1 is out of range: 0 to 4294967295."),
        ("max-tokens", "0", "0 is out of range: 1 to 2147483647."),
    ],
)
def test_a_wrong_one_is_told_in_the_same_words(
    place: Callable[[str, str], Sampling], name: str, text: str, sentence: str
) -> None:
    with pytest.raises(UsageError) as raised:
        place(name, text)
    where, _, said = str(raised.value).partition(": ")
    assert said.removeprefix(f"{name.replace('-', '_')}: ") == sentence
    assert where


@pytest.mark.parametrize("place", [by_slash, by_python])
def test_a_name_that_is_none_is_told(place: Callable[[str, str], Sampling]) -> None:
    with pytest.raises(UsageError, match="There is no sampling setting 'colour'; there are temp, top-p, "):
        place("colour", "3")
