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


def test_templates_and_a_grammar_that_do_not_end(served: Served, smollm2: Path, tmp_path: Path) -> None:
    """One template is the model's, one the request's; each has an engine of its own to hang."""
    served.pool.names.serve(str(with_template(smollm2, ENDLESS, tmp_path / "endless.gguf")))
    (other := tmp_path / "other.gguf").symlink_to(smollm2)
    served.pool.names.serve(str(other))
    hangs: list[tuple[str, dict[str, object]]] = [
        (CHAT, {**SHORT, "model": "endless", "messages": [{"role": "user", "content": "hang"}]}),
        ("/api/generate", {"model": "other", "prompt": "hang", "template": ENDLESS, "stream": False}),
        (CHAT, {**SHORT, "model": "smollm2-135m", "grammar": EXPLODING}),
    ]
    with ThreadPoolExecutor(3) as clients:
        template, own, grammar = clients.map(lambda asked: served.post(*asked), hangs)
    assert (template.status, own.status, grammar.status) == (500, 500, 500)
    assert template.json["error"]["message"] == "The model's chat template did not come to an end in 10 s."
    assert "did not come to an end in 10 s" in own.json["error"]
    assert grammar.json["error"]["message"].startswith("The engine was ended: a grammar or a schema of a request took")
    for model in ("endless", "other", "smollm2-135m"):
        assert served.post(CHAT, {**SHORT, "model": model}).json["usage"]["completion_tokens"] == 2
