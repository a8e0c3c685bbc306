"""Who may ask: checked before anything is read of a request."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.api.errors import Failure, Kind

_OPEN = ("/health",)  # without a key: it says nothing of anybody
_METHODS = "GET, POST, DELETE, OPTIONS"
_HOUR_S = "3600"


@dataclass(frozen=True, slots=True)
class Rules:
    """`key` has to come with each request, if there is one. `names`: what the server may be called besides a number.

    A page whose script asks comes with its origin, and only `origins` may.
    """

    key: str | None = None
    names: frozenset[str] = frozenset({"localhost"})
    origins: frozenset[str] = frozenset()


class Guard:
    """Refuses what the rules forbid, and headers of more than `most` bytes, as `refusal` says it."""

    def __init__(self, app: ASGIApp, rules: Rules, most: int, refusal: Callable[[Scope, Failure], Response]) -> None:
        self._app, self._rules, self._most, self._refusal = app, rules, most, refusal
        self._key = _digest(rules.key) if rules.key is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        origin = headers.get("origin")
        failure = self._of_size(scope) or self._of_browsers(headers, origin)
        if failure is None and origin is not None:
            send = _allowing(origin, send)
            if scope["method"] == "OPTIONS":  # the browser asks before the page does, without a key
                await Response(status_code=204)(scope, receive, send)
                return
        failure = failure or self._of_keys(headers, path)
        await (self._refusal(scope, failure) if failure else self._app)(scope, receive, send)

    def _of_size(self, scope: Scope) -> Failure | None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) <= self._most:
            return None
        return Failure(Kind.TOO_LARGE, f"The headers have more than {self._most} bytes.")

    def _of_browsers(self, headers: Headers, origin: str | None) -> Failure | None:
        """A page of somebody else's may make a browser ask us, by a name that leads here, or from its own origin."""
        host = headers.get("host", "")
        if not self._is_ours(_without_port(host)):
            return Failure(
                Kind.FORBIDDEN, f"This server is not called {host!r}; ask it by its number, or as localhost."
            )
        if origin is not None and origin not in self._rules.origins:
            return Failure(Kind.FORBIDDEN, f"Pages of {origin} may not ask this server; --cors ORIGIN lets them.")
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError:
            return host.casefold().rstrip(".") in self._rules.names
        return True  # a number leads to where it leads, whoever owns a name

    def _of_keys(self, headers: Headers, path: str) -> Failure | None:
        if self._key is None or path in _OPEN:
            return None
        given = [value for value in _keys(headers) if hmac.compare_digest(_digest(value), self._key)]
        return None if given else Failure(Kind.UNAUTHORIZED, "The API key is missing or wrong.")


def _keys(headers: Headers) -> Iterable[str]:
    kind, _, key = headers.get("authorization", "").partition(" ")
    if kind.casefold() == "bearer":
        yield key.strip()
    if (key := headers.get("x-api-key", "")) != "":
        yield key


def _digest(key: str) -> bytes:
    """Of the same length for any key, so that to compare it takes as long for any."""
    return blake2b(key.encode()).digest()


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not (":" in name and not name.endswith("]")) else host


def _allowing(origin: str, send: Send) -> Send:
    async def say(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = origin
            headers["access-control-allow-methods"] = _METHODS
            headers["access-control-allow-headers"] = "*, authorization"
            headers["access-control-max-age"] = _HOUR_S
            headers["vary"] = "origin"
        await send(message)

    return say
