"""Errors in Anthropic's shape."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from runner.api.errors import Failure, Kind

_TYPES = {
    Kind.UNAUTHORIZED: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
    Kind.NOT_FOUND: "not_found_error",
    Kind.NO_MODEL: "not_found_error",
    Kind.TOO_LARGE: "request_too_large",
    Kind.TOO_SLOW: "timeout_error",
    Kind.BUSY: "rate_limit_error",
    Kind.NO_ROOM: "overloaded_error",
    Kind.FAILED: "api_error",
}


def error_json(failure: Failure) -> dict[str, Any]:
    """The object of an error, in a response of its own and in a stream."""
    kind = _TYPES.get(failure.kind, "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": failure.message}}


def refusal(failure: Failure) -> Response:
    """The response of an error."""
    return JSONResponse(error_json(failure), failure.status)
