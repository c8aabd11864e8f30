"""The gateway as an ASGI application: limits, and which API and route a request is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from local.emulator.asgi import ClientGoneError, Receive, Scope, Send, read_body
from local.emulator.gateway.api import MAX_BODY_BYTES, Api, Found, Reach
from local.emulator.gateway.function_url import FunctionUrl
from local.emulator.gateway.http_api import HttpApi
from local.emulator.gateway.outside import Trust
from local.emulator.gateway.request import ApiPlace, HttpRequest
from local.emulator.gateway.response import HttpResponse
from local.emulator.gateway.rest_api import RestApi
from local.emulator.held_bodies import HeldBodies, TooManyBodiesError
from local.emulator.invocation import Invoker, new_trace_id
from local.emulator.specs import ApiSpec

#: Request line and headers together, in bytes.
MAX_HEADER_BYTES = 10_240
_NO_TRUST = Trust()


class Gateway:
    """Serves the APIs of a template on one port; `port` is what the event shows as x-forwarded-port.

    `mapping` is the path under which a domain of one's own has the APIs, such as `/orders`; empty for none.
    """

    def __init__(
        self,
        apis: Sequence[ApiSpec],
        functions: Mapping[str, Invoker],
        port: int,
        region: str,
        *,
        mapping: str = "",
        trust: Trust = _NO_TRUST,
        held: HeldBodies | None = None,
    ) -> None:
        self._held = held or HeldBodies()
        self._apis: list[Api] = []
        for api in apis or (ApiSpec("none"),):
            kind: type[HttpApi | RestApi] = HttpApi if api.rest is None else RestApi
            if api.url:
                kind = FunctionUrl
            name, domain = api.name.lower(), "lambda-url" if api.url else "execute-api"
            place = ApiPlace(name, api.stage, f"{name}.{domain}.localhost", port)
            self._apis.append(kind(api, functions, place, region=region, trust=trust, mapping=mapping))
        self._order = [(reach, api) for reach in Reach for api in self._apis if reach in api.reaches]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            response = await self._respond(scope, receive)
        except ClientGoneError:
            return
        response.headers.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        body = b"" if scope["method"] == "HEAD" else response.body
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope, receive: Receive) -> HttpResponse:
        raw = scope["headers"]
        size = sum(len(name) + len(value) + 4 for name, value in raw)
        if size + len(scope["raw_path"]) + len(scope["query_string"]) > MAX_HEADER_BYTES:
            return self._apis[0].refuse(431, "Request Header Fields Too Large")
        api, found = self._find(scope)
        body = await read_body(receive, MAX_BODY_BYTES)
        if body is None:
            return api.too_large()
        try:
            with self._held.holding(len(body)):
                return await self._answer(scope, api, found, body)
        except TooManyBodiesError:
            return api.refuse(503, "Service Unavailable")

    async def _answer(self, scope: Scope, api: Api, found: Found | None, body: bytes) -> HttpResponse:
        preflight = api.preflight(scope)
        if preflight is not None:
            return preflight
        if found is None:
            return api.missing()
        request = HttpRequest(
            method=scope["method"],
            path=found.path,
            query=scope["query_string"].decode("latin-1"),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            body=body,
            client=(scope.get("client") or ("127.0.0.1", 0))[0],
            version=scope["http_version"],
            trace_id=new_trace_id(),
            names=scope.get("state", {}).get("header_names", ()),
        )
        return await api.respond(found, request)

    def _find(self, scope: Scope) -> tuple[Api, Found | None]:
        """Return the API and the route of a request; without a route, the API whose stage the path is in."""
        for reach, api in self._order:
            found = api.find(reach, scope)
            if found is not None:
                return api, found
        path = scope["path"]
        return next((api for api in self._apis if api.covers(path)), self._apis[0]), None
