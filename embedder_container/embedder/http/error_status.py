"""The table of the HTTP status and code of each error."""

from __future__ import annotations

from ..errors import (
    DeadlineError,
    EmbedderError,
    InferenceError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
)

__all__ = ["HostRefusedError", "KeyRefusedError", "MethodRefusedError", "NotReadyError", "reason", "status_of"]


class KeyRefusedError(InvalidInputError):
    """The request has no API key, or a wrong one."""


class HostRefusedError(InvalidInputError):
    """The request's Host header names another machine."""


class MethodRefusedError(InvalidInputError):
    """The path exists, but for another method."""


class NotReadyError(EmbedderError):
    """The model has not answered its warm-up yet, or the service is stopping."""


#: The first match counts, so subclasses come before their base.
STATUSES: tuple[tuple[type[EmbedderError], int, str], ...] = (
    (HostRefusedError, 421, "misdirected_request"),
    (KeyRefusedError, 401, "invalid_api_key"),
    (NotFoundError, 404, "not_found"),
    (MethodRefusedError, 405, "method_not_allowed"),
    (TooLargeError, 413, "too_large"),
    (InvalidInputError, 400, "invalid_value"),
    (OverloadedError, 429, "queue_full"),
    (NotReadyError, 503, "not_ready"),
    (DeadlineError, 504, "deadline_exceeded"),
    (InferenceError, 500, "inference_failed"),
    (EmbedderError, 500, "server_error"),
)


def status_of(error: EmbedderError) -> int:
    """Return the HTTP status of an error."""
    return next(status for kind, status, _ in STATUSES if isinstance(error, kind))


def reason(error: EmbedderError) -> str:
    """Return the code of an error: its own, or that of its class."""
    own: str | None = getattr(error, "code", None)
    return own or next(code for kind, _, code in STATUSES if isinstance(error, kind))
