"""What was read of a conversation is kept for the weights that read it, and for no others in their place."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runner.client.session import EngineSession
from runner.service import kept_states
from runner.service.service import LocalService
from runner.types.generation import Message
from runner.types.sampling import Sampling
from runner.types.wish import Wish
from tests.support.homes import own_home

ASKED = [Message("user", "List some animals: " + "cat, dog, cow, hen, " * 20)]
WISH = Wish(ctx=1024, threads=1)


@pytest.fixture
def weights(tmp_path: Path, smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(kept_states, "WORTH_S", 0.0)
    with own_home(tmp_path):
        yield Path(shutil.copy2(smollm2, tmp_path / "model.gguf"))


def cached(weights: Path, index: int = 0) -> int:
    """Tokens of the prompt that another program's engine need not read, which leaves what it has read."""
    with closing(LocalService()) as service:
        *_, session = service.load(service.plan(str(weights), WISH), index)
        assert isinstance(session, EngineSession)
        service.recall(session, "a conversation")
        *_, last = session.generate(ASKED, Sampling(temperature=0, max_tokens=2))
        service.remember(session, "a conversation", ASKED)
        return last.cached_tokens


def test_weights_in_the_place_of_others_read_the_conversation_themselves(weights: Path) -> None:
    assert cached(weights) == 0
    assert cached(weights) > 80
    times = weights.stat()
    other = shutil.copy(weights, weights.with_suffix(".other"))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns + 10**9))
    Path(other).replace(weights)
    assert cached(weights) == 0
    assert cached(weights) > 80


def test_weights_beside_others_of_the_same_quantization_do_too(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("model-Q4_1.gguf", "model.Q4_1.gguf"):
        shutil.copy2(weights, folder / name)
    assert [cached(folder, index) > 80 for index in (0, 0, 1, 1)] == [False, True, False, True]
