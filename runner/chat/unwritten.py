"""Templates for files that have none: the marks that the vocabulary has, else the text as it is. Pure.

Marks that are no tokens of a vocabulary would be read as letters, and never end an answer.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnForm:
    """The form of prompts of a family; `needs` are its marks."""

    name: str
    needs: tuple[str, ...]
    text: str


def _turns(name: str, needs: str, turn: str, answer: str) -> TurnForm:
    """`turn` with ROLE and TEXT, for each message; `answer` begins the assistant's."""
    body = turn.replace("ROLE", "{{ message['role'] }}").replace("TEXT", "{{ message['content'] }}")
    rest = f"{{% if add_generation_prompt %}}{answer}{{% endif %}}"
    return TurnForm(name, tuple(needs.split()), f"{{% for message in messages %}}{body}{{% endfor %}}{rest}")


_GEMMA = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('No system') }}"
    "{% endif %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{{ message['content'] }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_MISTRAL = (
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('No system') }}{% endif %}{% endfor %}"
)
_DEEPSEEK = (
    "{% for message in messages %}{% if message['role'] == 'user' %}<｜User｜>{{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}<｜Assistant｜>{{ message['content'] + eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)
FAMILIES = (
    _turns("ChatML", "<|im_start|> <|im_end|>", "<|im_start|>ROLE\nTEXT<|im_end|>\n", "<|im_start|>assistant\n"),
    _turns(
        "Llama 3's",
        "<|start_header_id|> <|end_header_id|> <|eot_id|>",
        "<|start_header_id|>ROLE<|end_header_id|>\n\nTEXT<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    TurnForm("Gemma's", ("<start_of_turn>", "<end_of_turn>"), _GEMMA),
    TurnForm("DeepSeek's", ("<｜User｜>", "<｜Assistant｜>"), _DEEPSEEK),
    _turns("Phi's", "<|system|> <|user|> <|assistant|> <|end|>", "<|ROLE|>\nTEXT<|end|>\n", "<|assistant|>\n"),
    _turns("GLM's", "[gMASK] <sop> <|user|> <|assistant|>", "<|ROLE|>\nTEXT", "<|assistant|>\n"),
    TurnForm("Mistral's", ("[INST]", "[/INST]"), _MISTRAL),
)
PLAIN = TurnForm(
    "none: the text as it is, for the file has no template and its vocabulary no marks of turns",
    (),
    "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\n\n' }}{% endif %}{% endfor %}",
)


def unwritten(controls: Collection[str]) -> TurnForm:
    """The first family all of whose marks are among these control tokens, else PLAIN."""
    return next((one for one in FAMILIES if all(mark in controls for mark in one.needs)), PLAIN)
