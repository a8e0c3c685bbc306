"""How many prompts of a batch are answered at once, planned for the real small model."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runner.service.parallel import for_many
from runner.service.service import LocalService
from runner.types.units import GIB
from runner.types.wish import Wish
from tests.support.homes import own_home


@pytest.fixture
def service(tmp_path: Path) -> Iterator[LocalService]:
    with own_home(tmp_path), closing(LocalService()) as service:
        yield service


def ram_needed(service: LocalService, name: str, wish: Wish) -> int:
    plan = service.plan(name, wish)
    return plan.candidates[service.chosen(plan)].memory[-1].total


def test_as_many_as_cost_nothing_else(service: LocalService, smollm2: Path) -> None:
    name, short = str(smollm2), Wish(ctx=2048)
    assert for_many(service, name, short) == replace(short, sequences=8)
    asked = replace(short, sequences=3)
    assert for_many(service, name, asked) is asked


def test_fewer_where_memory_is_short(service: LocalService, smollm2: Path) -> None:
    name = str(smollm2)
    wish = Wish(ctx=2048, ubatch=64, draft="off")  # guesses want as many logits for one
    one, eight = (ram_needed(service, name, replace(wish, sequences=count)) for count in (1, 8))
    assert eight > one, "logits of eight"
    tight = replace(wish, kv_type="f16", ram_limit=one + GIB + (eight - one) // 3)
    found = for_many(service, name, tight).sequences
    assert found is None or found < 8
