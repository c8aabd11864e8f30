"""The handler of a Lambda function that is an ASGI app."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from mangum import Mangum
from mangum.types import ASGI

__all__ = ["asgi_handler"]


def asgi_handler(app: ASGI) -> Callable[[Any, Any], dict[str, Any]]:
    """A handler that calls `app`.

    Mangum opens an event loop, which has sockets. So it waits for the first event: what is open before would be part of
    a snapshot, and several environments would have it.
    """
    mangum = cache(lambda: Mangum(app, lifespan="off"))

    def handler(event: Any, context: Any) -> dict[str, Any]:
        return mangum()(event, context)

    return handler
