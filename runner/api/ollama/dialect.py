"""Ollama's paths."""

from __future__ import annotations

from runner.api.dialect import Dialect
from runner.api.ollama import models, vectors
from runner.api.ollama.chat import chat
from runner.api.ollama.elsewhere import pull, refused
from runner.api.ollama.errors import refusal
from runner.api.ollama.generate import generate

_MAKES_NONE = (
    "This server makes no models and takes no files; localrun FILE.gguf runs one, localrun pull NAME brings one."
)

OLLAMA = Dialect(
    "/api/",
    {
        ("GET", "/"): models.root,
        ("GET", "/api/version"): models.version,
        ("GET", "/api/tags"): models.tags,
        ("GET", "/api/ps"): models.running,
        ("POST", "/api/show"): models.show,
        ("POST", "/api/chat"): chat,
        ("POST", "/api/generate"): generate,
        ("POST", "/api/embed"): vectors.embed,
        ("POST", "/api/embeddings"): vectors.embed_one,
        ("POST", "/api/pull"): pull,
        ("POST", "/api/create"): refused(_MAKES_NONE),
        ("POST", "/api/copy"): refused(_MAKES_NONE),
        ("POST", "/api/blobs/{digest}"): refused(_MAKES_NONE),
        ("POST", "/api/push"): refused("This server sends models nowhere."),
        ("DELETE", "/api/delete"): refused("No request removes a model; localrun rm NAME does."),
    },
    refusal,
)
