"""Chat templates as programs of somebody else's: what they get, what they may, where they end."""

from __future__ import annotations

from typing import Any

import pytest

from models.errors import BadFile
from runner.engine.jinja import BrokenTemplate, JinjaTemplate

HI = [{"role": "user", "content": "Hi"}]


def rendered(template: str, **variables: Any) -> str:
    return JinjaTemplate(template, {"bos_token": "<s>", "eos_token": "</s>"}).render(HI, variables)


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}", "<s>Hi</s>"),
        ("{% if add_generation_prompt %}go{% endif %}", "go"),
        ("{{ 'none' if documents is none }}", "none"),
        ("{% for tool in tools %}{{ tool | tojson }}{% endfor %}", '{"name": "<é>"}'),
        ("{{ {'a': 1} | tojson(indent=1) }}", '{\n "a": 1\n}'),
        ("{{ strftime_now('%Y') | length }}", "4"),
        ("{{ date_string == strftime_now('%d %b %Y') }}", "True"),
        ("{{ datetime == strftime_now('%b %d %Y') }}", "True"),
        ("{% generation %}{{ messages[0].role }}{% endgeneration %}", "user"),
        ("{% for x in [1, 2, 3] %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "13"),
        ("  {% if true %}\nx\n  {% endif %}\ny", "x\ny"),
        ("{{ mood }}", "calm"),
        ("{{ not_given }}", ""),
    ],
)
def test_templates_get_what_they_read(template: str, made: str) -> None:
    assert rendered(template, mood="calm", tools=[{"name": "<é>"}]) == made


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ 'none' if tools is none }}", "none"),
        ("{% for tool in tools %}{{ tool }}{% endfor %}Hi", "Hi"),
        ("{% for one in documents %}{{ one }}{% endfor %}Hi", "Hi"),
        ("{{ functions | tojson }}", "[]"),
    ],
)
def test_a_template_that_counts_on_tools_does_without(template: str, made: str) -> None:
    assert rendered(template) == made


def test_it_is_known_what_a_template_reads() -> None:
    template = "{% set a = 1 %}{{ a }}{{ b }}{% if c is defined %}{% endif %}{% for d in messages %}{{ d }}{% endfor %}"
    assert JinjaTemplate(template, {}).reads == {"b", "c", "messages"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__['os'].getcwd() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__['sys'] }}",
        "{% include '/etc/hostname' %}",
        "{% import 'os' as os %}",
    ],
)
def test_a_template_reaches_for_nothing_outside(template: str) -> None:
    with pytest.raises(BrokenTemplate):
        rendered(template)


def test_a_template_may_refuse_a_conversation() -> None:
    with pytest.raises(ValueError, match=r"^No\.$") as caught:
        rendered("{{ raise_exception('No.') }}")
    assert not isinstance(caught.value, BrokenTemplate)


@pytest.mark.parametrize("template", ["{{ 1 / 0 }}", "{{ messages[0].content.items() }}"])
def test_a_template_that_fails_by_itself_is_broken(template: str) -> None:
    with pytest.raises(BrokenTemplate):
        rendered(template)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ 'x' * 2 * 10**9 }}", "takes too much memory"),
        ("{{ messages[0].content * 2 * 10**9 }}", "takes too much memory"),
        (
            "{% set it = namespace(all=[0]) %}{% for _ in range(99) %}{% set it.all = it.all + it.all %}{% endfor %}",
            "takes too much memory",
        ),
        ("{{ 'x' * 2 * 10**6 }}", "far more of a conversation"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{{ messages }}{% endfor %}{% endfor %}", "far more of a"),
    ],
)
def test_a_template_is_bounded_in_memory(template: str, sentence: str) -> None:
    with pytest.raises(BadFile, match=sentence):
        rendered(template)
    assert bytes(3 << 29), "what is no template is not bounded"


@pytest.mark.parametrize("text", ["{{ .System }}", "{% for %}", "{% endif %}", "{{ " + "(" * 5000])
def test_what_is_no_jinja_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BrokenTemplate, match=r"no Jinja|recursion"):
        JinjaTemplate(text, {})
