"""What a server has read for its clients outlives it: the next one starts from the disk, whoever asks."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.api.pool import Pool
from runner.client.session import EngineSession
from runner.service import kept_states, served_states
from runner.storage.paths import paths
from runner.types.generation import Message
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from tests.support.asked import MODEL
from tests.support.homes import own_home
from tests.support.server import Served, serving

CHAT = "/v1/chat/completions"
LONG = "List some animals: " + "cat, dog, cow, hen, " * 60
ASKED = [{"role": "user", "content": LONG}]
GREEDY = {"model": MODEL, "temperature": 0, "max_tokens": 4}
WISH = Wish(ctx=2048, sequences=2, threads=1, draft="off")


@pytest.fixture(autouse=True)
def all_is_worth_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """However fast the machine reads."""
    monkeypatch.setattr(served_states, "WORTH_S", 0.0)
    monkeypatch.setattr(kept_states, "SAVES_S", 0.0)
    with own_home(tmp_path):
        yield


def states() -> list[Path]:
    return sorted(paths().states.glob("*"))


def ask(served: Served, messages: list[dict[str, str]]) -> tuple[str, int, int]:
    """What is said, and how many tokens the prompt has, and how many of these were there."""
    said = served.post(CHAT, {**GREEDY, "messages": messages}).json
    usage = said["usage"]
    text = said["choices"][0]["message"]["content"]
    return text, usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


def test_the_next_server_starts_from_what_was_read() -> None:
    with serving(Pool(WISH)) as first:
        said, count, cached = ask(first, ASKED)
        ask(first, [{"role": "user", "content": "Short."}])
    assert cached == 0 and len(states()) == 1, "who says little leaves nothing"
    assert states()[0].stat().st_mode & 0o777 == 0o600
    talk = [*ASKED, {"role": "assistant", "content": said}, {"role": "user", "content": "And plants?"}]
    with serving(Pool(WISH)) as second:
        told: Any = second.post("/v1/messages", {**GREEDY, "messages": talk}).json["usage"]
        assert count <= told["cache_read_input_tokens"] and told["input_tokens"] < 40
        assert ask(second, ASKED)[1:] == (count, count - 1)
    assert len(states()) == 1, "a conversation that has grown is another one"


def test_what_somebody_kept_by_a_name_serves_those_who_have_none() -> None:
    with closing(Pool(WISH)) as first, first.lease(MODEL) as resident:
        session, talk = resident.session, [Message("user", LONG)]
        assert isinstance(session, EngineSession)
        assert list(session.generate(talk, Sampling(max_tokens=4)))
        resident.service.remember(session, "prompt animals", talk)
    assert len(states()) == 1
    with serving(Pool(WISH)) as second:
        _, count, cached = ask(second, [{"role": "user", "content": f"{LONG}\nWhich is the largest?"}])
    assert count - 20 < cached < count


def test_nothing_is_kept_or_used_where_there_is_no_room() -> None:
    with serving(Pool(WISH)) as first:
        ask(first, ASKED)
    (kept,) = states()
    before = kept.stat().st_mtime_ns
    with serving(Pool(WISH, cache_size=0)) as second:
        assert ask(second, ASKED)[2] == 0
        ask(second, [{"role": "user", "content": LONG.upper()}])
    assert states() == [kept] and kept.stat().st_mtime_ns == before


def test_one_that_is_damaged_is_read_anew() -> None:
    with serving(Pool(WISH)) as first:
        said = ask(first, ASKED)
    (kept,) = states()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    with serving(Pool(WISH)) as second:
        assert ask(second, ASKED) == said
