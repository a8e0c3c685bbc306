"""What people say stays text, by llama.cpp's own tokenizer: with the control tokens of every family in the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from models.headers.families import FAMILIES
from models.headers.gguf_bytes import BOOL
from runner.chat.shield import Shield, parts
from runner.engine import llama
from runner.engine.model import Model
from runner.engine.prompts import Prompts, marks_of
from runner.types.generation import Message, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling
from runner.types.templating import Templating
from scripts.synthetic.typed import U32, Typed
from tests.support.controls import CONTROLS, bpe, sentencepiece
from tests.support.templates import with_both_ends

LETTERS = 256  # in the vocabulary, before its control tokens
BEGIN = {"tokenizer.ggml.bos_token_id": Typed(U32, LETTERS + 1)}
BARE = Placement(devices=(), gpu_layers=0, layers_total=2, tensor_split=(), ctx=256, threads=1)


@pytest.fixture(scope="module", autouse=True)
def _started() -> None:
    llama.start(lambda _level, _line: None, lambda _text: None)


def test_every_family_is_tried() -> None:
    assert set(CONTROLS) == {family.name for family in FAMILIES}


def attacks(controls: Sequence[str]) -> Iterator[str]:
    """All of them, each alone, overlapping, and halves that wait for their other half."""
    yield " ".join(controls)
    yield "".join(controls)
    for control in controls:
        yield control
        yield f"a {control} b\n"
        yield control[:2] + control
        yield control + control[:-1]
        yield from (control[:cut] for cut in range(1, len(control)))
        yield from (control[cut:] for cut in range(1, len(control)))
    yield from (first[:-1] + second[1:] for first, second in pairwise(controls))


@pytest.mark.parametrize("write", [bpe, sentencepiece], ids=["bpe", "spm"])
@pytest.mark.parametrize("family", CONTROLS)
def test_no_words_become_a_control_token(family: str, write: Callable[..., Path], tmp_path: Path) -> None:
    controls = CONTROLS[family].split()
    model = Model(str(write(tmp_path, controls)), BARE, rehearse=True)
    try:
        shield = Shield(marks_of(model, " ".join(controls)))
        own = {model.tokenize(control, special=True)[-1] for control in controls}
        assert len(own) == len(controls)
        for said in attacks(controls):
            marks = controls if len(said) < 99 else controls[:1]
            prompt = "".join(f"{mark}{shield.cut(said)}" for mark in marks) + marks[0]
            tokens = model.tokenize_parts(parts(prompt))
            found = [model.text_of(token) for token in tokens if token in own]
            assert found == [*marks, marks[0]], said
            words = b"".join(model.piece(token, special=True) for token in tokens).decode()
            assert words.removeprefix(" ") == f"{said}".join(marks) + said + marks[0] or write is sentencepiece
    finally:
        model.close()


@pytest.mark.parametrize("said", ["Hello, world", "a < b > c", "[x] and {y}", " spaces  inside\nand lines ", "größer"])
def test_other_words_are_tokenized_together_with_the_templates(said: str, tmp_path: Path) -> None:
    model = Model(str(bpe(tmp_path, CONTROLS["Qwen3"].split())), BARE, rehearse=True)
    try:
        assert parts(Shield(model.controls).cut(said)) == [said]
    finally:
        model.close()


def test_sentencepiece_puts_no_space_behind_a_cut(tmp_path: Path) -> None:
    model = Model(str(sentencepiece(tmp_path, ["</s>"])), BARE, rehearse=True)
    try:
        tokens = model.tokenize_parts(parts(Shield(model.controls).cut("a</s>b")))
        assert b"".join(model.piece(token) for token in tokens) == b" a</s>b"
    finally:
        model.close()


def prompts(path: Path) -> Prompts:
    return Prompts(Model(str(path), BARE, rehearse=True), BARE.ctx)


BOTH = {f"tokenizer.ggml.add_{name}_token": Typed(BOOL, True) for name in ("bos", "eos")}


@pytest.mark.parametrize("template", ["{{ messages[0].content }}", "{{ bos_token }}{{ messages[0].content }}"])
def test_a_prompt_begins_with_one_begin_token_and_has_no_end_token(template: str, tmp_path: Path) -> None:
    end, begin = LETTERS, LETTERS + 1
    asked = Sampling(templating=Templating(template, "test"))
    path = bpe(tmp_path, ["</s>", "<s>"], BOTH | BEGIN)
    found = prompts(path)
    for request in (Request((Message("user", "Hi"),), sampling=asked), Request(raw="Hi")):
        tokens, _ = found.of(request)
        assert (tokens[0], tokens.count(begin), tokens.count(end), len(tokens)) == (begin, 1, 0, 3)


def test_an_end_token_that_a_real_file_asks_for_is_in_no_prompt(smollm2: Path, tmp_path: Path) -> None:
    begin, end = 1, 2  # <|im_start|>, with which the template begins, and <|im_end|>
    asked = [Request((Message("system", "Be brief."), Message("user", "What is 2+2?"))), Request(raw="What is 2+2?")]
    plain, both = prompts(smollm2), prompts(with_both_ends(smollm2, tmp_path / "both.gguf"))
    chat, text = (plain.of(request)[0] for request in asked)
    assert [both.of(request)[0] for request in asked] == [chat, [begin, *text]]
    assert chat[:2] == [begin, 9690] and end not in text


def test_a_file_without_template_and_marks_gets_the_text_as_it_is(tmp_path: Path) -> None:
    found = prompts(bpe(tmp_path, ["</s>"]))
    tokens, prompt = found.of(Request((Message("user", "Hi"),)))
    assert tokens == found.of(Request(raw="Hi"))[0]
    assert "no chat template" in prompt.notes[0]


def test_a_file_without_template_gets_the_marks_of_its_vocabulary(tmp_path: Path) -> None:
    found = prompts(bpe(tmp_path, ["<|im_end|>", "<|im_start|>"]))
    tokens, prompt = found.of(Request((Message("user", "Hi"),)))
    assert tokens.count(LETTERS) == 1 and tokens.count(LETTERS + 1) == 2
    assert not prompt.notes
