"""What OpenAI's clients ask of an answer besides its words: sampling, limits, form, thinking."""

from __future__ import annotations

from dataclasses import replace

from runner.api.asked import Constraint
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.limits import Limits
from runner.api.reading import ANY_OBJECT, CHOICES, functions, held_to, with_calls
from runner.types.sampling import Sampling
from runner.types.thinking import Think

# Fields -> sampling settings of ours; those below the line are no fields of OpenAI's, but of most local servers.
_SETTINGS = {
    "temperature": "temp",
    "top_p": "top_p",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    # ----
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repeat_penalty",
    "think_budget": "think_budget",
}
_EFFORTS = {
    "none": Think.OFF,
    "minimal": Think.LOW,
    "low": Think.LOW,
    "medium": Think.MEDIUM,
    "high": Think.HIGH,
    "xhigh": Think.HIGH,
    "max": Think.HIGH,
}
# They identify, store or price a request, or say how it may be carried out; no answer depends on them.
_IDLE = (
    *("user", "metadata", "safety_identifier"),
    *("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"),
)


def read_settings(fields: Fields, sampling: Sampling) -> Sampling:
    """What is the same for chats and for texts that are gone on with."""
    sampling = fields.sampling(_SETTINGS, sampling)
    sampling = fields.besides(sampling)
    fields.idle(*_IDLE)
    fields.only("store", False)
    fields.only("service_tier", "auto", "default")
    return sampling


def read_limit(fields: Fields, sampling: Sampling, *names: str) -> Sampling:
    """The most tokens of an answer, by whichever name; where both are given, the smaller."""
    found = [limit for name in names if (limit := fields.whole(name, 1, 2**31 - 1)) is not None]
    return replace(sampling, max_tokens=min(found)) if found else sampling


def read_effort(fields: Fields, sampling: Sampling, name: str = "reasoning_effort") -> tuple[Sampling, str]:
    """How hard to think, and which field asks for thinking; empty where none does."""
    effort = fields.word(name, _EFFORTS)
    if effort is None:
        return sampling, ""
    think = _EFFORTS[effort]
    return replace(sampling, think=think), "" if think is Think.OFF else fields.place(name)


def read_logprobs(fields: Fields, sampling: Sampling) -> Sampling:
    """Whether tokens come with their likelihood, and how many others beside each."""
    wanted, top = fields.flag("logprobs"), fields.whole("top_logprobs", 0, 20)
    if top and not wanted:
        raise invalid("top_logprobs", "it needs logprobs: true.")
    return replace(sampling, logprobs=top or 0) if wanted else sampling


def read_tools(fields: Fields, sampling: Sampling, constraint: Constraint, limits: Limits) -> Sampling:
    """What may be called, and how."""
    said = {"tools": functions(fields, limits), **{key: fields.take(key) for key in CHOICES}}
    return with_calls(sampling, said, constraint)


def read_constraint(fields: Fields, most: int) -> Constraint:
    """What the answer is held to; `most` letters of a schema."""
    form, grammar = fields.inner("response_format"), fields.text("grammar")
    constraint = Constraint() if form is None else read_form(form, form.inner("json_schema"), "response_format", most)
    if constraint.binds and grammar is not None:
        raise invalid("grammar", "response_format and grammar exclude each other.")
    return constraint if grammar is None else Constraint(grammar=grammar)


def read_form(form: Fields, named: Fields | None, field: str, most: int) -> Constraint:
    """The form of an answer; `named` has the schema where one is asked for, to which it is held, `strict` or not."""
    kind = form.needed_text("type")
    match kind:
        case "text":
            constraint = Constraint()
        case "json_object":
            constraint = held_to(ANY_OBJECT, field, most)
        case "json_schema" if named is not None:
            constraint = held_to(named.take("schema"), field, most)
            named.idle("name", "description", "strict")
            named.done()
        case "json_schema":
            raise invalid(form.place("json_schema"), "it is missing.")
        case _:
            raise invalid(form.place("type"), f"{kind!r} is not one of text, json_object, json_schema.")
    form.done()
    return constraint
