"""The forms of OAuth's endpoints: one encoding, every field once, and the client from the header if it stands there.

Anybody may send these bodies, without a key. Starlette would also read multipart forms, in every character set that
Python knows, and OAuth has no use for either.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, unquote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from forgetless.api.json_response import json_response

__all__ = ["MOST_FORM_BYTES", "MOST_REGISTRATION_BYTES", "Endpoint", "with_form"]

Endpoint = Callable[[Request], Awaitable[Response]]

#: The largest form is that of the log-in page: it carries a request with all addresses of its client, and a state.
MOST_FORM_BYTES = 64 * 1024
MOST_REGISTRATION_BYTES = 16 * 1024
_MOST_FIELDS = 50
#: RFC 8707 lets clients name several; here all of them are this service.
_SEVERAL = frozenset({"resource"})
_FORM = "application/x-www-form-urlencoded"


def with_form(endpoint: Endpoint) -> Endpoint:
    """The endpoint, which gets a form that was checked, or none with a GET."""

    async def serve(request: Request) -> Response:
        if request.method != "POST":
            return await endpoint(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return _refusal(f"Content-Type: send a form as {_FORM}")
        try:
            text = (await request.body()).decode("utf-8", "replace")
            given = parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS)
        except ValueError:
            return _refusal(f"The form has more than {_MOST_FIELDS} fields")
        times = Counter(name for name, _ in given if name not in _SEVERAL)
        if twice := [name for name, number in times.items() if number > 1]:
            return _refusal(f"{twice[0][:64]}: give it once")
        fields = dict(given)
        if "client_id" not in fields and (client := _client_of(request.headers.get("authorization", ""))):
            fields["client_id"] = client
        return await endpoint(_with_body(request, urlencode(fields).encode("ascii")))

    return serve


def _client_of(header: str) -> str:
    """The client that `client_secret_basic` names, who needs no field for it; "" if there is none."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return unquote(base64.b64decode(credentials).decode().partition(":")[0])
    except ValueError:
        return ""


def _with_body(request: Request, body: bytes) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.scope, receive)


def _refusal(text: str) -> Response:
    return json_response({"error": "invalid_request", "error_description": text}, status=400)
