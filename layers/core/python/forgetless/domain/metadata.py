"""The metadata of a memory: its size, and how an update merges into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import MAX_METADATA_BYTES

__all__ = ["METADATA_TOO_LARGE", "check_metadata_size", "merged_metadata", "metadata_bytes"]

METADATA_TOO_LARGE = f"metadata must not be larger than {MAX_METADATA_BYTES} bytes of JSON."


def check_metadata_size(metadata: Mapping[str, Any]) -> None:
    """Raise InvalidRequestError if the metadata is larger than a memory may have."""
    if metadata_bytes(metadata) > MAX_METADATA_BYTES:
        raise InvalidRequestError(METADATA_TOO_LARGE)


def merged_metadata(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata after an update; raises InvalidRequestError if it would grow beyond the limit.

    Each version stores all of it, so without the limit a few updates of allowed size could fill the ledger. Metadata
    that an import or an earlier version made larger may still be changed, if it does not grow.
    """
    merged = {**before, **given}
    size = metadata_bytes(merged)
    if size > MAX_METADATA_BYTES and size > metadata_bytes(before):
        raise InvalidRequestError(
            f"metadata: merged with what the memory has, it would have {size} bytes of JSON; at most "
            f"{MAX_METADATA_BYTES} are allowed. Set keys that are no longer needed to null."
        )
    return merged


def metadata_bytes(metadata: Mapping[str, Any]) -> int:
    """How large the metadata is as JSON."""
    return len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
