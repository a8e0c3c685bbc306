"""Anthropic's paths."""

from __future__ import annotations

from runner.api.anthropic import models, requests
from runner.api.anthropic.errors import refusal
from runner.api.dialect import Dialect

ANTHROPIC = Dialect(
    "/v1/messages",
    {
        ("POST", "/v1/messages"): requests.answer,
        ("POST", "/v1/messages/count_tokens"): requests.count,
        ("GET", "/v1/models"): models.listed,
        ("GET", "/v1/models/{model:path}"): models.one,
    },
    refusal,
    header="anthropic-version",
)
