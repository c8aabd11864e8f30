"""Entries of batch calls."""

from __future__ import annotations

from typing import Any

from local.emulator.sqs.errors import (
    EmptyBatchError,
    EntryIdsNotDistinctError,
    InvalidParameterError,
    SqsError,
    TooManyEntriesError,
)

MAX_ENTRIES = 10


def entries_of(members: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a batch.

    Raises:
        SqsError: none, too many, or two with one id.
    """
    entries = members.get("Entries") or []
    if not entries:
        raise EmptyBatchError("There should be at least one entry in the request.")
    if len(entries) > MAX_ENTRIES:
        raise TooManyEntriesError(
            f"Maximum number of entries per request are {MAX_ENTRIES}. You have sent {len(entries)}."
        )
    ids = [entry.get("Id") for entry in entries]
    if not all(isinstance(key, str) and key for key in ids):
        raise InvalidParameterError("Every entry of a batch needs an Id.")
    for key in ids:
        if ids.count(key) > 1:
            raise EntryIdsNotDistinctError(f"Id {key} repeated.")
    return list(entries)


def failed_entry(key: str, error: SqsError) -> dict[str, Any]:
    """Return what a batch's answer says of a refused entry."""
    return {"Id": key, "Code": error.query_code, "Message": error.message, "SenderFault": True}
