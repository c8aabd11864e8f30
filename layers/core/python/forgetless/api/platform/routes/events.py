"""Events: the state of adds that run in the background, and of bulk jobs."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.answer_size import all_or_shortened, cut_headers, fitting, fitting_items, share
from forgetless.api.caller import CurrentCaller
from forgetless.api.field_checks import Cursor, check_all_named
from forgetless.api.json_response import json_response
from forgetless.api.named_entities import check_may_list
from forgetless.api.platform.event_texts import texts_of_event, texts_of_events
from forgetless.api.platform.pages import envelope, page_number
from forgetless.api.platform.serialize import bulk_event_item, event_item
from forgetless.api.platform.wire import MAX_PAGE_SIZE
from forgetless.api.routing import Route
from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import ConflictError, NotFoundError
from forgetless.domain.jobs import JobState
from forgetless.domain.keys import Role
from forgetless.ports.named_ids import note_id, note_scope
from forgetless.service.reading.job_lists import ADD, AnyJob, JobChoice

__all__ = ["ROUTES"]

_BEHIND = "waiting: an earlier add of the same user, agent and app is held; its event has the reason"
_UNKNOWN = "Event not found or you don't have permission to access it."
#: The share of an answer that is too much for a page that has an event already.
_TOO_MUCH = 2.0
#: The kinds of jobs, as events name them.
_EVENT_TYPES = [kind.upper() for kind in (ADD, *BulkKind)]


def _kind_of(event_type: str) -> str:
    """The kind of the jobs with this `event_type`."""
    if event_type not in _EVENT_TYPES:
        raise ValueError(f"must be one of {', '.join(_EVENT_TYPES)}")
    return event_type.lower()


def get_event(caller: CurrentCaller, event_id: str) -> Response:
    """The job behind an `event_id`: its status, and its results once it has succeeded, or how far a bulk job is."""
    reads = caller.services.reads
    job = reads.job(caller.tenant, event_id)
    if job is None:
        bulk = caller.services.bulk.job(caller.tenant, event_id)
        if bulk is None:
            raise NotFoundError(_UNKNOWN)
        _note_ids(bulk)
        return json_response(bulk_event_item(bulk, caller.services.cleanings()))
    note_scope(job.scope)
    item = event_item(job, texts_of_event(reads, caller.tenant, job))
    if (next_try := reads.waits_until(job)) is not None:
        item |= {"error": _BEHIND, "next_try_at": next_try}
    shown = all_or_shortened(item["results"])
    fit = fitting(shown)
    return json_response({**item, "results": fit}, headers=cut_headers(len(fit), len(shown)))


def list_events(
    request: Request,
    caller: CurrentCaller,
    *,
    page: Annotated[int | None, Query(ge=1)] = None,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)] = 100,
    cursor: Cursor = None,
    status: JobState | None = None,
    event_type: Annotated[str, AfterValidator(_kind_of)] | None = None,
    user_id: str | None = None,
    agent_id: str | None = None,
    app_id: str | None = None,
    run_id: str | None = None,
) -> Response:
    """The tenant's jobs, newest first; with `status`, `event_type` or ids, only these.

    Administrators need name nobody, nor do limited keys, which see the jobs within their limits.
    A request looks at 5,000 jobs at most, so a page of few of them may be short, or empty, and have a `next_cursor`.
    """
    reads = caller.services.reads
    number = page_number(page, cursor)
    ids = check_all_named(user_id=user_id, agent_id=agent_id, app_id=app_id, run_id=run_id)
    if not ids:
        check_may_list(caller, "events", where=": name user_id, agent_id, app_id or run_id")
    choice = JobChoice(status, event_type, tuple(ids.items())) if status or event_type or ids else None
    wanted = partial(
        reads.jobs, caller.tenant, number=number, size=page_size, cursor=cursor, asker=caller.asker, choice=choice
    )
    # What would not even fit without its texts is not kept.
    found = wanted(weigh=_bare_share)
    texts, known = texts_of_events(reads, caller.tenant, found.items)
    cleanings = caller.services.cleanings() if any(isinstance(job, BulkJob) for job in found.items) else ()
    shares = dict.fromkeys((job.id for job in found.items), _TOO_MUCH)
    shares |= {job.id: share(event_item(job, texts, cleanings)) for job in known}
    if sum(shares.values()) > 1:
        # Only now the texts of the results are known. The page ends where the answer is full.
        found = wanted(weigh=lambda job: shares.get(job.id, _bare_share(job)))
    items = fitting_items([event_item(job, texts, cleanings) for job in found.items])
    return json_response(envelope(request, items, found, number=number, size=page_size))


def _bare_share(job: AnyJob) -> float:
    return share(event_item(job, {}))


def cancel_event(caller: CurrentCaller, event_id: str) -> Response:
    """End a bulk job (administrators). What it has done stays done. An erasure and an add cannot be cancelled."""
    services = caller.services
    if services.reads.job(caller.tenant, event_id) is not None:
        raise ConflictError("An add cannot be cancelled; delete its memories instead.")
    if (held := services.bulk.job(caller.tenant, event_id)) is not None:
        _note_ids(held)  # a job that has ended names nobody
    return json_response(bulk_event_item(services.bulk.cancel(caller.tenant, event_id)))


def retry_event(caller: CurrentCaller, event_id: str) -> Response:
    """Start a failed add again, with its first time; 409 if it has not failed or its messages are no longer kept.

    It calls the LLM and stores memories, so the quotas of both must allow it, as they must for an add.
    """
    caller.check_retry()
    try:
        job = caller.services.failed_adds.retry(caller.tenant, event_id, key_id=caller.source_key)
    except NotFoundError:
        raise NotFoundError(_UNKNOWN) from None
    note_scope(job.scope)
    return json_response(event_item(job, {}), status=202)


def _note_ids(job: BulkJob) -> None:
    for name, value in job.ids.items():
        if isinstance(value, str):
            note_id(name, value)


ROUTES = (
    Route("GET", "/v1/events/", list_events),
    Route("GET", "/v1/event/{event_id}/", get_event),
    Route("DELETE", "/v1/event/{event_id}/", cancel_event, needs=Role.ADMIN, harmless=True),
    Route("POST", "/v1/event/{event_id}/retry/", retry_event, harmless=True),
)
