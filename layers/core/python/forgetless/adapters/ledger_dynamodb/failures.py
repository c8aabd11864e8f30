"""The errors of DynamoDB, classified by what to do about them."""

from __future__ import annotations

from typing import Any

from forgetless.domain.errors import LedgerError

__all__ = ["ContendedError", "LockedError", "RetryableError", "classify"]

#: Another writer was first, or is writing now: read again, then write again.
_CONTENDED = frozenset({"ConditionalCheckFailedException", "TransactionConflictException"})
_CONTENDED_REASONS = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict"})

#: Too many calls at once: send the same call again after a while.
_THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingError",
        "ThrottlingException",
        "LimitExceededException",
    }
)
#: The service itself failed, or is still doing our first try: send the same call again to learn its result.
_STUMBLES = frozenset(
    {
        "InternalServerError",
        "InternalFailure",
        "ServiceUnavailable",
        "TransactionInProgressException",
        *("500", "502", "503", "504"),
    }
)

_CREDENTIALS = (
    "AccessDeniedException",
    "ExpiredTokenException",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "UnrecognizedClientException",
)

#: Errors that waiting does not fix, with what they mean for the operator.
_FINAL = {
    **dict.fromkeys(_CREDENTIALS, "the AWS credentials do not give access to"),
    "ResourceNotFoundException": (
        "check FORGETLESS_LEDGER_TABLE, FORGETLESS_ERASURES_TABLE and the region, because DynamoDB does not find"
    ),
}

#: Seconds that a client should wait when the table is throttled; longer than after a broken connection.
_THROTTLED_RETRY_AFTER = 5


class ContendedError(Exception):
    """A condition did not hold, or another transaction is running: read again, then write again."""


class LockedError(Exception):
    """An item is part of another process's staged commit."""

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.stage = stage


class RetryableError(LedgerError):
    """The same call may succeed a moment later."""


def classify(error: Exception, table: str) -> Exception:
    """An error of botocore as a ContendedError, a RetryableError or a permanent LedgerError."""
    from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004, PLC0415

    if isinstance(error, ClientError):
        return _answered(error.response, table)
    name = type(error).__name__
    if isinstance(error, ConnectionError | HTTPClientError):
        return RetryableError(f"the ledger's table {table} does not answer ({name})")
    # No credentials, no region or a wrong endpoint: waiting does not help.
    return LedgerError(f"the ledger's table {table} cannot be accessed ({name})")


def _answered(response: Any, table: str) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CONTENDED:
        return ContendedError(code)
    if code == "TransactionCanceledException":
        return _cancelled(response, table)
    if code in _THROTTLES:
        return _throttled(code, table)
    if code in _STUMBLES or status >= 500:
        return RetryableError(f"DynamoDB failed on the ledger's table {table} ({code or status})")
    return LedgerError(f"{_FINAL.get(code, 'DynamoDB refused a call on')} the ledger's table {table} ({code})")


def _cancelled(response: Any, table: str) -> Exception:
    codes = {str(reason.get("Code", "None")) for reason in response.get("CancellationReasons", ())}
    if codes <= _CONTENDED_REASONS:
        return ContendedError("TransactionCanceledException")
    if codes <= _CONTENDED_REASONS | _THROTTLES:
        return _throttled("a throttled transaction", table)
    return LedgerError(f"DynamoDB refused a transaction on the ledger's table {table} ({', '.join(sorted(codes))})")


def _throttled(code: str, table: str) -> RetryableError:
    return RetryableError(f"the ledger's table {table} is throttled ({code})", retry_after=_THROTTLED_RETRY_AFTER)
