"""Errors in OpenAI's shape."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse, Response

from runner.api.errors import Failure, Kind

_TYPES = {
    Kind.UNAUTHORIZED: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
    Kind.BUSY: "rate_limit_error",
    Kind.NO_ROOM: "server_error",
    Kind.FAILED: "server_error",
}
_CODES = {
    Kind.TOO_LONG: "context_length_exceeded",
    Kind.UNAUTHORIZED: "invalid_api_key",
    Kind.NO_MODEL: "model_not_found",
    Kind.NO_ROOM: "no_room",
}


def error_json(failure: Failure) -> dict[str, Any]:
    """The object of an error, in a response of its own and in a stream."""
    kind = failure.kind
    said = {"message": failure.message, "type": _TYPES.get(kind, "invalid_request_error")}
    return {"error": {**said, "param": failure.param, "code": _CODES.get(kind)}}


def refusal(failure: Failure) -> Response:
    """The response of an error."""
    return JSONResponse(error_json(failure), failure.status)
