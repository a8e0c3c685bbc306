"""From a request to tokens: the chat template in force, the vocabulary, what is too long to be read at all."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from models.errors import BadFile, LocalrunError, PromptTooLong, UsageError
from runner.chat import markers
from runner.chat.borders import in_common, places, with_other_question
from runner.chat.go_syntax import looks_like_go
from runner.chat.go_template import GoTemplate
from runner.chat.renderer import Renderer
from runner.chat.shield import CUT, Shield, parts
from runner.chat.template import Prompt, Shaping, build_prompt
from runner.chat.unwritten import PLAIN, unwritten
from runner.engine.jinja import BrokenTemplate, JinjaTemplate
from runner.engine.model import Model
from runner.types.generation import Request
from runner.types.thinking import Think
from runner.types.tools import ToolChoice

_HOPELESS, _SLICE = 8, 1 << 16  # letters for a token of the context, letters
_BARE = "The file has no chat template and its vocabulary no marks of turns: the model goes on with the text as it is."
_OWN = "the model's own"
_MARK = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,40}\]|[\[\]][~!eb\]\[]{1,5}")  # the last are MiniMax's


def marks_of(model: Model, template: str) -> frozenset[str]:
    """What a text can say to become a control token, or a mark of the template that is a token.

    Files hold some of these as words (USER_DEFINED), and llama.cpp makes words of some, which it always reads.
    """
    spoken_of = {*markers.ALL, *_MARK.findall(template)}
    return model.controls | {mark for mark in spoken_of if len(model.tokenize(mark, special=True)) == 1}


def _refusal(source: str, error: ValueError) -> LocalrunError:
    """The error for a template that could not be used; without a source it is part of the model's file."""
    is_broken = isinstance(error, BrokenTemplate)
    what = source or "The model's chat template"
    does = "is broken" if is_broken else "refuses this conversation"
    kind = BadFile if is_broken and not source else UsageError
    return kind(f"{what} {does}: {str(error).rstrip('.')}. --chat-template FILE takes another.")


class Prompts:
    """Prompts for a model whose context holds `size` tokens."""

    def __init__(self, model: Model, size: int) -> None:
        self._model, self._size = model, size
        fallback = unwritten(model.controls)
        self._own = model.template or fallback.text
        self._is_bare = model.template is None and fallback is PLAIN
        self.source = _OWN if model.template else fallback.name
        """Whence the template is where nobody gives another, for people."""
        self._renderer: Renderer | None = None
        self._shield = Shield(())

    def of(self, request: Request) -> tuple[list[int], Prompt]:
        """The request as tokens. UsageError where the template refuses it, PromptTooLong where that shows early."""
        if request.raw is not None:
            self._reject_hopeless(request.raw)
            if request.suffix is not None:
                self._reject_hopeless(request.suffix)
                return self._model.around_gap(request.raw, request.suffix), Prompt(request.raw)
            return self._begun(self._model.tokenize(request.raw, special=request.is_marked)), Prompt(request.raw)
        prompt = self._rendered(request)
        self._reject_hopeless(prompt.text)
        return self._begun(self._model.tokenize_parts(parts(prompt.text))), prompt

    def _begun(self, tokens: list[int]) -> list[int]:
        """With the model's first token, unless it is there."""
        begin = self._model.begin
        return tokens if tokens[: len(begin)] == begin else begin + tokens

    def borders(self, request: Request, prompt: Prompt, tokens: Sequence[int]) -> tuple[int, ...]:
        """Behind how many of its tokens a prompt may go on another way: around its last question, and in a long one.

        It is rendered with another question too: what both have in common ends there.
        """
        start, end = 0, len(tokens) - 1
        other = with_other_question(request.messages)
        if request.raw is None and other is not None:
            with suppress(LocalrunError):  # a template may refuse that one
                rendered = self._rendered(replace(request, messages=other)).text
                before, behind = in_common(prompt.text, rendered)
                start = self._count_before(prompt.text[before:], tokens)
                end = min(end, self._count_before(prompt.text[len(prompt.text) - behind :], tokens))
        return places(start, end)

    def _count_before(self, rest: str, tokens: Sequence[int]) -> int:
        """How many tokens of a prompt that ends with `rest` lie before that."""
        count, size = len(tokens), len(rest.replace(CUT, "").encode("utf-8", "replace"))
        while count and size > 0:
            count -= 1
            size -= len(self._model.piece(tokens[count], special=True))
        return count

    def _rendered(self, request: Request) -> Prompt:
        sampling = request.sampling
        variables = json.loads(sampling.templating.variables)
        tools, calling = sampling.templating.tools, sampling.calling
        is_bound = sampling.grammar is not None or (bool(tools) and calling.choice is ToolChoice.REQUIRED)
        think = sampling.think or Think.AUTO
        asked = Shaping(think, sampling.think_budget, is_bound, variables, tools, calling)
        try:
            renderer = self._compiled(sampling.templating.text or self._own)
            prompt = build_prompt(request.messages, renderer, asked, self._shield)
            is_bare = self._is_bare and sampling.templating.text is None
            return replace(prompt, notes=(_BARE, *prompt.notes)) if is_bare else prompt
        except ValueError as error:
            if sampling.templating.yields:
                return self._instead(request, f"{sampling.templating.source} cannot be used: {error}.")
            raise _refusal(sampling.templating.source, error) from error

    def _instead(self, request: Request, note: str) -> Prompt:
        """The prompt by the model's own template."""
        own = replace(request.sampling.templating, text=None, source="", yields=False)
        prompt = self._rendered(replace(request, sampling=replace(request.sampling, templating=own)))
        return replace(prompt, notes=(f"{note} The one in the model's file is.", *prompt.notes))

    def _compiled(self, text: str) -> Renderer:
        """ValueError for what is no template."""
        if self._renderer is None or self._renderer.text != text:
            is_go = looks_like_go(text)
            self._renderer = GoTemplate(text) if is_go else JinjaTemplate(text, self._model.named_tokens)
            self._shield = Shield(marks_of(self._model, text))
        return self._renderer

    def _reject_hopeless(self, text: str) -> None:
        """PromptTooLong for a text that is far too long, without reading all of it."""
        size, tokens = self._size, 0
        if len(text) < _HOPELESS * size:
            return
        for start in range(0, len(text), _SLICE):
            tokens += len(self._model.tokenize(text[start : start + _SLICE], special=True))
            if tokens > size + size // 8:  # a cut between two slices may cost a token
                raise PromptTooLong(f"The prompt has far more than {size} tokens; the context holds {size}.")
