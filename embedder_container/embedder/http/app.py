"""The ASGI application: routes, the key, errors in the form of the route's dialect, and start and stop of the service.

It is plain ASGI, because a route costs a fifth of a millisecond less than under a framework, and a batch of the
model costs only two.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..errors import EmbedderError, InferenceError, NotFoundError, OverloadedError
from ..service import Embedding
from . import openai_api, tei_api
from .asgi import ClientGoneError, Receive, Request, Response, Scope, Send, json_response, read_body
from .error_status import HostRefusedError, KeyRefusedError, MethodRefusedError, NotReadyError
from .hosts import allowed_host

__all__ = ["App"]

logger = logging.getLogger("embedder")

Handler = Callable[[Embedding, Request], Awaitable[Response]]
ErrorShape = Callable[[EmbedderError], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One path and method; ``public`` routes need no key."""

    handler: Handler
    error: ErrorShape = openai_api.error
    public: bool = False


async def _health(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /health``: the process runs."""
    return json_response({"status": "ok", "model": service.manifest.name})


async def _ready(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /ready``: 200 once the model has answered a warm-up, 503 before and while stopping."""
    if not service.ready:
        raise NotReadyError("The model has not answered yet.")
    return json_response({"status": "ready", "model": service.manifest.name})


async def _metrics(service: Embedding, request: Request) -> Response:  # noqa: ARG001 - a route's shape
    """Answer ``GET /metrics`` for Prometheus."""
    return Response(service.metrics.render(), content_type=b"text/plain; version=0.0.4; charset=utf-8")


ROUTES: dict[str, dict[str, Route]] = {
    "/v1/embeddings": {"POST": Route(openai_api.embeddings)},
    "/embeddings": {"POST": Route(openai_api.embeddings)},
    "/v1/models": {"GET": Route(openai_api.models)},
    "/models": {"GET": Route(openai_api.models)},
    "/v1/models/{id}": {"GET": Route(openai_api.model)},
    "/models/{id}": {"GET": Route(openai_api.model)},
    "/embed": {"POST": Route(tei_api.embed, tei_api.error)},
    "/": {"POST": Route(tei_api.root, tei_api.error)},
    "/similarity": {"POST": Route(tei_api.similarity, tei_api.error)},
    "/tokenize": {"POST": Route(tei_api.tokenize, tei_api.error)},
    "/info": {"GET": Route(tei_api.info, tei_api.error)},
    "/health": {"GET": Route(_health, public=True)},
    "/ready": {"GET": Route(_ready, public=True)},
    "/metrics": {"GET": Route(_metrics, public=True)},
}
#: What stands in ROUTES for the rest of a path; it may contain slashes.
_REST = "{id}"
_OPEN_PATHS = tuple(path.removesuffix(_REST) for path in ROUTES if path.endswith(_REST))


def _path_of(path: str) -> tuple[str, str]:
    """Return the path as it stands in ROUTES, and its rest where the route takes one."""
    for beginning in _OPEN_PATHS:
        if path.startswith(beginning) and path != beginning:
            return beginning + _REST, path.removeprefix(beginning)
    return path, ""


class App:
    """The application of one service. An unexpected error is a 500, logged without the request's texts."""

    def __init__(self, service: Embedding) -> None:
        self._service = service
        self._key = service.settings.api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            with self._service.metrics.in_progress.track_inprogress():
                await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._service.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, rest = _path_of(scope["path"])
        methods = ROUTES.get(path, {})
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        route = methods.get(method)
        shape = next(iter(methods.values())).error if methods else openai_api.error
        try:
            response = await self._respond(route, methods, scope, receive, rest)
        except ClientGoneError:
            return
        except EmbedderError as error:
            response = shape(error)
            if isinstance(error, OverloadedError):
                response.headers.append((b"retry-after", str(error.retry_after).encode()))
            if isinstance(error, MethodRefusedError):
                response.headers.append((b"allow", ", ".join(methods).encode()))
        except Exception as error:  # noqa: BLE001 - the client gets an answer whatever happens
            logger.error("%s failed: %s", path, type(error).__name__)
            response = shape(InferenceError("The service failed on this request."))
        self._service.metrics.requests.labels(path if methods else "other", str(response.status)).inc()
        if scope["method"] == "HEAD":
            response.body = b""
        await response.send(send)

    async def _respond(
        self, route: Route | None, methods: dict[str, Route], scope: Scope, receive: Receive, rest: str
    ) -> Response:
        headers = dict(scope["headers"])
        if not allowed_host(self._service.settings, headers.get(b"host", b"")):
            raise HostRefusedError("The Host header names another machine; EMBEDDER_HOSTS allows names.")
        if self._key and not (route and route.public):
            self._check_key(headers)
        if route is None:
            if methods:
                raise MethodRefusedError(f"{scope['path']} takes {', '.join(methods)}.")
            raise NotFoundError(f"There is no {scope['path']} here.")
        request = Request(scope["path"], headers, rest)
        if scope["method"] in ("GET", "HEAD"):
            return await route.handler(self._service, request)
        request.body = await read_body(receive, headers, self._service.settings.max_body_bytes)
        return await _with_client(route, self._service, request, receive)

    def _check_key(self, headers: dict[bytes, bytes]) -> None:
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        # A signed request to a function URL has its signature in Authorization.
        given = key if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        if not hmac.compare_digest(given.strip(), self._key):
            raise KeyRefusedError(
                "The API key is missing or wrong; send it as Authorization: Bearer, or as X-API-Key.",
                code="invalid_api_key",
            )


async def _with_client(route: Route, service: Embedding, request: Request, receive: Receive) -> Response:
    """Run a route and watch the connection: texts of a client that has left are not computed."""
    watch: asyncio.Task[None] | None = None
    left = False

    def on_gone(cancel: Callable[[], None]) -> None:
        nonlocal watch

        async def wait() -> None:
            nonlocal left
            while (await receive())["type"] != "http.disconnect":
                pass
            left = True
            cancel()

        watch = asyncio.create_task(wait())

    request.gone = on_gone
    try:
        return await route.handler(service, request)
    except asyncio.CancelledError:
        if left:
            raise ClientGoneError from None
        raise
    finally:
        if watch is not None:
            watch.cancel()
