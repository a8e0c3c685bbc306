"""OpenAI's paths."""

from __future__ import annotations

from runner.api.dialect import Dialect
from runner.api.openai import chat, completions, embeddings, models
from runner.api.openai.errors import refusal
from runner.api.openai.responses import requests as responses

OPENAI = Dialect(
    "/",
    {
        ("GET", "/v1/models"): models.listed,
        ("GET", "/v1/models/{model:path}"): models.one,
        ("POST", "/v1/chat/completions"): chat.complete,
        ("POST", "/v1/completions"): completions.complete,
        ("POST", "/v1/embeddings"): embeddings.embed,
        ("POST", "/v1/responses"): responses.answer,
        ("GET", "/v1/responses/{response}"): responses.kept,
        ("DELETE", "/v1/responses/{response}"): responses.forget,
    },
    refusal,
)
