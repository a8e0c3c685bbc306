"""Files without a template: the marks of their vocabulary, and never marks that are no tokens of it."""

import pytest

from runner.chat.unwritten import FAMILIES, PLAIN, TurnForm, unwritten
from runner.engine.jinja import JinjaTemplate

TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go"}]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_known_by_all_its_marks(family: TurnForm) -> None:
    assert unwritten({*family.needs, "<pad>"}) is family
    assert unwritten(set(family.needs[1:])) is PLAIN


@pytest.mark.parametrize(
    ("marks", "prompt"),
    [
        ("<|im_start|> <|im_end|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n"),
        (
            "<start_of_turn> <end_of_turn>",
            "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nYes?<end_of_turn>\n",
        ),
        ("[INST] [/INST]", "[INST] Hi [/INST]Yes?</s>[INST] Go [/INST]"),
        ("<｜User｜> <｜Assistant｜>", "<｜User｜>Hi<｜Assistant｜>Yes?</s><｜User｜>Go<｜Assistant｜>"),
        ("", "Hi\n\nYes?\n\nGo"),
    ],
)
def test_prompts(marks: str, prompt: str) -> None:
    template = JinjaTemplate(unwritten(marks.split()).text, {"eos_token": "</s>"})
    assert template.render(TALK, {}).startswith(prompt)
