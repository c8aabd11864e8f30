"""Add in two versions: both answer at once and continue in the background; v1 has its own forms of the answer."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Header
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.answer_size import all_or_shortened
from forgetless.api.caller import Caller, CurrentCaller
from forgetless.api.field_checks import check_identifier
from forgetless.api.json_response import json_response
from forgetless.api.memory_requests import add_request, ids_of
from forgetless.api.platform.serialize import added_item
from forgetless.api.platform.wire import AddBody
from forgetless.api.routing import Route
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.filters.parse_platform import parse_moment
from forgetless.domain.jobs import JobState
from forgetless.domain.limits import REQUEST_S
from forgetless.domain.memory_fields import Dialect
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.domain.usage import UsageKind
from forgetless.service.requests import AddOutcome, AddRequest, IncomingMessage
from forgetless.service.writing.extraction_settings import merged_categories

__all__ = ["ROUTES"]

MAX_CATEGORIES = 100

_QUEUED = "Memory processing has been queued for background execution"
_DONE = "Memories were stored."
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])", re.IGNORECASE)

Prefer = Annotated[str | None, Header()]


def add_v3(request: Request, caller: CurrentCaller, body: AddBody, prefer: Prefer = None) -> Response:
    """Add memories. The answer is PENDING with an `event_id` if an LLM must read the messages, else the results."""
    outcome, headers = _add(caller, body, prefer)
    return _answer(request, outcome, headers, _v3)


def add_v1(request: Request, caller: CurrentCaller, body: AddBody, prefer: Prefer = None) -> Response:
    """The same in the forms of v1: a list, or with `output_format: "v1.1"` an object."""
    outcome, headers = _add(caller, body, prefer)
    return _answer(request, outcome, headers, _v1_1 if body.output_format == "v1.1" else _v1_0)


def _add(caller: Caller, body: AddBody, prefer: str | None) -> tuple[AddOutcome, dict[str, str]]:
    seconds = _wait_s(prefer)
    request = _request(caller, body)
    caller.check_add(request)
    adds = caller.services.add
    outcome = adds.add(request)
    if seconds is None:
        return outcome, {}
    return adds.awaited(outcome, seconds=seconds), {"Preference-Applied": f"wait={seconds}"}


def _request(caller: Caller, body: AddBody) -> AddRequest:
    given = ids_of(body, SCOPE_IDS)
    if not given:
        raise InvalidRequestError("At least one of user_id, agent_id, app_id, run_id is required.")
    if any(value.strip() == "*" for value in given.values()):
        raise InvalidRequestError("An id of an add must name one user, agent, app or run, not '*'.")
    ids = {name: check_identifier(name, value) for name, value in given.items()}
    moment = body.timestamp or body.observation_datetime or body.observation_date
    categories = merged_categories(body.custom_categories or ())
    if len(categories) > MAX_CATEGORIES:
        raise InvalidRequestError(f"custom_categories: at most {MAX_CATEGORIES} categories are allowed.")
    messages = body.messages if body.infer is not False else _facts(body) or body.messages
    if not any(message.content.strip() for message in messages):
        raise InvalidRequestError("messages contain no text; images and documents alone cannot be stored.")
    scope = Scope(caller.tenant, **ids)
    return replace(
        add_request(
            Dialect.PLATFORM, body, scope, messages, infer=body.infer is not False, source_key=caller.source_key
        ),
        prompt=body.custom_instructions,
        agent_prompt=body.agent_custom_instructions,
        includes=body.includes,
        excludes=body.excludes,
        categories=categories or None,
        categorised=True,
        idempotency_key=caller.idempotency_name,
        timestamp=None if moment is None else parse_moment("timestamp", moment),
        queued=body.async_mode is not False,
    )


def _facts(body: AddBody) -> list[IncomingMessage]:
    """The facts that a client has deduced itself from the messages, each as a message of who said those."""
    roles = {message.role for message in body.messages}
    role = roles.pop() if len(roles) == 1 and "system" not in roles else "assistant"
    return [IncomingMessage(role, fact) for fact in body.deduced_memories or () if fact.strip()]


def _wait_s(prefer: str | None) -> int | None:
    found = _WAIT.search(prefer or "")
    return None if found is None else min(int(found.group(1)), int(REQUEST_S))


def _answer(request: Request, outcome: AddOutcome, headers: dict[str, str], shape: Any) -> Response:
    job = outcome.job
    if job.state is JobState.FAILED:
        text = job.error or "The add failed."
        body = {"error": text, "detail": text, "event_id": job.id, "status": "FAILED"}
        # The job's error begins with the code that the response would have had if the error had come at once.
        named = {"code": text.partition(":")[0], "request_id": request.state.request_id}
        return json_response({**body, **named}, status=502)
    return json_response(shape(outcome), headers=headers)


def _v3(outcome: AddOutcome) -> dict[str, Any]:
    return {**_status(outcome), **({"results": _results(outcome)} if _done(outcome) else {}), **_notes(outcome)}


def _v1_1(outcome: AddOutcome) -> dict[str, Any]:
    results = _results(outcome) if _done(outcome) else [_status(outcome)]
    return {"results": results, "relations": [], "event_id": outcome.job.id, **_notes(outcome)}


def _v1_0(outcome: AddOutcome) -> list[dict[str, Any]]:
    return _results(outcome) if _done(outcome) else [_status(outcome)]


def _done(outcome: AddOutcome) -> bool:
    return outcome.job.state is JobState.SUCCEEDED


def _status(outcome: AddOutcome) -> dict[str, Any]:
    done = _done(outcome)
    return {
        "message": _DONE if done else _QUEUED,
        "status": "SUCCEEDED" if done else "PENDING",
        "event_id": outcome.job.id,
    }


def _results(outcome: AddOutcome) -> list[dict[str, Any]]:
    return all_or_shortened([added_item(added) for added in outcome.results])


def _notes(outcome: AddOutcome) -> dict[str, Any]:
    notes: dict[str, Any] = {}
    if _done(outcome) and not outcome.indexed:
        notes["indexed"] = False
    if outcome.extraction == "none":
        notes["extraction"] = "none"
    return notes


ROUTES = (
    Route("POST", "/v3/memories/add/", add_v3, counts=UsageKind.ADDS),
    Route("POST", "/v1/memories/", add_v1, counts=UsageKind.ADDS),
)
