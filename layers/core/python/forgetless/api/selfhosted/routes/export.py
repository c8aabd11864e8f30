"""Export over HTTP: JSON lines in portions that fit into a Lambda response."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from forgetless.api.caller import CurrentCaller
from forgetless.api.routing import Route
from forgetless.domain.keys import Role
from forgetless.domain.limits import ANSWER_BYTES
from forgetless.service.transfer.export_portions import full_portion

__all__ = ["CURSOR_HEADER", "ENOUGH_BYTES", "EVENTS_HEADER", "MOST_BYTES", "ROUTES", "lines_response"]

#: The response header that says where the next portion begins; it is absent after the last portion.
CURSOR_HEADER = "X-Next-Cursor"
#: The response header with the number of events before the next portion.
EVENTS_HEADER = "X-Events"
#: No further portion is added to a response that has reached this size.
ENOUGH_BYTES = 1024 * 1024
#: The most bytes of one portion. Mangum sends what is not text in base64, so that Lambda counts 4/3 of the bytes.
MOST_BYTES = ANSWER_BYTES * 3 // 4 - ENOUGH_BYTES


def export(caller: CurrentCaller, cursor: Annotated[str | None, Query(max_length=4096)] = None) -> Response:
    """Everything of the tenant as JSON lines (only for administrators). Repeat it with the cursor of the header.

    The answers together are the export. A line that is too long for one answer continues in the next one.
    """
    portion = full_portion(
        caller.all_services.event_exports, caller.tenant, cursor=cursor, most_bytes=MOST_BYTES, enough=ENOUGH_BYTES
    )
    return lines_response(portion.lines, portion.cursor)


def lines_response(lines: bytes, cursor: str | None, *, events: int | None = None) -> Response:
    """The response with these lines, and with the cursor of the portion after them."""
    headers = {CURSOR_HEADER: cursor} if cursor else {}
    if events is not None:
        headers[EVENTS_HEADER] = str(events)
    return Response(lines, headers=headers, media_type="application/x-ndjson")


ROUTES = (Route("GET", "/export", export, needs=Role.ADMIN),)
