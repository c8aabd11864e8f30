"""A function's own URL: payload 2.0 as of HTTP APIs, without routes and without the API's limit of time."""

from __future__ import annotations

from typing import Any

from local.emulator.gateway.api import Found, PayloadTooLargeError, result_of
from local.emulator.gateway.authorizer import UnauthorizedError
from local.emulator.gateway.cors import with_cors
from local.emulator.gateway.event import build_event
from local.emulator.gateway.http_api import HttpApi
from local.emulator.gateway.outside import NotVerifiedError, check_outside, http_context
from local.emulator.gateway.request import HttpRequest
from local.emulator.gateway.response import HttpResponse, MalformedResponseError, infer_response, message_response
from local.emulator.invocation import ThrottledError, new_request_id
from local.emulator.specs import OutsideAuthSpec

__all__ = ["FunctionUrl"]

#: What Lambda says of a function's error, whatever it was.
_FAILED = HttpResponse(502, [(b"content-type", b"text/plain")], b"Internal Server Error")


class FunctionUrl(HttpApi):
    """The URL of one function; its API has one route, $default."""

    async def respond(self, found: Found, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        request_id = new_request_id()
        response = await self._answer(found, request, request_id)
        if self._cors is not None:
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
            response = with_cors(self._cors, headers, response)
        named = [*response.headers, (b"x-amzn-requestid", request_id.encode("ascii"))]
        return HttpResponse(response.status, named, response.body)

    async def _answer(self, found: Found, request: HttpRequest, request_id: str) -> HttpResponse:
        event = build_event(request, found.match, self._place, request_id)
        refusal = self._refusal(found, event)
        if refusal is not None:
            return refusal
        try:
            result = await result_of(self._functions, found.match.route, event, request.trace_id)
            if result.error is not None:
                return message_response(500, result.not_run, key="Message") if result.not_run else _FAILED
            return infer_response(result.payload)
        except PayloadTooLargeError:
            return message_response(413, "Request Entity Too Large", key="Message")
        except ThrottledError:
            return message_response(429, "Rate Exceeded.", key="Message")
        except (MalformedResponseError, TimeoutError):
            return _FAILED

    def _refusal(self, found: Found, event: dict[str, Any]) -> HttpResponse | None:
        """Put who signed a request of IAM into the event, or return why the request goes no further."""
        authorizer = found.match.route.authorizer
        if not isinstance(authorizer, OutsideAuthSpec):
            return None
        try:
            added = http_context(authorizer, check_outside(authorizer, event, self._trust))
        except UnauthorizedError:
            return message_response(403, "Forbidden", key="Message")
        except NotVerifiedError as error:
            return message_response(501, str(error), key="Message")
        if added is not None:
            event["requestContext"]["authorizer"] = added
        return None
