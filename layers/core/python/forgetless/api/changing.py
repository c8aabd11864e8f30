"""Changes of a memory: from what a client asks in any dialect to a checked request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.api.checking import check_expiration_date, check_metadata
from forgetless.domain.errors import InvalidRequestError
from forgetless.service.requests import UpdateRequest

__all__ = ["update_request"]


def update_request(
    tenant: str,
    memory_id: str,
    *,
    text: str | None,
    metadata: Mapping[str, Any] | None,
    expiration_date: str | None,
    clear_expiration: bool = False,
) -> UpdateRequest:
    """What is None stays; raises InvalidRequestError naming the field that is wrong."""
    if text is not None and not text.strip():
        raise InvalidRequestError("text must not be empty; delete the memory to forget it.")
    return UpdateRequest(
        tenant=tenant,
        memory_id=memory_id,
        text=text,
        metadata=None if metadata is None else check_metadata(metadata),
        expiration_date=None if expiration_date is None else check_expiration_date(expiration_date),
        clear_expiration=clear_expiration,
    )
