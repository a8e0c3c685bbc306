"""Chat templates that do not end or eat the memory: one sentence, and the session lives on."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from models.errors import BadFile
from runner.client.session import EngineSession
from runner.service.service import LocalService
from runner.types.generation import Message
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from tests.support.homes import own_home
from tests.support.templates import with_template

HOLDS_THE_INTERPRETER = (
    "{% set said = messages[-1].content %}{% if said == 'hang' %}{{ (messages|length + 6) ** (10**8) }}{% endif %}"
    "{% if said == 'eat' %}{{ said * 10**9 }}{% endif %}{{ said }}"
)
SHORT = Sampling(temperature=0, max_tokens=4)


@pytest.fixture
def session(tmp_path: Path, smollm2: Path) -> Iterator[EngineSession]:
    path = with_template(smollm2, HOLDS_THE_INTERPRETER, tmp_path / "tiny-Q4_1.gguf")
    with own_home(tmp_path), closing(LocalService()) as service:
        plan = service.plan(str(path), Wish(ctx=256))
        *_, session = service.load(plan, service.chosen(plan))
        assert isinstance(session, EngineSession)
        yield session


def said(session: EngineSession, text: str) -> str:
    return "".join(chunk.text for chunk in session.generate([Message("user", text)], SHORT))


def test_one_that_takes_too_long_ends_with_a_sentence_and_the_next_message_works(session: EngineSession) -> None:
    usual = said(session, "The sea")
    with pytest.raises(BadFile, match=r"^The model's chat template did not come to an end in 10 s\.$"):
        said(session, "hang")
    assert said(session, "The sea") == usual


def test_one_that_takes_too_much_memory_does_not_even_end_the_engine(session: EngineSession) -> None:
    usual = said(session, "The sea")
    with pytest.raises(BadFile, match="chat template takes too much memory"):
        said(session, "eat")
    chunks = list(session.generate([Message("user", "The sea")], SHORT))
    assert "".join(chunk.text for chunk in chunks) == usual
    assert not any(chunk.happened for chunk in chunks)
