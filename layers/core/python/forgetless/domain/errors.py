"""Every error that a caller of Forgetless can get, arranged by what can be done about it.

ForgetlessError
├── InvalidRequestError            fix the request (400)
│   ├── FilterError                the filter grammar
│   └── CostlyFilterError          the filter has cost as much work as one request may
├── AuthenticationError            send a valid key (401)
├── ForbiddenError                 this key may not do this (403)
├── RateLimitedError               a quota for a minute, a day or a month is used up; wait (429)
├── TooManyJobsError               too many jobs of the tenant have not ended; wait (429)
├── StoredQuotaError               as many memories are stored as the quota allows; delete some (413)
├── NotFoundError                  no such memory or job (404)
├── PreconditionFailedError        the memory's version is not the one in the request (412)
├── ConflictError                  another writer was first
│   ├── TooManyKeysError           the tenant has as many keys as it may have; revoke some (409)
│   ├── VersionConflictError       read again, then write
│   ├── LeaseLostError             another worker took over the job; stop working on it
│   ├── ErasedError                the scope was erased after the request began (409)
│   │   └── TenantDeletedError     the whole tenant is being deleted (403)
│   ├── ShownErasedError           what the LLM was shown was deleted meanwhile; do the work again without it
│   ├── DuplicateTextError         the scope already has a memory with the extracted fact's text
│   ├── IdempotencyInProgressError the same request is still running (409)
│   └── IdempotencyMismatchError   the key was used with another body (422)
└── DependencyError                a service that we depend on failed; try again later (503)
    ├── EmbedderError              the embedder answered 429 or 5xx, or there is no connection
    ├── IndexUnavailableError
    │   ├── IndexDamagedError      Milvus answers but cannot read its own data: rebuild the index
    │   └── IndexRefusedError      Milvus refuses a row and would refuse it again
    ├── LedgerError
    │   ├── LedgerDamagedError     the file can no longer be read as a ledger: restore it
    │   └── LedgerLostError        the ledger is empty although it once was not: restore it
    ├── QueueError
    ├── LlmUnavailableError        the LLM answered 429 or 5xx, or there is no connection
    ├── DeadlineError              the add took too long; its job continues in the queue (504)
    ├── OutOfTimeError             the add took too long, and nothing was stored
    ├── BusyError                  this process is busy with what takes much memory
    └── ProviderError              the embedder's or LLM's answer would be the same again (502)
        ├── ProviderAuthError      it answered 401 or 403: check the key
        ├── ProviderRequestError   it refused the request: any other 4xx
        │   └── LlmContextError    the request has more tokens than the model reads: send less at once
        ├── EmbedderTextError      the embedder takes other texts, but not these
        ├── EmbedderReplyError     the reply is not a list of vectors of our dimension
        └── LlmReplyError          the reply is still invalid after one attempt to repair it
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AuthenticationError",
    "BusyError",
    "ConflictError",
    "CostlyFilterError",
    "DeadlineError",
    "DependencyError",
    "DuplicateTextError",
    "EmbedderError",
    "EmbedderReplyError",
    "EmbedderTextError",
    "ErasedError",
    "FilterError",
    "ForbiddenError",
    "ForgetlessError",
    "IdempotencyInProgressError",
    "IdempotencyMismatchError",
    "IndexDamagedError",
    "IndexRefusedError",
    "IndexUnavailableError",
    "InvalidRequestError",
    "LeaseLostError",
    "LedgerDamagedError",
    "LedgerError",
    "LedgerLostError",
    "LlmContextError",
    "LlmReplyError",
    "LlmUnavailableError",
    "NotFoundError",
    "OutOfTimeError",
    "PreconditionFailedError",
    "ProviderAuthError",
    "ProviderError",
    "ProviderRequestError",
    "QueueError",
    "RateLimitedError",
    "ShownErasedError",
    "StoredQuotaError",
    "TenantDeletedError",
    "TooManyJobsError",
    "TooManyKeysError",
    "VersionConflictError",
]


class ForgetlessError(Exception):
    """The base of all errors; `code` is the machine-readable name in the body of an error answer."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    @property
    def logged(self) -> str:
        """The message for a log, which outlives an erasure."""
        return self.message


class InvalidRequestError(ForgetlessError):
    """The request breaks a rule; the message names the field and the fix."""

    code = "invalid_request"


class FilterError(InvalidRequestError):
    """The filter does not follow the grammar; the message names the operator or key."""

    code = "invalid_filter"


class CostlyFilterError(InvalidRequestError):
    """The filter has cost as much work as one request may; that work was done, so it counts as a search."""


class AuthenticationError(ForgetlessError):
    """The request has no key (`missing` is True) or an unknown one; `challenge` is its answer's WWW-Authenticate."""

    code = "unauthenticated"

    def __init__(self, message: str, *, missing: bool = False, challenge: str | None = None) -> None:
        super().__init__(message)
        self.missing = missing
        self.challenge = challenge


class ForbiddenError(ForgetlessError):
    """The key is valid but may not do this."""

    code = "forbidden"


class RateLimitedError(ForgetlessError):
    """A quota of the key or of its tenant is used up for now; it begins anew in `retry_after` seconds.

    `limit` is None if the key may not know how much its tenant may use.
    """

    code = "rate_limited"

    def __init__(self, quota: str, *, of: str, limit: int | None, retry_after: int) -> None:
        counted, _, window = quota.rpartition("_per_")
        told = "" if limit is None else f"{limit} {counted.replace('_', ' ')} per 1 {window}, "
        super().__init__(f"Rate limit exceeded: {told}the quota {quota} of {of}; try again in {retry_after} s.")
        self.quota = quota
        self.limit = limit
        self.retry_after = retry_after


class StoredQuotaError(ForgetlessError):
    """As many memories are stored as the quota of the key or of its tenant allows."""

    code = "stored_memories_exceeded"

    def __init__(self, quota: str, *, of: str, limit: int | None) -> None:
        told = "" if limit is None else f" of {limit}"
        super().__init__(
            f"The quota {quota}{told} of {of} is full: delete memories, or ask the operator for a larger quota."
        )
        self.quota = quota
        self.limit = limit


class TooManyGuessesError(ForgetlessError):
    """Too many unknown keys came from this address. Retry after `retry_after` s; a valid key is looked up then."""

    code = "too_many_invalid_keys"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Too many invalid API keys from this address: try again in {retry_after} s.")
        self.retry_after = retry_after


class TooManyJobsError(ForgetlessError):
    """As many jobs of the tenant as may be open have not ended. Retry after `retry_after` s."""

    code = "too_many_jobs"

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFoundError(ForgetlessError):
    """The tenant has nothing under this id."""

    code = "not_found"


class PreconditionFailedError(ForgetlessError):
    """The memory is no longer at the version that the request names; read it again."""

    code = "precondition_failed"


class ConflictError(ForgetlessError):
    """Another writer was first."""

    code = "conflict"


class TooManyKeysError(ConflictError):
    """The tenant has as many keys as it may have that are neither revoked nor expired."""

    code = "too_many_keys"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"There are {most:,} API keys already that are neither revoked nor expired: revoke those that nobody uses "
            "(DELETE /api-keys/{id}), or ask the operator, whose command line may make more."
        )


class VersionConflictError(ConflictError):
    """An event's version is not the memory's current version plus one."""

    code = "version_conflict"


class LeaseLostError(ConflictError):
    """Another worker has the job or has done it, so nothing was written. Its lease ends in `retry_after` seconds."""

    code = "lease_lost"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ErasedError(ConflictError):
    """The scope of a new memory, message or job was erased after its request was accepted; nothing was written."""

    code = "erased"

    def __init__(self) -> None:
        super().__init__(
            "the memories of this user, agent, app or run were erased while this add was running, so nothing was "
            "stored; send it again to store it anew"
        )


class TenantDeletedError(ErasedError):
    """The tenant is being deleted, so nothing new may be written."""

    code = "tenant_deleted"

    def __init__(self) -> None:
        ConflictError.__init__(self, "this tenant is being deleted: nothing was stored, and its keys end")


class ShownErasedError(ConflictError):
    """A memory or message that the work depends on was deleted meanwhile; nothing was written."""

    code = "shown_erased"


class DuplicateTextError(ConflictError):
    """Live memories of the scope already have these extracted texts; `memory_ids` are those of the refused events."""

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
    """A service that this call needs failed. `retry_after` is in seconds; None means that a retry does not help."""

    code = "dependency_unavailable"

    def __init__(self, message: str, *, retry_after: int | None = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EmbedderError(DependencyError):
    """The embedding service cannot be reached, is overloaded or fails (429 and 5xx)."""

    code = "embedder_unavailable"


class IndexUnavailableError(DependencyError):
    """Milvus did not answer."""

    code = "vector_store_unavailable"


class IndexDamagedError(IndexUnavailableError):
    """Milvus answers but cannot read or write its data, or its collection has other fields than ours."""


class IndexRefusedError(IndexUnavailableError):
    """Milvus refused what should be inserted because of its values: at least one of the rows cannot be stored."""


class LedgerError(DependencyError):
    """The ledger could not be read or written."""

    code = "datastore_unavailable"


class LedgerDamagedError(LedgerError):
    """The ledger's file can no longer be read as a ledger. `reason` says what is wrong, without saying what to do."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class LedgerLostError(LedgerError):
    """The ledger is empty, but the index or a file beside it shows that it once was not."""


class QueueError(DependencyError):
    """The queue did not accept or change a message."""

    code = "queue_unavailable"


class LlmUnavailableError(DependencyError):
    """The LLM cannot be reached, is overloaded or fails (429 and 5xx); `status` is None without an answer."""

    code = "provider_unavailable"

    def __init__(self, message: str, *, retry_after: int | None = 2, status: int | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status


class DeadlineError(DependencyError):
    """The add did not finish before its deadline; its job, `event_id`, continues in the queue."""

    code = "deadline_exceeded"

    def __init__(self, message: str, *, event_id: str, retry_after: int = 5) -> None:
        super().__init__(message, retry_after=retry_after)
        self.event_id = event_id


class BusyError(DependencyError):
    """This process does one thing at a time that takes much memory, and others came first."""

    code = "busy"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=5)


class OutOfTimeError(DependencyError):
    """What the add needs took so long that nothing was stored; a repeat is harmless."""

    code = "deadline_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=5)


class ProviderError(DependencyError):
    """The embedder or the LLM answered, and repeating the call would not give a better answer."""

    code = "provider_bad_reply"

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after=None)

    @property
    def blames_input(self) -> bool:
        """Whether the fault is in what was sent, rather than in the provider, its address or our key."""
        return False


class ProviderAuthError(ProviderError):
    """The provider rejected our key (401 and 403)."""

    code = "provider_auth_failed"


class ProviderRequestError(ProviderError):
    """The provider refused the request with `status`: any 4xx that is not about the key or the load."""

    code = "provider_bad_request"
    #: What the message quotes of the provider's words. They may say in other words what the text said.
    quoted: str = ""

    def __init__(self, message: str, *, status: int, of_any_input: bool = False, quoted: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.quoted = quoted
        #: Whether it is known that the provider refuses an ordinary text as well.
        self.of_any_input = of_any_input

    @property
    def logged(self) -> str:
        """The message without the provider's words."""
        return self.message.replace(self.quoted, "…") if self.quoted else self.message

    @property
    def blames_input(self) -> bool:
        """Whether the provider refused the text itself (400, 413, 422) rather than the address or the model."""
        return self.status in {400, 413, 422} and not self.of_any_input


class EmbedderTextError(ProviderError):
    """The embedder has no vector for some texts, although it takes others; `vectors` has None in their places."""

    code = "provider_bad_request"

    def __init__(self, message: str, vectors: Sequence[list[float] | None]) -> None:
        super().__init__(message)
        self.vectors = vectors

    @property
    def blames_input(self) -> bool:
        return True


class LlmContextError(ProviderRequestError):
    """The LLM refused a request that is longer than its context; a shorter one may be answered."""

    @property
    def blames_input(self) -> bool:
        """Always: whichever status the server has chosen for it, a shorter text is what helps."""
        return True


class EmbedderReplyError(ProviderError):
    """The embedding service's reply has no vectors, or vectors that do not fit the index."""


class LlmReplyError(ProviderError):
    """The LLM's reply is still invalid after one attempt to repair it, or (`misconfigured`) is not an LLM's reply.

    `cut_off` says that it had more to say than it may: asked about less, it may end.
    """

    def __init__(self, message: str, *, misconfigured: bool = False, cut_off: bool = False) -> None:
        super().__init__(message)
        self.misconfigured = misconfigured
        self.cut_off = cut_off

    @property
    def blames_input(self) -> bool:
        """Whether another text might get a valid reply."""
        return not self.misconfigured
