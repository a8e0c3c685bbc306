"""Companions that guess, in words: what they take, what they are expected to bring, why there is none. Pure."""

from __future__ import annotations

from runner.report.words import capital, context, gib, one_line, percent, rate
from runner.types.drafts import DraftKind
from runner.types.plan import CouldGuess, Predicted
from runner.types.reasons import Accompanied, HeadsLeftOut, Lack, Unaccompanied


def sentence(reason: Accompanied | Unaccompanied | HeadsLeftOut) -> str:
    """`Its own heads guess ahead on CUDA0: 1.3 GiB for about 1.5 x as many tokens a second, if ...`."""
    if isinstance(reason, HeadsLeftOut):
        return _left_out(reason)
    if isinstance(reason, Unaccompanied):
        return f"{_why_not(reason)}; {_instead(reason)}."
    who = guesser(reason.kind, reason.name)
    does = f"{capital(who)} guess" if reason.kind is DraftKind.MTP else f"{who} guesses"
    where = " and ".join("the CPU" if device == "CPU" else device for device in reason.devices)
    costs = [f"{context(reason.ctx)} more context"] if reason.ctx else []
    costs += ["all of the model on the GPU"] if reason.is_split else []
    costs += [f"a better quantization, {reason.better}"] if reason.better else []
    without = f". Without, there would be {' and '.join(costs)}" if costs else ""
    return f"{does} ahead on {where}: {_brings(reason)}, {_assumed(reason)}{without}."


def _left_out(reason: HeadsLeftOut) -> str:
    instead = f"{context(reason.ctx)} more context" if reason.ctx else "all as it is"
    return f"Its own heads would guess ahead (--draft mtp): {_brings(reason)}, or {instead} without them."


def _brings(reason: Accompanied | HeadsLeftOut) -> str:
    return f"{gib(reason.bytes)} for about {reason.gain:.2f} x as many tokens a second"


def _assumed(reason: Accompanied) -> str:
    share = percent(reason.acceptance)
    if reason.guessed is None:
        return f"as measured here ({share} of the guesses came true)"
    return f"if {share} of {reason.guessed} guesses a step come true, as was published"


def guesser(kind: DraftKind, name: str) -> str:
    """Who guesses: `its own heads`, or a small model by its name."""
    return "its own heads" if kind is DraftKind.MTP else one_line(name)


def _instead(reason: Unaccompanied) -> str:
    return "nothing is guessed" if reason.lack in (Lack.BATCH, Lack.COPIES) else "guesses come from the text alone"


def _why_not(reason: Unaccompanied) -> str:
    if reason.lack is Lack.ROOM:
        return f"There is no room for {guesser(reason.kind, reason.name)} beside it"
    return _LACKS[reason.lack]


def could_guess(hint: CouldGuess) -> str:
    """Who would make answers faster, and what to type for it."""
    brings = f"about {hint.gain:.1f} x as many tokens a second"
    return f"{hint.name} could guess ahead for it, for {brings}: --draft {hint.name}."


_LACKS = {
    Lack.HEADS: "It has no heads of its own that could guess",
    Lack.SEQUENCES: "Its own heads do not guess where several requests share a step, which gains nothing",
    Lack.DEVICES: "Its own heads do not guess for a model on several devices, which gains nothing",
    Lack.BATCH: "An ubatch with no more tokens than requests at once (--ubatch) has no room for guesses",
    Lack.COPIES: "Its recurrent state keeps no way back, and is too large to be copied before each guess",
    Lack.EXPERTS: "Its own heads gain little for a mixture of experts (--draft mtp tries them)",
    Lack.HOST: "Its own heads gain little for what the CPU computes (--draft mtp tries them)",
    Lack.GAIN: "Its own heads have gained too little here (--draft mtp tries them)",
}


def with_guesses(predicted: Predicted) -> str:
    """`63.5 tok/s if 80 % of guesses come true`; empty where nobody is known to guess."""
    guesses = predicted.guesses
    if guesses is None:
        return ""
    return f"{rate(predicted.decode_tps * guesses.gain)} if {percent(guesses.acceptance)} of guesses come true"
