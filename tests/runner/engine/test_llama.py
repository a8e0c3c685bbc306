"""What is heard of llama.cpp's log besides its complaints."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from models.errors import LocalrunError, UsageError
from runner.engine import llama
from runner.engine.generator import Generator
from runner.engine.model import Model
from runner.types.generation import Chunk, Finish, Request
from runner.types.placement import Placement
from runner.types.sampling import Sampling


def test_memory_that_could_not_be_pinned_is_remembered_until_the_next_call() -> None:
    llama.forget_complaints()
    llama.hear_aside("load_tensors: CUDA_Host model buffer size = 8192.00 MiB")
    assert llama.has_pinned()
    llama.hear_aside("ggml_cuda_host_malloc: failed to allocate 8192.00 MiB of pinned memory: out of memory")
    assert not llama.has_pinned()
    llama.forget_complaints()
    assert llama.has_pinned()


class Heard:
    """Who asks in this very process."""

    is_cancelled = False

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def tell(self, chunk: Chunk) -> None:
        """Keep it."""
        self.chunks.append(chunk)

    def fail(self, error: LocalrunError) -> None:
        """Nobody expects that."""
        raise error


def test_weights_that_cannot_be_pinned_are_mapped_instead_and_it_is_said(smollm2: Path) -> None:
    """The line of llama.cpp's log comes while the first load goes on: no GPU's driver is here to refuse."""
    loads: list[float] = []

    def refused_once(fraction: float) -> bool:
        if loads and fraction < loads[-1]:
            mapped.append(fraction)  # a second load has begun
        elif not loads:
            llama.hear_aside("ggml_cuda_host_malloc: failed to allocate 8.00 MiB of pinned memory: out of memory")
        loads.append(fraction)
        return True

    mapped: list[float] = []
    placement = Placement((), 0, 31, (), 512, threads=1, load_mode="none")
    loaded = Generator(str(smollm2), placement, refused_once, lambda: None)
    try:
        assert mapped and loaded.loaded.notes and "mapped from their file" in loaded.loaded.notes[0]
        loaded.begin(Request(raw="One two", sampling=Sampling(max_tokens=2), ignore_end=True), heard := Heard())
        for _ in range(9):
            loaded.step()
        assert heard.chunks[-1].finish is Finish.LENGTH
    finally:
        loaded.close()


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ('{"type": "array", "items": {"type": "integer"}, "maxItems": 1000000}', "letters; llama.cpp can use"),
        ('{"type": "string", "minLength": 1000000}', "letters; llama.cpp can use"),
        ('{"type": "string", "minLength": 10000000000}', "a grammar without an end"),
    ],
)
def test_a_schema_whose_grammar_would_crash_llama_cpp_is_refused(schema: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        llama.grammar_of_schema(schema)


@pytest.mark.parametrize(
    ("gbnf", "is_understood"),
    [
        ('root ::= "a" [<] # <b>', True),
        ('root ::= "<think>"', True),
        ("root ::= (", False),
        ('start ::= "a"', False),
        ("root ::= nowhere", False),
        ('root ::= root "a"', False),
    ],
)
def test_a_grammar_is_understood_without_a_model(gbnf: str, is_understood: bool) -> None:
    with nullcontext() if is_understood else pytest.raises(UsageError, match="does not understand the grammar"):
        assert llama.understood(gbnf) == gbnf


def test_what_is_wrong_with_a_grammar_that_names_tokens_is_told_apart(smollm2: Path) -> None:
    llama.start(lambda *_: None, lambda *_: None)
    model = Model(str(smollm2), Placement((), 0, 31, (), 512), rehearse=True)
    try:
        llama.C.llama_sampler_free(llama.grammar_sampler("root ::= <|im_end|> <[5]>", model.vocabulary))
        for gbnf, said in (
            ("root ::= <nowhere>", "names a token that is none"),
            ("root ::= <nowhere> (", "understand"),
        ):
            with pytest.raises(UsageError, match=said):
                llama.grammar_sampler(gbnf, model.vocabulary)
    finally:
        model.close()
