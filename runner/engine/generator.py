"""The engine: loads, prefills, decodes, samples. Lives in the child and knows one model at a time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from models.errors import BadFile, EngineError, PromptTooLong, UsageError
from runner.chat.stream import NOISE, THINKING, Piece, TextStream, opened_thinking
from runner.chat.template import CHATML, FALLBACK, OWN, build_prompt, common_prefix
from runner.engine.llama import BufferBytes
from runner.engine.model import Chain, Context, Model
from runner.types.engine import ComponentBytes, Loaded
from runner.types.generation import Chunk, Finish, Message, Phase, Request
from runner.types.plan import Placement

_SPAN_S = 0.05  # tokens of this span travel together: a screen draws no oftener


class Engine:
    """One loaded model with one sequence. `cancelled` is asked between steps, and during prefill by llama.cpp."""

    def __init__(self, cancelled: Callable[[], bool]) -> None:
        self._cancelled = cancelled
        self._model: Model | None = None
        self._context: Context | None = None
        self._tokens: list[int] = []
        self._checked = False

    def load(self, path: str, placement: Placement, progress: Callable[[float], bool]) -> Loaded:
        """Load, or raise: BadFile for a file llama.cpp refuses, EngineError where memory does not suffice."""
        self.close()
        started = time.perf_counter()
        self._model = Model(path, placement, progress=progress)
        self._context = Context(self._model, placement)
        self._markers = self._marker_tokens()
        return Loaded(
            ctx=self._context.size,
            load_s=time.perf_counter() - started,
            memory=component_bytes(self._context.breakdown()),
            template=OWN if self._model.template else FALLBACK,
        )

    def close(self) -> None:
        """Unload."""
        if self._context:
            self._context.close()
        if self._model:
            self._model.close()
        self._model = self._context = None
        self._tokens, self._checked = [], False

    def count(self, messages: Sequence[Message]) -> int:
        """Tokens of the conversation as a prompt."""
        return len(self._prompt(Request(messages=tuple(messages)))[0])

    def generate(self, turn: Request) -> Iterator[Chunk]:
        """Prefill what is new, then one chunk per token; the last has a finish. PromptTooLong before any work."""
        model, context = self._ready()
        tokens, text = self._prompt(turn)
        if len(tokens) >= context.size:
            raise PromptTooLong(
                f"The prompt has {len(tokens)} tokens; the context holds {context.size}, and the answer needs room too."
            )
        if not tokens:
            raise UsageError("The prompt is empty.")
        seed = turn.sampling.seed if turn.sampling.seed is not None else random.getrandbits(31)
        chain = Chain(model, turn.sampling, seed)
        try:
            clock = time.perf_counter()
            cached = self._keep(tokens, turn.reuse)
            state = Chunk(Phase.PREFILL, prompt_tokens=len(tokens), cached_tokens=cached, seed=seed)
            for step in self._prefill(tokens, state, clock):
                state = step
                yield state
            if state.finish is None:
                stream = TextStream(turn.sampling.stop, opened_thinking(text), fences=turn.raw is None)
                yield from self._decode(turn, chain, stream, state, clock)
        finally:
            chain.close()

    def _ready(self) -> tuple[Model, Context]:
        if self._model is None or self._context is None:
            raise EngineError("No model is loaded.")
        return self._model, self._context

    def _prompt(self, turn: Request) -> tuple[list[int], str]:
        model, _ = self._ready()
        if turn.raw is not None:
            return model.tokenize(turn.raw, special=False, begin=model.adds_begin), ""
        template = model.template or CHATML
        try:
            prompt = build_prompt(turn.messages, lambda messages: model.render(template, messages))
        except ValueError as error:
            raise UsageError(f"{error}.") from error
        tokens = model.tokenize(prompt.text, special=True)
        if model.adds_begin:
            begin = model.tokenize("", special=True, begin=True)
            tokens = tokens if tokens[: len(begin)] == begin else begin + tokens
        return tokens, prompt.text

    def _keep(self, tokens: list[int], reuse: bool) -> int:
        """Keep the longest usable prefix of the cache and forget the rest; how many tokens stay."""
        _, context = self._ready()
        count = min(common_prefix(self._tokens, tokens), len(tokens) - 1) if reuse else 0
        if count < len(self._tokens) and not context.keep(count):
            count = 0
        del self._tokens[count:]
        return count

    def _prefill(self, tokens: list[int], state: Chunk, clock: float) -> Iterator[Chunk]:
        """Feed ubatch by ubatch, telling how far it is."""
        _, context = self._ready()
        context.interrupt_with(self._cancelled)
        try:
            for start in range(state.cached_tokens, len(tokens), context.ubatch):
                part = tokens[start : start + context.ubatch]
                yield replace(state, prefilled=start - state.cached_tokens, context_used=start)
                code = 2 if self._cancelled() else context.feed(part)
                if code == 2:
                    self._resync()
                    yield replace(state, phase=Phase.DONE, finish=Finish.INTERRUPTED, context_used=len(self._tokens))
                    return
                _raise_for(code)
                self._tokens += part
            context.wait()
        finally:
            context.interrupt_with(None)
        self._reject_empty_weights()
        done = len(tokens) - state.cached_tokens
        seconds = time.perf_counter() - clock
        yield replace(state, prefilled=done, prefill_tps=done / seconds, context_used=len(tokens))

    def _resync(self) -> None:
        """After an aborted batch: remember what is really decoded."""
        _, context = self._ready()
        del self._tokens[context.positions :]
        context.keep(len(self._tokens))

    def _reject_empty_weights(self) -> None:
        if not self._checked and self._ready()[1].has_flat_logits():
            raise BadFile("The model's file has the right size but no weights in it (every logit is the same).")
        self._checked = True

    def _decode(self, turn: Request, chain: Chain, stream: TextStream, state: Chunk, asked: float) -> Iterator[Chunk]:
        """Token by token, with as little Python between two as can be: after each, its data is out of the caches.

        So text is made and sent in batches; the first token goes at once.
        """
        model, context = self._ready()
        limit = min(turn.sampling.max_tokens or context.size, context.size - len(self._tokens))
        finish, count, held = Finish.LENGTH, 0, bytearray()
        began, due = time.perf_counter(), 0.0
        state = replace(state, phase=Phase.DECODE)
        while count < limit:
            token = chain.sample(context)
            count += 1
            if model.is_end(token) and not turn.ignore_end:
                finish = Finish.STOP
                break
            held += model.piece(token, token in self._markers)
            now, cancelled = time.perf_counter(), self._cancelled()
            if now >= due or cancelled or turn.sampling.stop:
                state = self._told(state, stream.feed(bytes(held)), count, now - began, now - asked)
                yield state
                due = now + _SPAN_S
                held.clear()
                if stream.stopped or cancelled:
                    finish = Finish.STOP if stream.stopped else Finish.INTERRUPTED
                    break
            if count < limit:
                _raise_for(context.step(token))
                self._tokens.append(token)
        now = time.perf_counter()
        last = self._told(state, stream.finish(bytes(held)), count, now - began, now - asked)
        yield replace(last, phase=Phase.DONE, finish=finish)

    def _told(self, state: Chunk, piece: Piece, count: int, seconds: float, since_asked: float) -> Chunk:
        """The next chunk: new text, and the counts and speeds of the turn so far."""
        return replace(
            state,
            text=piece.text,
            reasoning=piece.reasoning,
            completion_tokens=count,
            context_used=len(self._tokens),
            ttft_s=state.ttft_s if state.ttft_s is not None else since_asked,
            decode_tps=(count - 1) / seconds if count > 1 else None,
        )

    def _marker_tokens(self) -> frozenset[int]:
        """Control tokens that fence thinking: only these are turned into text."""
        model, _ = self._ready()
        texts = [text for fence in THINKING for text in (fence.opening, fence.closing)] + list(NOISE)
        return frozenset(
            token for text in texts for token in model.tokenize(text, special=True) if not model.piece(token)
        )


def _raise_for(code: int) -> None:
    """Turn llama_decode's return code into an error."""
    if code == 0:
        return
    said = {
        1: "found no room in the KV cache",
        -1: "refused the batch",
        -2: "ran out of memory",
        -3: "failed to compute",
    }
    raise EngineError(f"llama.cpp {said.get(code, f'stopped with code {code}')} while decoding.")


def component_bytes(buffers: Sequence[BufferBytes]) -> tuple[ComponentBytes, ...]:
    """Bytes by device, everything in host memory under `CPU`, which comes last."""
    names = [*sorted({buffer.device for buffer in buffers} - {"CPU"}), "CPU"]
    return tuple(
        ComponentBytes(
            device=name,
            weights=sum(b.weights for b in buffers if b.device == name),
            kv=sum(b.kv for b in buffers if b.device == name),
            compute=sum(b.compute for b in buffers if b.device == name),
        )
        for name in names
    )
