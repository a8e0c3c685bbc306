"""What Anthropic's clients ask of an answer besides its words: sampling, thinking, form, tools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.api.asked import Constraint
from runner.api.errors import invalid
from runner.api.fields import Fields
from runner.api.limits import Limits
from runner.api.reading import held_to, parameters
from runner.types.sampling import Sampling
from runner.types.thinking import Think

_SETTINGS = {"temperature": "temp", "top_p": "top_p", "top_k": "top_k"}
_STOPS = {"stop_sequences": "stop"}
_EFFORTS = {"low": Think.LOW, "medium": Think.MEDIUM, "high": Think.HIGH, "xhigh": Think.HIGH, "max": Think.HIGH}
_USUAL_EFFORT = "high"
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_MOST = 2**31 - 1


def read_settings(fields: Fields, sampling: Sampling) -> Sampling:
    """How tokens are drawn, and how many; what asks nothing of an answer is passed over."""
    sampling = fields.besides(fields.sampling(_SETTINGS, sampling), _STOPS)
    if (limit := fields.whole("max_tokens", 1, _MOST)) is not None:
        sampling = replace(sampling, max_tokens=limit)
    fields.idle("metadata", "user_profile_id", "cache_control")
    fields.only("service_tier", "auto", "standard_only")
    fields.only("speed", "standard")
    fields.only("mcp_servers", [])
    _read_edits(fields)
    return sampling


def read_output(fields: Fields, most: int) -> tuple[str | None, Constraint]:
    """How hard to try, and what the answer is held to; `most` letters of a schema."""
    config = fields.inner("output_config")
    if config is None:
        return None, Constraint()
    effort, form = config.word("effort", _EFFORTS), config.inner("format")
    config.done()
    return effort, _form(form, most) if form else Constraint()


def _form(form: Fields, most: int) -> Constraint:
    form.only("type", "json_schema")
    constraint = held_to(form.take("schema"), form.place("schema"), most)
    form.done()
    return constraint


def read_thinking(fields: Fields, sampling: Sampling, effort: str | None) -> tuple[Sampling, str]:
    """Whether and for how long to think, and which field asks for it; empty where none does.

    An effort says how hard, unless there is to be no thinking. The usual one is that of every answer, and asks for
    nothing where a model does not think.
    """
    thinking, how_hard = fields.inner("thinking"), _EFFORTS.get(effort or "")
    tries = sampling if how_hard is None else replace(sampling, think=how_hard)
    asks = "" if effort in (None, _USUAL_EFFORT) else "output_config.effort"
    if thinking is None:
        return tries, asks
    kind, budget = thinking.needed_text("type"), thinking.whole("budget_tokens", 1, _MOST)
    thinking.only("display", "summarized")  # all of it is shown, which is no less
    thinking.done()
    match kind:
        case "enabled":
            return replace(sampling, think=how_hard or Think.ON, think_budget=budget), thinking.place("type")
        case "adaptive":
            return tries, asks
        case "disabled":
            return replace(sampling, think=Think.OFF), ""
    raise invalid(thinking.place("type"), f"{kind!r} is not one of enabled, adaptive, disabled.")


def read_tools(fields: Fields, limits: Limits) -> dict[str, Any]:
    """Tools and the choice among them in the words of tools_json."""
    tools = [_tool(one, limits.schema) for one in fields.objects("tools", limits.messages)]
    choice = fields.inner("tool_choice")
    return {"tools": tools or None, **(_choice(choice) if choice else {})}


def _tool(one: Fields, most: int) -> dict[str, Any]:
    if (kind := one.text("type") or "custom") != "custom":
        raise invalid(one.place("type"), f"this server has no tools of its own, and {kind!r} is one.")
    said = {"name": one.needed_text("name"), "description": one.text("description")}
    schema = parameters(one, "input_schema", most)
    one.only("defer_loading", False)
    one.only("allowed_callers", ["direct"])
    one.idle("cache_control", "strict", "eager_input_streaming")  # calls are held to the schema and streamed anyway
    one.done()
    return {**said, "parameters": schema}


def _choice(choice: Fields) -> dict[str, Any]:
    kind, is_alone = choice.needed_text("type"), choice.flag("disable_parallel_tool_use")
    if kind == "tool":
        said: Any = {"name": choice.needed_text("name")}
    elif kind in _CHOICES:
        said = _CHOICES[kind]
    else:
        raise invalid(choice.place("type"), f"{kind!r} is not one of {', '.join((*_CHOICES, 'tool'))}.")
    choice.done()
    return {"tool_choice": said, "parallel_tool_calls": not is_alone}


def _read_edits(fields: Fields) -> None:
    """Edits of the conversation are refused, but for one that leaves all thinking where it is."""
    edits = fields.inner("context_management")
    if edits is None:
        return
    for edit in edits.objects("edits", 16):
        edit.only("type", "clear_thinking_20251015")
        if edit.take("keep") not in ("all", {"type": "all"}):
            raise invalid(edit.place("keep"), "this server changes no conversation; all thinking is kept.")
        edit.done()
    edits.done()
