"""The services of AWS that functions call: a call goes to the one that its signature names, or is told what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

import orjson

from local.emulator.asgi import Application, Receive, Scope, Send
from local.emulator.invocation import new_request_id

__all__ = ["AwsServices"]

#: The service that a signature is for: Credential=KEY/DATE/REGION/SERVICE/aws4_request.
_SIGNED_FOR = re.compile(rb"Credential=[^/\s]*/[^/\s]*/[^/\s]*/([^/\s]+)/aws4_request")
_CODE = "NotEmulated"


class AwsServices:
    """Passes calls on by their service; what is unsigned goes to `unsigned`."""

    def __init__(self, services: Mapping[str, Application], unsigned: Application) -> None:
        self._services, self._unsigned = dict(services), unsigned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        found = _SIGNED_FOR.search(headers.get(b"authorization", b""))
        if found is None:
            await self._unsigned(scope, receive, send)
            return
        service = found[1].decode("latin-1")
        app = self._services.get(service)
        if app is not None:
            await app(scope, receive, send)
        else:
            await _refuse(service, headers, send)


async def _refuse(service: str, headers: Mapping[bytes, bytes], send: Send) -> None:
    """Say what to do, in the form in which the service's clients read errors; 501 is not tried again."""
    text = (
        f"{service} is not emulated here: start the emulator with --with-moto, set AWS_ENDPOINT_URL in --env-vars to a "
        "server that has it, or give AWS credentials there to reach AWS itself"
    )
    body, kind = _answer(service, headers.get(b"content-type", b""), text)
    extra = [(b"content-type", kind), (b"x-amzn-errortype", _CODE.encode())]
    extra += [(b"content-length", b"%d" % len(body)), (b"x-amzn-requestid", new_request_id().encode())]
    await send({"type": "http.response.start", "status": 501, "headers": extra})
    await send({"type": "http.response.body", "body": body})


def _answer(service: str, kind: bytes, text: str) -> tuple[bytes, bytes]:
    error = f"<Error><Code>{_CODE}</Code><Message>{escape(text)}</Message></Error>"
    if service == "s3":
        return error.encode(), b"application/xml"
    if kind.startswith(b"application/x-www-form-urlencoded"):
        return f"<ErrorResponse>{error}</ErrorResponse>".encode(), b"text/xml"
    return orjson.dumps({"__type": _CODE, "message": text, "Message": text}), b"application/x-amz-json-1.0"
