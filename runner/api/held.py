"""A request before its model: who answers it, what its answer is held to, and how long its prompt is."""

from __future__ import annotations

import json
from dataclasses import replace

from models.errors import UsageError
from models.headers.describe import CHAT_TEMPLATE
from runner.api.asked import Asked
from runner.api.errors import invalid
from runner.api.pool import Pool, Resident
from runner.chat.switch import knows_thinking
from runner.client.session import EngineSession
from runner.service.schema import read_schema
from runner.types.commands import Grammar
from runner.types.grammar import checked
from runner.types.sampling import Sampling, with_modelfile
from runner.types.schema_keywords import has_patterns, unheld


def answerer(resident: Resident) -> EngineSession:
    """What answers prompts. UsageError where the model does not."""
    if not isinstance(resident.session, EngineSession):
        raise UsageError(f"{resident.known.name} answers no prompts; it makes vectors or ranks texts.")
    return resident.session


def held(resident: Resident, asked: Asked) -> Sampling:
    """The sampling with what the answer is held to. UsageError; Refused, also where a model is to think that cannot."""
    sampling, constraint = asked.sampling, asked.constraint
    if asked.thinks and not knows_thinking(_template(resident, sampling)):
        raise invalid(asked.thinks, f"{resident.known.name} does not think; its chat template knows nothing of that.")
    if constraint.grammar is not None:
        return replace(sampling, grammar=checked(constraint.grammar))
    if constraint.schema is None:
        return sampling
    schema = read_schema(constraint.schema)
    wanted = json.loads(schema)
    left = unheld(wanted)
    if left and has_patterns(wanted):  # no expression of somebody else's is run in this process
        raise invalid(constraint.field, f"a schema with a pattern is held to, not checked, and {left[0]} is checked.")
    grammar = resident.service.engine.ask(Grammar(schema))
    return replace(sampling, grammar=grammar, schema=schema if left else None)


def _template(resident: Resident, sampling: Sampling) -> str:
    """The chat template in force; empty where the file has none."""
    plan, candidate = resident.running.plan, resident.running.candidate
    text = with_modelfile(sampling, plan.modelfile).templating.text
    if text is not None or plan.study is None:
        return text or ""
    return str(plan.study.set_of(candidate.files).read.headers[0].kv.get(CHAT_TEMPLATE, ""))


def prompt_tokens(pool: Pool, asked: Asked) -> int:
    """Tokens of a conversation as the model would read it: its template, tools and thinking included."""
    with pool.lease(asked.model) as resident:
        return answerer(resident).count_tokens(asked.messages, held(resident, asked))
