"""What a request for a response asks of it besides its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.api.asked import Asked, Constraint
from runner.api.desk import Desk
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.openai import settings
from runner.api.reading import CHOICES, described, with_calls
from runner.types.sampling import Sampling

LOGPROBS, SEALED = "message.output_text.logprobs", "reasoning.encrypted_content"
"""What may be included."""


def read_asked(fields: Fields, desk: Desk, includes: list[Any]) -> Asked:
    """The request but for its turns; what is not understood or cannot be honoured is refused by its name."""
    sampling = settings.read_settings(fields, desk.sampling)
    sampling = settings.read_limit(fields, sampling, "max_output_tokens")
    sampling, thinks = _reasoning(fields, sampling)
    constraint = _form(fields, desk.limits.schema)
    tools = [_tool(one, desk.limits.schema) for one in fields.objects("tools", desk.limits.messages)]
    said = {"tools": tools or None, **{key: fields.take(key) for key in CHOICES}}
    sampling = with_calls(_logprobs(fields, sampling, LOGPROBS in includes), said, constraint)
    fields.idle("max_tool_calls")  # of tools that the server has; it has none
    fields.only("truncation", "disabled")
    fields.only("background", False)
    model = fields.text("model") or desk.pool.names.default
    asked = Asked(model, sampling=sampling, constraint=constraint, thinks=thinks)
    fields.done()
    return asked


def read_includes(fields: Fields) -> list[Any]:
    """What is to come besides an answer."""
    includes = fields.take("include") or []
    if not isinstance(includes, list) or any(one not in (LOGPROBS, SEALED) for one in includes):
        raise invalid("include", f"{LOGPROBS} and {SEALED} can be had.")
    return includes


def _logprobs(fields: Fields, sampling: Sampling, wanted: bool) -> Sampling:
    top = fields.whole("top_logprobs", 0, 20)
    if top and not wanted:
        raise invalid("top_logprobs", f"it needs include: [{LOGPROBS!r}].")
    return replace(sampling, logprobs=top or 0) if wanted else sampling


def _reasoning(fields: Fields, sampling: Sampling) -> tuple[Sampling, str]:
    """How hard to think, and which field asks for it. No summary is made, for all of the thinking is told."""
    asked = fields.inner("reasoning")
    if asked is None:
        return sampling, ""
    sampling, thinks = settings.read_effort(asked, sampling, "effort")
    asked.only("summary", "auto")
    asked.only("generate_summary", "auto")
    asked.only("context", "auto")
    asked.only("mode", "standard")
    asked.done()
    return sampling, thinks


def _form(fields: Fields, most: int) -> Constraint:
    text = fields.inner("text")
    if text is None:
        return Constraint()
    form = text.inner("format")
    text.only("verbosity", "medium")
    text.done()
    return Constraint() if form is None else settings.read_form(form, form, "text.format", most)


def _tool(one: Fields, most: int) -> dict[str, Any]:
    if (kind := one.needed_text("type")) != "function":
        raise invalid(one.place("type"), f"this server has no tools of its own, and {kind!r} is one.")
    said = described(one, most)
    one.only("defer_loading", False)
    one.only("allowed_callers", ["direct"])
    one.idle("strict", "output_schema")  # calls are held to the schema anyway; what they bring is not
    one.done()
    return said
