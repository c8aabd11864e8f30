"""Imports and exports that a client drives in portions; the ledger knows how far each has come."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import Depends, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.json_response import json_response
from forgetless.api.routing import Route
from forgetless.api.selfhosted.routes.export import ENOUGH_BYTES, MOST_BYTES, lines_response
from forgetless.api.selfhosted.wire import ExportBegin, ExportFetch, ImportBegin
from forgetless.domain.keys import Role
from forgetless.domain.limits import PORTION_BYTES
from forgetless.service.transfer.event_import import Payer
from forgetless.service.transfer.import_jobs import ImportPlace

__all__ = ["ROUTES"]


async def _body(request: Request) -> bytes:
    return await request.body()


#: The body as it is. FastAPI would parse it as JSON if a client leaves the content type out.
Lines = Annotated[bytes, Depends(_body)]


def begin_import(caller: CurrentCaller, body: ImportBegin) -> Response:
    """Begin an import with an id of your choice, or read where to go on with it (only for administrators)."""
    place = caller.all_services.import_jobs.begin(
        caller.tenant, str(body.id), file=body.file, lines=body.lines, afresh=body.afresh
    )
    return _shown(place)


def import_lines(
    caller: CurrentCaller,
    job_id: str,
    body: Lines,
    *,
    line: Annotated[int, Query(ge=1)],
    before: Annotated[str | None, Query(max_length=64)] = None,
    last: bool = False,
) -> Response:
    """Import the lines of the body. The first one is the line with the number `line`, counted from 1.

    The answer names the next line. It may lie within the body: send the rest again. `before` is the answer's `digest`
    that belongs to `line`; with it, a file that has changed is refused. `last=true` ends the import. An add of the file
    that has not succeeded counts as an add of your key, because it runs here.
    """
    _check_size(body)
    place = caller.all_services.import_jobs.take(
        caller.tenant, job_id, body, line=line, before=before, last=last, payer=_payer(caller)
    )
    return _shown(place)


def check_import(caller: CurrentCaller, body: Lines, *, events: bool = False) -> Response:
    """Count which memories of these lines the service has, in total and for each id (only for administrators).

    The lines are those of an import. `events=true` says that they follow the first line of an export. If the answer has
    `lines`, the time was over after so many of them: send the rest again.
    """
    _check_size(body)
    counts = caller.all_services.import_check.count(caller.tenant, body, ours=events)
    # An earlier command knows no `lines`, and would take a part for everything. It fails at the name, then.
    return json_response({name: value for name, value in asdict(counts).items() if value is not None})


def begin_export(caller: CurrentCaller, body: ExportBegin) -> Response:
    """Begin an export with an id of your choice, or read where to go on with it (only for administrators)."""
    return json_response(asdict(caller.all_services.export_jobs.begin(caller.tenant, str(body.id))))


def export_lines(caller: CurrentCaller, job_id: str, body: ExportFetch) -> Response:
    """Fetch the lines at the cursor. By this request you say that all lines before it are written.

    The header X-Next-Cursor names the next portion. The last portion is empty and has no such header.
    """
    answer = caller.all_services.export_jobs.fetch(
        caller.tenant, job_id, body.cursor, most_bytes=MOST_BYTES, enough=ENOUGH_BYTES
    )
    return lines_response(answer.lines, answer.after.cursor, events=answer.after.events)


def _payer(caller: Caller) -> Payer | None:
    """Whose quotas the adds of a file meet; None where nothing is counted."""
    return None if caller.key is None or caller.meter is None else Payer(caller.key, caller.meter)


def _check_size(body: bytes) -> None:
    if len(body) > PORTION_BYTES:
        raise HTTPException(413, f"The body is larger than {PORTION_BYTES} bytes; send fewer lines at once.")


def _shown(place: ImportPlace) -> Response:
    return json_response(asdict(place))


ROUTES = (
    Route("POST", "/import-jobs", begin_import, needs=Role.ADMIN),
    Route("POST", "/import-jobs/{job_id}/lines", import_lines, needs=Role.ADMIN, kept=False),
    Route("POST", "/import-checks", check_import, needs=Role.ADMIN, kept=False, only_reads=True),
    Route("POST", "/export-jobs", begin_export, needs=Role.ADMIN),
    # What it stores is its place, which a repeat stores as well.
    Route("POST", "/export-jobs/{job_id}/lines", export_lines, needs=Role.ADMIN, kept=False, only_reads=True),
)
