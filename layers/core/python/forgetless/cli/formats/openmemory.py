"""OpenMemory's records, in memories.json and in the lines of memories.jsonl.gz, as those of mem0's lists.

OpenMemory hides paused and archived memories from its searches and can bring them back. So they get an expiration date
long ago: no search shows them, lists with `show_expired` do, and a new date brings them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forgetless.cli.formats.notes import Notes
from forgetless.domain.errors import InvalidRequestError

__all__ = ["Surroundings", "as_listed", "is_openmemory"]

#: The date of memories that are hidden.
HIDDEN_SINCE = "1970-01-01"
_HIDDEN_STATES = frozenset({"paused", "archived"})
_HIDDEN = (
    f"hidden, because OpenMemory has paused or archived them (they get expiration_date {HIDDEN_SINCE}, and metadata "
    "openmemory_state)"
)


def is_openmemory(record: Mapping[str, Any]) -> bool:
    """Whether the record is one of OpenMemory's exports."""
    return "content" in record and "state" in record and not {"memory", "data", "payload"}.intersection(record)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What memories.json says besides its memories; the lines of memories.jsonl.gz have no such thing."""

    user: str | None = None
    #: Names by ids.
    apps: Mapping[Any, str] = field(default_factory=dict)
    categories: Mapping[Any, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Surroundings:
        """Those of an object of which these fields have been read."""
        user = fields.get("user")
        name = user.get("user_id") if isinstance(user, Mapping) else None
        named = name if isinstance(name, str) and name else None
        return cls(named, _names(fields.get("apps")), _names(fields.get("categories")))


def as_listed(record: Mapping[str, Any], user: str | None, around: Surroundings, notes: Notes) -> dict[str, Any] | None:
    """The record as an item of mem0's lists; None if OpenMemory has deleted it.

    The `user` is the one of a file that names none. Raises InvalidRequestError if nobody names one.
    """
    owner = around.user or user
    if owner is None:
        raise InvalidRequestError("OpenMemory's memories name no user here: say whose they are with --user ID")
    state, metadata = record["state"], record.get("metadata") or {}
    if state == "deleted":
        notes.count("left out, because OpenMemory has deleted them")
        return None
    listed = {
        "id": record.get("id"),
        "memory": record["content"],
        "user_id": owner,
        "app_id": record["app"] if "app" in record else around.apps.get(record.get("app_id")),
        "metadata": metadata,
        "categories": _categories(record, around),
        "created_at": record.get("created_at"),
        "updated_at": record.get("updated_at"),
    }
    if state in _HIDDEN_STATES and isinstance(metadata, Mapping):
        notes.count(_HIDDEN)
        listed |= {"expiration_date": HIDDEN_SINCE, "metadata": {**metadata, "openmemory_state": state}}
    return listed


def _categories(record: Mapping[str, Any], around: Surroundings) -> Any:
    if "category_ids" not in record:
        given = record.get("categories") or []
        return sorted(given) if isinstance(given, list) and all(isinstance(one, str) for one in given) else given
    return sorted(around.categories[one] for one in record["category_ids"] or [] if one in around.categories)


def _names(entries: Any) -> dict[Any, str]:
    named = entries if isinstance(entries, list) else []
    return {one["id"]: one["name"] for one in named if isinstance(one, Mapping) and {"id", "name"} <= one.keys()}
