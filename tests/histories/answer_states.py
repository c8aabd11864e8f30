"""Reads the memories in the service's answers into the form of the recorded history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.histories.history import EventSeen, State

__all__ = ["event_of_export", "event_of_history", "state"]

_SCOPE = ("user_id", "agent_id", "app_id", "run_id")


def state(item: Mapping[str, Any]) -> State:
    """Read a memory of a get, list, search or update, in either dialect; fields that it lacks are absent or null."""
    seen: State = {
        "id": item["id"],
        "text": item["memory"],
        "metadata": item["metadata"] or {},
        "expiration": item.get("expiration_date"),
        # Self-hosted, then Platform.
        "superseded_by": item.get("superseded_by") or item.get("replaced_by"),
        "scope": {name: item[name] for name in _SCOPE if item.get(name)},
    }
    if "version" in item:
        seen["version"] = int(item["version"])
    details = item.get("score_details")
    if details is not None:
        seen["words"] = float(details["bm25_raw"] or 0.0)
    return seen


def event_of_history(item: Mapping[str, Any]) -> EventSeen:
    """Read one event of `GET …/history`, in either dialect."""
    seen: EventSeen = {"id": item["memory_id"], "event": item["event"], "text": item["new_memory"] or ""}
    if "version" in item:
        seen["version"] = int(item["version"])
    if "metadata" in item:  # Platform's
        seen["metadata"] = item["metadata"] or {}
    return seen


def event_of_export(line: bytes | str) -> EventSeen | None:
    """Read one line of an export, or of a ledger; None if it is not an event."""
    record = json.loads(line)
    if record.get("type") != "event":
        return None
    memory = record["memory"]
    return {
        "id": memory["id"],
        "version": memory["version"],
        "text": memory.get("text", ""),
        "metadata": memory.get("metadata", {}),
        "expiration": memory.get("expiration_date"),
        "superseded_by": memory.get("superseded_by"),
        "scope": memory["scope"],
        "event": record["kind"],
        "job": memory["job_id"],
        "position": memory.get("position", 0),
    }
