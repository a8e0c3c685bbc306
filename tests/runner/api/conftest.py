"""One server for all tests of the room, over the real small model."""

from collections.abc import Iterator

import pytest

from runner.api.pool import Pool
from runner.types.wish import Wish
from tests.support.homes import own_home
from tests.support.server import Served, serving


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A user of their own."""
    with own_home(tmp_path_factory.mktemp("home")):
        yield


@pytest.fixture(scope="package")
def served(home: None) -> Iterator[Served]:
    """Nothing is loaded until a test asks for it; eight requests are answered at once.

    Texts are compared, so no tokens are guessed: how many are checked at once goes by the clock, and llama.cpp rounds
    batches of other sizes otherwise (docs/drafts.md).
    """
    with serving(Pool(Wish(ctx=4096, sequences=8, threads=1, draft="off"))) as one:
        yield one
