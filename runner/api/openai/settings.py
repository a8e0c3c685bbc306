"""What OpenAI's clients ask of an answer besides its words: sampling, limits, form, thinking."""

from __future__ import annotations

import json
from dataclasses import replace

from models.errors import UsageError
from runner.api.asked import Constraint
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.types.sampling import Sampling
from runner.types.thinking import Think
from runner.types.tools import ToolChoice
from runner.types.tools_json import KEYS, with_tools

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
_EFFORTS = {"none": Think.OFF, "minimal": Think.LOW, "low": Think.LOW, "medium": Think.MEDIUM, "high": Think.HIGH}
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


def read_effort(fields: Fields, sampling: Sampling) -> Sampling:
    """How hard to think."""
    effort = fields.text("reasoning_effort")
    if effort is None:
        return sampling
    if effort not in _EFFORTS:
        raise invalid("reasoning_effort", f"{effort!r} is not one of {', '.join(_EFFORTS)}.")
    return replace(sampling, think=_EFFORTS[effort])


def read_logprobs(fields: Fields, sampling: Sampling) -> Sampling:
    """Whether tokens come with their likelihood, and how many others beside each."""
    wanted, top = fields.flag("logprobs"), fields.whole("top_logprobs", 0, 20)
    if top is not None and not wanted:
        raise invalid("top_logprobs", "it needs logprobs: true.")
    return replace(sampling, logprobs=top or 0) if wanted else sampling


def read_tools(fields: Fields, sampling: Sampling, constraint: Constraint) -> Sampling:
    """What may be called, and how."""
    for key in KEYS:
        try:
            sampling = with_tools(sampling, {key: fields.take(key)})
        except UsageError as error:
            raise invalid(key, str(error)) from None
    if sampling.templating.tools and constraint != Constraint() and sampling.calling.choice is not ToolChoice.NONE:
        raise invalid("tools", "they exclude response_format and grammar: a call would have no room.")
    return sampling


def read_constraint(fields: Fields, most: int) -> Constraint:
    """What the answer is held to; `most` letters of a schema."""
    form, grammar = fields.inner("response_format"), fields.text("grammar")
    schema = None if form is None else _schema(form)
    if schema is not None and grammar is not None:
        raise invalid("grammar", "response_format and grammar exclude each other.")
    if schema is not None and len(schema) > most:
        raise invalid("response_format", f"the schema has {len(schema)} letters; at most {most} are taken.")
    return Constraint(schema, grammar)


def _schema(form: Fields) -> str | None:
    """JSON text; None where any text will do."""
    kind = form.needed_text("type")
    schema: str | None = None
    match kind:
        case "text":
            schema = None
        case "json_object":
            schema = '{"type": "object"}'
        case "json_schema":
            schema = _named_schema(form)
        case _:
            raise invalid(form.place("type"), f"{kind!r} is not one of text, json_object, json_schema.")
    form.done()
    return schema


def _named_schema(form: Fields) -> str:
    """`strict` or not, an answer is held to it."""
    named = form.inner("json_schema")
    if named is None:
        raise invalid(form.place("json_schema"), "it is missing.")
    schema = named.take("schema")
    named.idle("name", "description", "strict")
    named.done()
    return json.dumps({} if schema is None else schema)
