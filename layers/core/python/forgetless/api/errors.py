"""Errors as HTTP responses: a table from error class to status, and the bodies of the responses."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from forgetless.api.json_response import json_bytes, json_response
from forgetless.api.platform.error_bodies import invalid, is_platform, refusal
from forgetless.domain import errors

__all__ = [
    "MOST_DESCRIBED",
    "RATE_HEADERS",
    "STATUS",
    "answer_error",
    "answer_invalid",
    "answer_too_large",
    "in_one_line",
    "status_of",
]

#: The headers that mem0's clients read.
RATE_HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")

_logger = logging.getLogger(__name__)

#: Every error class has its own line; a test checks that none is missing.
STATUS: dict[type[errors.ForgetlessError], int] = {
    errors.ForgetlessError: 500,
    errors.InvalidRequestError: 400,
    errors.FilterError: 400,
    errors.CostlyFilterError: 400,
    errors.AuthenticationError: 401,
    errors.ForbiddenError: 403,
    errors.RateLimitedError: 429,
    errors.StoredQuotaError: 413,
    errors.TooManyGuessesError: 429,
    errors.TooManyJobsError: 429,
    errors.NotFoundError: 404,
    errors.PreconditionFailedError: 412,
    errors.ConflictError: 409,
    errors.TooManyKeysError: 409,
    errors.VersionConflictError: 409,
    errors.LeaseLostError: 409,
    errors.ErasedError: 409,
    errors.TenantDeletedError: 403,
    errors.ShownErasedError: 409,
    errors.DuplicateTextError: 409,
    errors.IdempotencyInProgressError: 409,
    errors.IdempotencyMismatchError: 422,
    errors.DependencyError: 503,
    errors.EmbedderError: 503,
    errors.IndexUnavailableError: 503,
    errors.IndexDamagedError: 503,
    errors.IndexRefusedError: 503,
    errors.LedgerError: 503,
    errors.LedgerDamagedError: 503,
    errors.LedgerLostError: 503,
    errors.QueueError: 503,
    errors.LlmUnavailableError: 503,
    errors.DeadlineError: 504,
    errors.OutOfTimeError: 503,
    errors.BusyError: 503,
    errors.ProviderError: 502,
    errors.ProviderAuthError: 502,
    errors.ProviderRequestError: 502,
    errors.LlmContextError: 502,
    errors.EmbedderReplyError: 502,
    errors.EmbedderTextError: 502,
    errors.LlmReplyError: 502,
}

#: The Retry-After, in seconds, of a conflict that names none itself.
_CONFLICT_RETRY_S = 1
#: A larger `input` is not sent back in a validation error.
_ECHO_LIMIT_BYTES = 2048
#: How many errors of a body are described, and how much of the place and the text of each.
MOST_DESCRIBED = 20
_STEP_CHARS, _TEXT_CHARS = 255, 1000


def answer_error(error: Exception, request_id: str, *, method: str = "", path: str = "") -> Response:
    """The response for an error that a route raised. An unforeseen error is logged, and its text is not revealed."""
    if isinstance(error, HTTPException):
        return json_response({"detail": error.detail}, status=error.status_code, headers=error.headers)
    if not isinstance(error, errors.ForgetlessError):
        _logger.error("request %s failed", request_id, exc_info=error)
        return _failure(500, "Internal server error.", "internal_error", request_id)
    status = status_of(error)
    if status == 429:
        # mem0's server puts the message under "error", but its clients read "detail".
        body = {"detail": error.message, "error": error.message}
        return json_response(body, status=status, headers=_headers(error, status))
    if status < 500:
        body = refusal(method, path, status, error.message)
        return json_response(body, status=status, headers=_headers(error, status))
    told = {"reason": error.logged}
    _logger.warning("request %s: %s answered with %d", request_id, error.code, status, extra=told)
    extra = {"event_id": error.event_id} if isinstance(error, errors.DeadlineError) else {}
    return _failure(status, error.message, error.code, request_id, headers=_headers(error, status), **extra)


async def answer_invalid(request: Request, error: Exception) -> Response:
    """The response for a body or query that does not match its schema: 422 in pydantic's form, on the Platform 400."""
    assert isinstance(error, RequestValidationError)
    path = request.scope["path"]
    shown = _described(error.errors())
    if is_platform(path):
        return json_response(invalid(request.method, path, shown), status=400)
    return json_response({"detail": shown}, status=422)


async def answer_too_large(request: Request, error: Exception) -> Response:
    """The response for a body that is larger than allowed, in the path's dialect."""
    assert isinstance(error, HTTPException)
    body = refusal(request.method, request.scope["path"], error.status_code, error.detail)
    return json_response(body, status=error.status_code)


def status_of(error: errors.ForgetlessError) -> int:
    """The status of the answer to this error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def _headers(error: errors.ForgetlessError, status: int) -> dict[str, str]:
    if isinstance(error, errors.AuthenticationError) and (error.missing or error.challenge):
        return {"WWW-Authenticate": error.challenge or "Bearer"}
    if isinstance(error, errors.RateLimitedError):
        return {**_rate_headers(error), "Retry-After": str(error.retry_after)}
    wait = getattr(error, "retry_after", _CONFLICT_RETRY_S)
    return {"Retry-After": str(wait)} if status in {409, 429, 503, 504} and wait is not None else {}


def _rate_headers(error: errors.RateLimitedError) -> dict[str, str]:
    """The quota, what is left of it, and the Unix time when it begins anew; nothing of a number that is not told."""
    if error.limit is None:
        return {}
    values = (error.limit, 0, math.ceil(time.time()) + error.retry_after)
    return dict(zip(RATE_HEADERS, map(str, values), strict=True))


def _failure(
    status: int, detail: str, code: str, request_id: str, *, headers: dict[str, str] | None = None, **extra: Any
) -> Response:
    body = {"detail": detail, "code": code, "request_id": request_id, **extra}
    return json_response(body, status=status, headers=headers)


def in_one_line(error: ValidationError, whole: str) -> str:
    """The errors as a text of a bounded size, for answers that have no list of them; `whole` names what was sent."""
    shown = _described(error.errors())
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or whole}: {one['msg']}" for one in shown)


def _described(found: Sequence[Any]) -> list[dict[str, Any]]:
    return [_as_shown(one) for one in found[:MOST_DESCRIBED]]


def _as_shown(one: Mapping[str, Any]) -> dict[str, Any]:
    """One of pydantic's errors as an answer may have it: of a bounded size."""
    shown = {key: value for key, value in one.items() if key != "url"}
    shown["loc"] = [step[:_STEP_CHARS] if isinstance(step, str) else step for step in one["loc"]]
    shown["msg"] = one["msg"][:_TEXT_CHARS]
    if "input" in shown and not _echoable(shown["input"]):
        shown["input"] = None
    if "ctx" in shown and not _echoable(shown["ctx"]):
        del shown["ctx"]
    return shown


def _echoable(value: Any) -> bool:
    try:
        return not _is_large(value) and len(json_bytes(value)) <= _ECHO_LIMIT_BYTES
    except (ValueError, RecursionError):
        return False


def _is_large(value: Any) -> bool:
    """Whether the value's JSON is surely too large; it is found without making it, and without reading all of it."""
    left, waiting = _ECHO_LIMIT_BYTES, [value]
    while waiting and left >= 0:
        one = waiting.pop()
        if isinstance(one, str | bytes | list | Mapping):
            left -= len(one)
        if left >= 0 and isinstance(one, Mapping):
            waiting += (*one, *one.values())
        elif left >= 0 and isinstance(one, list):
            waiting += one
    return left < 0
