"""The versions of one memory from mem0: its record, and under `history` the rows of mem0's history.db about it.

mem0 notes each change of a text with its time, and nothing else: all other fields of an earlier version are those of
the record. The record is what mem0 holds today, so the last version has its text, whatever the rows say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.memory import Event, EventKind, Memory, line_event_id
from forgetless.service.transfer.mem0_import import foreign_event, given_text, given_time

__all__ = ["foreign_events"]


@dataclass(frozen=True, slots=True)
class _Step:
    """One text that the memory had; the time is empty if nobody noted it."""

    text: str
    at: str


def foreign_events(tenant: str, record: Mapping[str, Any], *, now: str, most_chars: int) -> list[Event]:
    """The events of the memory, the oldest first; raises InvalidRequestError as `foreign_event` does."""
    event = foreign_event(tenant, record, now=now, most_chars=most_chars)
    rows = record.get("history")
    if rows is None:
        return [event]
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidRequestError("history: expected a list of objects, the rows of mem0's table `history`")
    memory, steps = event.memory, _steps(rows, most_chars)
    if not (record.get("created_at") or _payload(record).get("created_at")) and steps and steps[0].at:
        memory = replace(memory, created_at=steps[0].at, updated_at=max(steps[0].at, _given(record, memory)))
    if not steps or steps[-1].text != memory.text:
        steps.append(_Step(memory.text, memory.updated_at))
    return _events(replace(event, memory=memory), steps)


def _events(event: Event, steps: list[_Step]) -> list[Event]:
    last = event.memory
    if len(steps) == 1:
        return [event]
    memory = replace(last, text=steps[0].text, updated_at=last.created_at, event_id=_event_id(last, 1, steps[0].text))
    events = [Event(EventKind.ADD, memory)]
    for version, step in enumerate(steps[1:], 2):
        at = max(step.at, last.updated_at) if version == len(steps) else step.at
        event_id = _event_id(last, version, step.text)
        memory = memory.next_version(at, event_id=event_id, text=step.text)
        events.append(Event(EventKind.UPDATE, memory))
    return events


def _event_id(memory: Memory, version: int, text: str) -> str:
    """The id of the event: the record with its history has one digest, and its versions have others."""
    return line_event_id(json.dumps([memory.event_id, version, text]).encode())


def _steps(rows: list[Mapping[str, Any]], most_chars: int) -> list[_Step]:
    steps: list[_Step] = []
    for row in rows:
        created_at = given_time("history.created_at", row.get("created_at")) or ""
        updated_at = given_time("history.updated_at", row.get("updated_at")) or created_at
        event = row.get("event")
        if event is not None and not isinstance(event, str):
            raise InvalidRequestError("history.event: expected a text")
        if event not in {"ADD", "UPDATE"} or row.get("new_memory") is None:
            continue  # a deletion of something that the record still has, or an event without effect
        if event == "UPDATE" and not steps and row.get("old_memory") is not None:
            steps.append(_Step(given_text("history.old_memory", row["old_memory"], most_chars), created_at))
        at = updated_at if event == "UPDATE" else created_at
        steps.append(_Step(given_text("history.new_memory", row["new_memory"], most_chars), at))
    return steps


def _payload(record: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = record.get("payload")
    return payload if isinstance(payload, Mapping) else {}


def _given(record: Mapping[str, Any], memory: Memory) -> str:
    """The time of the last change if the record names one."""
    return memory.updated_at if record.get("updated_at") or _payload(record).get("updated_at") else ""
