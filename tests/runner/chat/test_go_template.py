"""Ollama's templates: Go's language, and Ollama's rules of what is run how often."""

from __future__ import annotations

from typing import Any

import pytest

from runner.chat.go_syntax import looks_like_go
from runner.chat.go_template import GoTemplate

SYSTEM, HI = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}
YES, MORE = {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "More"}

S, E = "<|im_start|>", "<|im_end|>"
CHATML = """{{ if .System }}<|im_start|>system
{{ .System }}<|im_end|>
{{ end }}{{ if .Prompt }}<|im_start|>user
{{ .Prompt }}<|im_end|>
{{ end }}<|im_start|>assistant
{{ .Response }}<|im_end|>
"""
LLAMA = """{{- if or .System .Tools }}<|sys|>{{ .System }}{{ end }}
{{- range $i, $_ := .Messages }}
{{- $last := eq (len (slice $.Messages $i)) 1 }}
{{- if eq .Role "user" }}<|user|>{{ .Content }}
{{- else if and (eq .Role "assistant") (not $last) }}<|asst|>{{ .Content }}<|eot|>
{{- end }}
{{- if and (ne .Role "assistant") $last }}<|asst|>{{ end }}
{{- end }}"""


@pytest.mark.parametrize(
    ("template", "messages", "prompt"),
    [
        ("{{ .System }} {{ .Prompt }}", [SYSTEM, HI], "Be brief. Hi"),
        ("{{ .System }} {{ .Prompt }}", [HI], " Hi"),
        (CHATML, [HI], "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
        (
            CHATML,
            [SYSTEM, HI, YES, MORE],
            f"{S}system\nBe brief.{E}\n{S}user\nHi{E}\n{S}assistant\nYes?{E}\n{S}user\nMore{E}\n{S}assistant\n",
        ),
        (
            "[INST] {{ .Prompt }} [/INST]{{ .Response }}</s>",
            [HI, YES, MORE],
            "[INST] Hi [/INST]Yes?</s>[INST] More [/INST]",
        ),
        (LLAMA, [SYSTEM, HI, YES, MORE], "<|sys|>Be brief.<|user|>Hi<|asst|>Yes?<|eot|><|user|>More<|asst|>"),
        (LLAMA, [HI], "<|user|>Hi<|asst|>"),
        ("{{/* a note */}}{{ with .System }}({{ . }}){{ else }}none{{ end }}", [HI], "none"),
        ('{{ printf "%s!" .Prompt | print "so " }}', [HI], "so Hi!"),
        ("{{ range .Messages }}{{ json .Content }}{{ end }}", [HI], '"Hi"'),
        (
            "{{ range .Messages }}{{ if eq .Role `system` }}{{ continue }}{{ end }}{{ .Content }}{{ end }}",
            [SYSTEM, HI],
            "Hi",
        ),
        ("{{ range .Messages }}{{ .Content }}{{ break }}{{ end }}", [HI, YES], "Hi"),
        ("{{ $n := 0 }}{{ range .Messages }}{{ $n = len .Content }}{{ end }}{{ $n }}", [HI, YES], "4"),
        ("{{ (index .Messages 1).Content }}", [HI, YES], "Yes?"),
        ("a  {{- .Prompt -}}  b", [HI], "aHib"),
        ("{{ range .Tools }}x{{ else }}no tools {{ end }}{{ .Prompt }}", [HI], "no tools Hi"),
    ],
)
def test_prompts(template: str, messages: list[dict[str, Any]], prompt: str) -> None:
    assert GoTemplate(template).render(messages, {}) == prompt


def test_thinking_is_switched_by_ollamas_names() -> None:
    template = GoTemplate(
        "{{ .Prompt }}{{ if and .IsThinkSet .Think }}/think{{ end }}{{ if .ThinkLevel }}{{ .ThinkLevel }}{{ end }}"
    )
    assert template.reads == {"enable_thinking", "reasoning_effort"}
    assert template.render([HI], {"enable_thinking": True, "reasoning_effort": "low"}) == "Hi/thinklow"
    assert template.render([HI], {}) == "Hi"


@pytest.mark.parametrize(
    "text", ["{{ if .System }}x", "{{ end }}", "{{ .A b }}", "{{ ) }}", "{{ (.A }}", "{{ if .A }}{{ else }}x", "{{ }}"]
)
def test_what_is_no_template_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"end|argument|place|closed|empty"):
        GoTemplate(text)


@pytest.mark.parametrize(
    "text", ["{{ teleport .System }}", "{{ slice .System 1 2 3 4 }}", "{{ lt .Prompt 3 }}", "{{ $x }}"]
)
def test_a_template_that_fails_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"fails|calls teleport"):
        GoTemplate(text).render([HI], {})


@pytest.mark.parametrize(
    ("text", "is_go"),
    [
        (CHATML, True),
        (LLAMA, True),
        ("{{ .System }}", True),
        ("{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}", False),
        ("{{ messages[0].content }}", False),
        ("{% if x %}{{ .x }}{% endif %}", False),
    ],
)
def test_gos_and_jinjas_are_told_apart(text: str, is_go: bool) -> None:
    assert looks_like_go(text) is is_go
