"""From a request to chunks: prefills what is new, decodes, samples. One model at a time, one request at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from models.errors import BadFile, EngineError, PromptTooLong, UsageError
from runner.chat import markers
from runner.chat.stream import TextStream
from runner.chat.template import CHATML, FALLBACK, OWN, Prompt, build_prompt, common_prefix
from runner.engine.breakdown import breakdown, on_each
from runner.engine.chunks import Chunks
from runner.engine.context import Context
from runner.engine.llama import BrokenTemplate
from runner.engine.model import Model
from runner.engine.sampler import Sampler
from runner.types.commands import Count
from runner.types.engine import Loaded
from runner.types.generation import Chunk, Finish, Phase, Request
from runner.types.placement import Placement

_NOT_PINNED = (
    "The memory for weights in RAM could not be pinned (WSL 2 and containers limit how much can): "
    "they are mapped from their file instead, and prompts are read slower than planned."
)
_HOPELESS, _SLICE = 8, 1 << 16  # letters for a token of the context, letters
_SPAN_S = 0.05  # tokens of this span travel together: a screen draws no oftener


class Generator:
    """One loaded model with one sequence. `cancelled` is asked between steps, and during prefill by llama.cpp."""

    def __init__(
        self, path: str, placement: Placement, progress: Callable[[float], bool], cancelled: Callable[[], bool]
    ) -> None:
        """Load, or raise: BadFile for a file that llama.cpp refuses, OutOfMemory where memory does not suffice."""
        started = time.perf_counter()
        self._cancelled = cancelled
        self._model = Model(path, placement, progress=progress)
        notes: tuple[str, ...] = ()
        if not self._model.is_pinned:  # a copy that no bus reads fast only takes memory
            self._model.close()
            self._model = Model(path, replace(placement, load_mode="mmap"), progress=progress)
            notes = (_NOT_PINNED,)
        try:
            self._context = Context(self._model, placement)
        except EngineError:
            self._model.close()
            raise
        self._markers = self._marker_tokens()
        self._tokens: list[int] = []
        self._checked = False
        self.loaded = Loaded(
            ctx=self._context.size,
            load_s=time.perf_counter() - started,
            memory=on_each(breakdown(self._context.handle), placement),
            template=OWN if self._model.template else FALLBACK,
            notes=notes,
        )

    def close(self) -> None:
        """Free everything."""
        self._context.close()
        self._model.close()

    def count(self, asked: Count) -> int:
        """Tokens of the conversation as a prompt, or of the text."""
        return len(self._prompt(Request(asked.messages, asked.raw))[0])

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Prefill what is new, then decode; the last chunk has a finish. PromptTooLong before any work."""
        tokens, prompt = self._prompt(request)
        self._check_length(len(tokens))
        seed = request.sampling.seed if request.sampling.seed is not None else random.getrandbits(31)
        sampler = Sampler(self._model, request.sampling, seed)
        try:
            sampler.accept(self._model.tokenize(request.resumed, special=False) if request.resumed else [])
            asked = time.perf_counter()
            cached = self._keep(tokens, request.reuse)
            state = Chunk(Phase.PREFILL, prompt_tokens=len(tokens), cached_tokens=cached, seed=seed, notes=prompt.notes)
            for step in self._prefill(tokens, state, asked):
                state = step
                yield state
            if state.finish is None:
                fences = request.raw is None and not prompt.is_begun
                stream = TextStream(request.sampling.stop, prompt.thinking, fences)
                yield from self._decode(request, sampler, Chunks(state, stream, asked, sampler.take_logprobs))
        finally:
            sampler.close()

    def _reject_hopeless(self, text: str) -> None:
        """PromptTooLong for a text that is far too long, without reading all of it."""
        size, tokens = self._context.size, 0
        if len(text) < _HOPELESS * size:
            return
        for start in range(0, len(text), _SLICE):
            tokens += len(self._model.tokenize(text[start : start + _SLICE], special=True))
            if tokens > size + size // 8:  # a cut between two slices may cost a token
                raise PromptTooLong(f"The prompt has far more than {size} tokens; the context holds {size}.")

    def _check_length(self, tokens: int) -> None:
        size = self._context.size
        if tokens >= size:
            raise PromptTooLong(
                f"The prompt has {tokens} tokens; the context holds {size}, and the answer needs room too."
            )
        if not tokens:
            raise UsageError("The prompt is empty.")

    def _prompt(self, request: Request) -> tuple[list[int], Prompt]:
        model = self._model
        if request.raw is not None:
            self._reject_hopeless(request.raw)
            return model.tokenize(request.raw, special=False, begin=model.adds_begin), Prompt(request.raw)
        template = model.template or CHATML
        try:
            fence = markers.fence_in(template)
            prompt = build_prompt(request.messages, lambda messages: model.render(template, messages), fence)
        except BrokenTemplate as error:
            raise BadFile(str(error)) from error
        except ValueError as error:
            raise UsageError(str(error)) from error
        self._reject_hopeless(prompt.text)
        tokens = model.tokenize(prompt.text, special=True)
        if model.adds_begin:
            begin = model.tokenize("", special=True, begin=True)
            tokens = tokens if tokens[: len(begin)] == begin else begin + tokens
        return tokens, prompt

    def _keep(self, tokens: list[int], reuse: bool) -> int:
        """Keep the longest usable prefix of the cache and forget the rest; how many tokens stay."""
        count = min(common_prefix(self._tokens, tokens), len(tokens) - 1) if reuse else 0
        if count < len(self._tokens) and not self._context.keep(count):
            count = 0
        del self._tokens[count:]
        return count

    def _prefill(self, tokens: list[int], state: Chunk, asked: float) -> Iterator[Chunk]:
        """Feed ubatch by ubatch, telling how far it is."""
        context = self._context
        context.interrupt_with(self._cancelled)
        try:
            for start in range(state.cached_tokens, len(tokens), context.ubatch):
                part = tokens[start : start + context.ubatch]
                yield replace(state, prefilled=start - state.cached_tokens, context_used=start)
                if self._cancelled() or not context.feed(part):
                    self._resync()
                    yield replace(state, phase=Phase.DONE, finish=Finish.INTERRUPTED, context_used=len(self._tokens))
                    return
                self._tokens += part
            context.wait()
        finally:
            context.interrupt_with(None)
        self._reject_empty_weights()
        done = len(tokens) - state.cached_tokens
        seconds = time.perf_counter() - asked
        yield replace(state, prefilled=done, prefill_tps=done / seconds, context_used=len(tokens))

    def _resync(self) -> None:
        """After an aborted batch: remember what is really decoded."""
        del self._tokens[self._context.positions :]
        self._context.keep(len(self._tokens))

    def _reject_empty_weights(self) -> None:
        if not self._checked and self._context.has_flat_logits():
            raise BadFile("The model's file has the right size but no weights in it (every logit is the same).")
        self._checked = True

    def _reject_broken_numbers(self, used: int) -> None:
        self._tokens.clear()  # they are in the cache, too
        self._context.keep(0)
        raise EngineError(
            f"The model's numbers are broken: behind {used} tokens llama.cpp computes infinities or nothing at all. "
            "The file is damaged, or this device cannot compute its types."
        )

    def _decode(self, request: Request, sampler: Sampler, answer: Chunks) -> Iterator[Chunk]:
        """Token by token, with as little Python between two as can be: after each, its data is out of the caches.

        So text is made and sent in batches; the first token goes at once.
        """
        model, context = self._model, self._context
        limit = min(request.sampling.max_tokens or context.size, context.size - len(self._tokens))
        watched, goes_on = bool(request.sampling.stop), request.ignore_end
        finish, count, held, due = Finish.LENGTH, 0, bytearray(), 0.0
        while count < limit:
            token = sampler.draw(context)
            count += 1
            if not context.is_number(token):
                self._reject_broken_numbers(len(self._tokens))
            if model.is_end(token) and not goes_on:
                finish = Finish.STOP
                break
            held += model.piece(token, token in self._markers)
            now, cancelled = time.perf_counter(), self._cancelled()
            if now >= due or cancelled or watched:
                yield answer.step(bytes(held), count, len(self._tokens))
                due = now + _SPAN_S
                held.clear()
                if answer.is_stopped or cancelled:
                    finish = Finish.STOP if answer.is_stopped else Finish.INTERRUPTED
                    break
            if count < limit:
                context.step(token)
                self._tokens.append(token)
        yield answer.end(bytes(held), count, len(self._tokens), finish)

    def _marker_tokens(self) -> frozenset[int]:
        """Control tokens that fence thinking: only these are turned into text."""
        model = self._model
        tokens = (token for text in markers.ALL for token in model.tokenize(text, special=True))
        return frozenset(token for token in tokens if not model.piece(token))
