"""Every error that a caller of Forgetless can meet, by what can be done about it.

ForgetlessError
├── InvalidRequestError            fix the request (400)
│   └── FilterError                the filter grammar
├── AuthenticationError            give a valid key (401)
├── ForbiddenError                 this key may not (403)
├── RateLimitedError               this key asks too often; wait (429)
├── NotFoundError                  no such memory or job (404)
├── PreconditionFailedError        the memory is at another version than the request names (412)
├── ConflictError                  someone else was first
│   ├── VersionConflictError       read again, then write
│   ├── LeaseLostError             another worker took the job over; drop the work
│   ├── DuplicateTextError         an extracted fact that the scope already holds
│   ├── IdempotencyInProgressError the same request is still running (409)
│   └── IdempotencyMismatchError   the key was used with another body (422)
└── DependencyError                a part that we need failed; try again later (503)
    ├── EmbedderError              the embedder's 429, 5xx or no connection
    ├── IndexUnavailableError
    │   └── IndexDamagedError      it answers, and cannot read its own data: rebuild it
    ├── LedgerError
    │   ├── LedgerDamagedError     the file is no ledger any more: restore it
    │   └── LedgerLostError        it is empty, and the index beside it is not: restore it
    ├── QueueError
    ├── LlmUnavailableError        the LLM's 429, 5xx or no connection
    ├── DeadlineError              given up in time; the job goes on in the queue (504)
    └── ProviderError              embedder or LLM answered what no repeat cures (502)
        ├── ProviderAuthError      its 401 or 403: see to the key
        ├── ProviderRequestError   it refuses what it was asked: its other 4xx
        ├── EmbedderReplyError     the reply is no list of vectors of our dimension
        └── LlmReplyError          the reply stays nonsense after one repair
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "ConflictError",
    "DeadlineError",
    "DependencyError",
    "DuplicateTextError",
    "EmbedderError",
    "EmbedderReplyError",
    "FilterError",
    "ForbiddenError",
    "ForgetlessError",
    "IdempotencyInProgressError",
    "IdempotencyMismatchError",
    "IndexDamagedError",
    "IndexUnavailableError",
    "InvalidRequestError",
    "LeaseLostError",
    "LedgerDamagedError",
    "LedgerError",
    "LedgerLostError",
    "LlmReplyError",
    "LlmUnavailableError",
    "NotFoundError",
    "PreconditionFailedError",
    "ProviderAuthError",
    "ProviderError",
    "ProviderRequestError",
    "QueueError",
    "RateLimitedError",
    "VersionConflictError",
]


class ForgetlessError(Exception):
    """Base of all; `code` is the machine-readable name that error bodies carry."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidRequestError(ForgetlessError):
    """The request breaks a rule; the message names the field and the fix."""

    code = "invalid_request"


class FilterError(InvalidRequestError):
    """The filter is outside the grammar; the message names the operator or key."""

    code = "invalid_filter"


class AuthenticationError(ForgetlessError):
    """No key, or one that we do not know; `missing` tells which."""

    code = "unauthenticated"

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class ForbiddenError(ForgetlessError):
    """The key is valid and may not do this."""

    code = "forbidden"


class RateLimitedError(ForgetlessError):
    """The key has used its `limit` of a minute; try again after `retry_after` seconds, all is back after `reset_s`."""

    code = "rate_limited"

    def __init__(self, *, limit: int, reset_s: int, retry_after: int) -> None:
        super().__init__(f"Rate limit exceeded: {limit} per 1 minute")
        self.limit = limit
        self.reset_s = reset_s
        self.retry_after = retry_after


class NotFoundError(ForgetlessError):
    """The tenant has nothing under this id."""

    code = "not_found"


class PreconditionFailedError(ForgetlessError):
    """The memory has moved on from the version that the request names; read it again."""

    code = "precondition_failed"


class ConflictError(ForgetlessError):
    """Another writer was first."""

    code = "conflict"


class VersionConflictError(ConflictError):
    """An event's version is not the memory's current version plus one."""

    code = "version_conflict"


class LeaseLostError(ConflictError):
    """Another worker has the job, or has done it: nothing was written; its lease ends in `retry_after` seconds."""

    code = "lease_lost"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DuplicateTextError(ConflictError):
    """Extracted facts that live already in their scope; `memory_ids` are those of the refused events."""

    code = "duplicate_text"

    def __init__(self, memory_ids: tuple[str, ...]) -> None:
        super().__init__("the scope already holds a memory with this text")
        self.memory_ids = memory_ids


class IdempotencyInProgressError(ConflictError):
    """The first request with this Idempotency-Key has not ended; its lease ends in `retry_after` seconds."""

    code = "idempotency_in_progress"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class IdempotencyMismatchError(ConflictError):
    """This Idempotency-Key was used with another body."""

    code = "idempotency_mismatch"


class DependencyError(ForgetlessError):
    """A part that this needs does not answer; `retry_after` is in seconds, None where no repeat helps."""

    code = "dependency_unavailable"

    def __init__(self, message: str, *, retry_after: int | None = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EmbedderError(DependencyError):
    """The embedding service does not answer, is full or fails (its 429 and 5xx)."""

    code = "embedder_unavailable"


class IndexUnavailableError(DependencyError):
    """Milvus did not answer."""

    code = "vector_store_unavailable"


class IndexDamagedError(IndexUnavailableError):
    """Milvus answers, but it cannot read or write what it holds, or holds it with other fields than ours."""


class LedgerError(DependencyError):
    """The ledger could not be read or written."""

    code = "datastore_unavailable"


class LedgerDamagedError(LedgerError):
    """The ledger's file cannot be read as one any more; `reason` is what is wrong, without what to do."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class LedgerLostError(LedgerError):
    """The ledger holds nothing, and what lies beside it says that it once did."""


class QueueError(DependencyError):
    """The queue did not take or give messages."""

    code = "queue_unavailable"


class LlmUnavailableError(DependencyError):
    """The LLM is not reachable, overloaded or failing (its 429 and 5xx)."""

    code = "provider_unavailable"


class DeadlineError(DependencyError):
    """The add outlasts its deadline; job `event_id` goes on in the queue."""

    code = "deadline_exceeded"

    def __init__(self, message: str, *, event_id: str, retry_after: int = 5) -> None:
        super().__init__(message, retry_after=retry_after)
        self.event_id = event_id


class ProviderError(DependencyError):
    """The embedder or the LLM answered, and no repeat of this call will be answered better."""

    code = "provider_bad_reply"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=None)


class ProviderAuthError(ProviderError):
    """The provider does not take our key (its 401 and 403)."""

    code = "provider_auth_failed"


class ProviderRequestError(ProviderError):
    """The provider refuses what it was asked (its 4xx but those of key and load); `status` is what it said."""

    code = "provider_bad_request"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def blames_input(self) -> bool:
        """Whether the text itself is refused (400, 413, 422), not the address or the model."""
        return self.status in {400, 413, 422}


class EmbedderReplyError(ProviderError):
    """The embedding service's reply is not what was asked for: no vectors, or others than the index holds."""


class LlmReplyError(ProviderError):
    """The LLM's reply stays invalid after one repair."""
