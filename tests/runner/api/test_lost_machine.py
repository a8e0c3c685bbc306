"""A machine that lends to a server and goes away: the request fails and names it, the next is planned without it."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from runner.api.pool import Pool
from runner.types.wish import Wish
from tests.support.server import Served, serving
from tests.support.workers import RunningWorker, working

CHAT = "/v1/chat/completions"
ASKED = {"model": "smollm2-135m", "messages": [{"role": "user", "content": "Tell a long story."}], "temperature": 0}


def answered_until_killed(served: Served, worker: RunningWorker) -> bytes:
    """What is said of an answer whose machine is killed at its first words."""
    with closing(served.connected()) as connection:
        connection.request("POST", CHAT, json.dumps({**ASKED, "max_tokens": 900, "stream": True}))
        answer = connection.getresponse()
        said = b""
        for line in answer:
            said += line
            if b"content" in line:
                worker.process.kill()
        return said


def devices(served: Served) -> set[str]:
    (resident,) = served.pool.residents()
    return set(resident.running.placement.devices)


@pytest.mark.usefixtures("home")
def test_a_server_goes_on_without_a_machine_that_is_gone_and_says_so(tmp_path: Path) -> None:
    notes: list[str] = []
    with working(tmp_path) as worker:
        wish = Wish(ctx=1024, gpu_layers=31, rpc=(worker.endpoint,), sequences=2, threads=1, draft="off")
        with serving(Pool(wish, notes.append)) as served:
            said = answered_until_killed(served, worker).decode()
            assert f"({worker.endpoint}) is gone: what it held of the model is lost" in said, said
            assert devices(served) == {"RPC0"} and notes == []
            again = served.post(CHAT, {**ASKED, "max_tokens": 4, "stream": True})
            assert again.status == 200 and again.events[-1] == "[DONE]"
            (note,) = notes
            assert note.startswith("The engine was started again without ") and f"({worker.endpoint})" in note
            assert note in again.comments and devices(served) == set()
            assert served.post(CHAT, {**ASKED, "max_tokens": 4}).json["usage"]["completion_tokens"] == 4
            assert len(notes) == 1, "it is said once"
