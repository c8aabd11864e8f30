"""CORS of an HTTP API: the gateway answers preflight requests itself and sets the headers of all answers."""

from __future__ import annotations

from local.emulator.gateway.response import HttpResponse
from local.emulator.specs import CorsSpec

Headers = list[tuple[bytes, bytes]]


def is_preflight(method: str, headers: Headers) -> bool:
    """Return whether a request is a preflight request."""
    names = {name for name, _ in headers}
    return method == "OPTIONS" and b"origin" in names and b"access-control-request-method" in names


def preflight_response(spec: CorsSpec, headers: Headers) -> HttpResponse:
    """Return the answer to a preflight request: 204, with headers when the origin is permitted."""
    allowed = _origin(spec, headers)
    if allowed is None:
        return HttpResponse(204, [], b"")
    answer = [*allowed, (b"access-control-allow-methods", ",".join(spec.methods).encode())]
    if spec.headers:
        answer.append((b"access-control-allow-headers", ",".join(spec.headers).encode()))
    if spec.max_age is not None:
        answer.append((b"access-control-max-age", str(spec.max_age).encode()))
    return HttpResponse(204, answer, b"")


def with_cors(spec: CorsSpec, request: Headers, response: HttpResponse) -> HttpResponse:
    """Return a response with the API's CORS headers; the function's own are ignored."""
    kept = [(name, value) for name, value in response.headers if not name.startswith(b"access-control-")]
    allowed = _origin(spec, request)
    if allowed is not None:
        kept += allowed
        if spec.expose:
            kept.append((b"access-control-expose-headers", ",".join(spec.expose).encode()))
    return HttpResponse(response.status, kept, response.body)


def _origin(spec: CorsSpec, headers: Headers) -> Headers | None:
    origin = next((value for name, value in headers if name == b"origin"), None)
    if origin is None or not ("*" in spec.origins or origin.decode("latin-1") in spec.origins):
        return None
    shown = b"*" if "*" in spec.origins and not spec.credentials else origin
    extra = [(b"access-control-allow-credentials", b"true")] if spec.credentials else []
    return [(b"access-control-allow-origin", shown), *extra]
