"""The application: every dialect's paths over one desk, and what is refused on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from models.errors import LocalrunError
from runner.api.anthropic.dialect import ANTHROPIC
from runner.api.desk import Desk
from runner.api.dialect import Dialect, Handler
from runner.api.errors import Failure, Kind, failure_of
from runner.api.guard import Guard, Rules
from runner.api.metrics import CONTENT_TYPE
from runner.api.ollama.dialect import OLLAMA
from runner.api.openai.dialect import OPENAI

DIALECTS: Sequence[Dialect] = (OPENAI, ANTHROPIC, OLLAMA)

Endpoint = Callable[[Request], Awaitable[Response]]


def application(desk: Desk, rules: Rules) -> ASGIApp:
    """All paths behind their guard; it stops what is under way when it ends."""
    paths = {key: None for dialect in DIALECTS for key in dialect.routes}
    routes = [Route(path, _endpoint(desk, (method, path)), methods=[method]) for method, path in paths]
    for path, handler in (("/health", _health), ("/metrics", _metrics)):
        routes.append(Route(path, _answering(desk, handler), methods=["GET"]))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        desk.stop()

    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _unknown, Exception: _broken})
    return Guard(app, rules, desk.limits.head, lambda scope, failure: dialect_of(scope).refusal(failure))


def dialect_of(scope: Scope) -> Dialect:
    """Which one a request is in: what its headers say, else whose path it is."""
    headers, path = Headers(scope=scope), scope["path"]
    told = [one for one in DIALECTS if one.header is not None and one.header in headers]
    return told[0] if told else max((one for one in DIALECTS if path.startswith(one.prefix)), key=_length)


def _length(dialect: Dialect) -> int:
    return len(dialect.prefix)


def _endpoint(desk: Desk, key: tuple[str, str]) -> Endpoint:
    """The handler of the dialect that a request is in, else of any that has this method and path."""
    handlers = [one.routes[key] for one in DIALECTS if key in one.routes]

    async def answer(desk: Desk, request: Request) -> Response:
        return await dialect_of(request.scope).routes.get(key, handlers[0])(desk, request)

    return _answering(desk, answer)


def _answering(desk: Desk, handler: Handler) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await handler(desk, request)
        except LocalrunError as error:
            failure = failure_of(error)
            desk.metrics.refused(failure.kind)
            return dialect_of(request.scope).refusal(failure)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody gets it

    return answer


async def _unknown(request: Request, error: Exception) -> Response:
    """A path or a method that there is not."""
    assert isinstance(error, HTTPException)
    said = f"{request.method} {request.url.path}: {error.detail}."
    return dialect_of(request.scope).refusal(Failure(Kind.NOT_FOUND, said))


async def _broken(request: Request, error: Exception) -> Response:
    """A mistake of ours, which the log has whole."""
    said = f"The server failed over this request: {error!r}."
    return dialect_of(request.scope).refusal(Failure(Kind.FAILED, said))


async def _health(_desk: Desk, _request: Request) -> Response:
    """The server is there."""
    return JSONResponse({"status": "ok"})


async def _metrics(desk: Desk, _request: Request) -> Response:
    """Numbers for Prometheus."""
    return Response(desk.metrics.text(desk.pool.residents()), headers={"content-type": CONTENT_TYPE})
