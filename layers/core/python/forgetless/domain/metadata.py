"""The metadata of a memory: its size, and how an update merges into it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.limits import MAX_METADATA_BYTES, MAX_METADATA_VALUES

__all__ = ["METADATA_TOO_LARGE", "check_metadata_size", "count_values", "merged_metadata", "metadata_bytes"]

METADATA_TOO_LARGE = f"metadata must not be larger than {MAX_METADATA_BYTES} bytes of JSON."


def check_metadata_size(metadata: Mapping[str, Any], *, merges: bool = False) -> None:
    """Raise InvalidRequestError if the metadata is larger than a memory may have; if it `merges`, in bytes alone."""
    if metadata_bytes(metadata) > MAX_METADATA_BYTES:
        raise InvalidRequestError(METADATA_TOO_LARGE)
    if not merges and count_values(metadata) > MAX_METADATA_VALUES:
        raise InvalidRequestError(
            f"metadata must not have more than {MAX_METADATA_VALUES:,} keys and list entries together."
        )


def merged_metadata(before: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata after an update; raises InvalidRequestError if it would grow beyond a limit.

    Each version stores all of it, so without the limit a few updates of allowed size could fill the ledger. Metadata
    that an import or an earlier version made larger may still be changed, if it does not grow.
    """
    merged = {**before, **given}
    _check_growth(metadata_bytes(merged), metadata_bytes(before), MAX_METADATA_BYTES, "bytes of JSON")
    _check_growth(count_values(merged), count_values(before), MAX_METADATA_VALUES, "keys and list entries")
    return merged


def _check_growth(size: int, before: int, most: int, what: str) -> None:
    if size > most and size > before:
        raise InvalidRequestError(
            f"metadata: merged with what the memory has, it would have {size} {what}; at most {most} are allowed. Set "
            "keys that are no longer needed to null."
        )


def count_values(metadata: Mapping[str, Any]) -> int:
    """How many keys and list entries it has, at all levels: each takes a process more memory than its JSON."""
    found = 0
    waiting: list[Mapping[str, Any] | list[Any]] = [metadata]
    while waiting:
        one = waiting.pop()
        found += len(one)
        waiting += [
            value for value in (one.values() if isinstance(one, Mapping) else one) if isinstance(value, list | Mapping)
        ]
    return found


def metadata_bytes(metadata: Mapping[str, Any]) -> int:
    """How large the metadata is as JSON."""
    return len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
