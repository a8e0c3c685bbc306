"""What a dialect is to the server: its paths, and how it says that something is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from runner.api.desk import Desk
from runner.api.errors import Failure

Handler = Callable[[Desk, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """`routes`: a handler for each (method, path). What lies below `prefix` is refused by `refusal`.

    Where two dialects have the same path, a client says by `header` that it speaks this one. A handler raises
    LocalrunError for what it cannot answer.
    """

    prefix: str
    routes: Mapping[tuple[str, str], Handler]
    refusal: Callable[[Failure], Response]
    header: str | None = None
