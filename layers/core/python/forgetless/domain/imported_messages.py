"""The bounds of all messages of an imported job: they are read together."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import MAX_IMPORTED_JOB_CHARS, MAX_IMPORTED_MESSAGES, RequestLimits
from forgetless.domain.memory import Message

__all__ = ["check_imported_messages"]


def check_imported_messages(messages: Sequence[Message], limits: RequestLimits) -> None:
    """Raise InvalidRequestError if a job has too many messages, or they are too long together."""
    if len(messages) > (count := max(limits.messages, MAX_IMPORTED_MESSAGES)):
        raise InvalidRequestError(
            f"messages: the job has {len(messages):,}; at most {count:,} are imported, or more if "
            "FORGETLESS_MAX_MESSAGES allows it"
        )
    if (chars := sum(len(message.content) for message in messages)) > MAX_IMPORTED_JOB_CHARS:
        raise InvalidRequestError(
            f"messages: the job's messages have {chars:,} characters together; at most {MAX_IMPORTED_JOB_CHARS:,} are "
            "imported"
        )
