"""Errors in Ollama's shape."""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

from runner.api.errors import Failure


def error_json(failure: Failure) -> dict[str, str]:
    """The object of an error, in a response of its own and in a stream."""
    return {"error": failure.message}


def refusal(failure: Failure) -> Response:
    """The response of an error."""
    return JSONResponse(error_json(failure), failure.status)
