"""What others wrote runs in an engine: one that does not end is ended, its request fails, and the server lives."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.server import Served
from tests.support.templates import with_template

CHAT = "/v1/chat/completions"
SHORT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2, "temperature": 0}
ENDLESS = (
    "{% if messages[-1].content == 'hang' %}{{ (messages|length + 6) ** (10**8) }}{% endif %}{{ messages[-1].content }}"
)
EXPLODING = 'root ::= (("a"?){0,40}){0,40} "!"'


def test_a_template_and_a_grammar_that_do_not_end(served: Served, smollm2: Path, tmp_path: Path) -> None:
    served.pool.names.serve(str(with_template(smollm2, ENDLESS, tmp_path / "endless.gguf")))
    hangs = [
        {**SHORT, "model": "endless", "messages": [{"role": "user", "content": "hang"}]},
        {**SHORT, "model": "smollm2-135m", "grammar": EXPLODING},
    ]
    with ThreadPoolExecutor(2) as clients:
        template, grammar = clients.map(lambda asked: served.post(CHAT, asked), hangs)
    assert (template.status, grammar.status) == (500, 500)
    assert template.json["error"]["message"] == "The model's chat template did not come to an end in 10 s."
    assert grammar.json["error"]["message"].startswith("The engine was ended: a grammar or a schema of a request took")
    for model in ("endless", "smollm2-135m"):
        assert served.post(CHAT, {**SHORT, "model": model}).json["usage"]["completion_tokens"] == 2
