"""The lines of an export: one JSON object per line. The same ledger gives the same bytes; no line names the tenant.

{"format": "forgetless-events", "version": 1, "erasures": {…}}   the last part only after an erasure
{"type": "job", …, "messages": […]}       newest first; messages are the context when the index is rebuilt
{"type": "event", "kind": "ADD", "memory": {…}}   by memory, the oldest first, and then by version
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, replace
from typing import Any

from forgetless.domain.erasure_log import Moment
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, line_event_id
from forgetless.domain.memory_fields import STORED, Kind
from forgetless.domain.scope import Scope

__all__ = ["HEADER", "event_line", "header_line", "header_moment", "is_header", "job_line", "parse_line", "read_record"]

#: The content of the first line.
HEADER = {"format": "forgetless-events", "version": 1}


def is_header(record: Mapping[str, Any]) -> bool:
    """Whether this is the first line of an export; raises InvalidRequestError for an unknown version."""
    if record.get("format") != HEADER["format"]:
        return False
    if record.get("version") != HEADER["version"]:
        raise InvalidRequestError(
            f"this export has version {record.get('version')!r}, but this Forgetless reads {HEADER['version']}: "
            "import it with the Forgetless that wrote it or a later one"
        )
    return True


def header_line(moment: Moment | None = None) -> bytes:
    """The first line. It names the moment of the export if the tenant has erased anything before."""
    if moment is None or not moment.last:
        return _line(HEADER)
    return _line({**HEADER, "erasures": {"incarnation": moment.incarnation, "last": moment.last}})


def header_moment(record: Mapping[str, Any]) -> Moment | None:
    """The moment that the first line names; None if it names none."""
    held = record.get("erasures")
    if not isinstance(held, Mapping):
        return None
    try:
        return Moment(str(held["incarnation"]), int(held["last"]))
    except (KeyError, TypeError, ValueError):
        return None


def event_line(event: Event) -> bytes:
    """The line of one event. An event without an id (older data) gets the id that an import would give it."""
    return _line(_event_record(identified(event)))


def identified(event: Event) -> Event:
    """The event with an id: its own, or a digest of its line when it has none."""
    if event.memory.event_id:
        return event
    return replace(event, memory=replace(event.memory, event_id=line_event_id(_line(_event_record(event)))))


def _event_record(event: Event) -> dict[str, Any]:
    return {"type": "event", "kind": event.kind.value, "memory": _memory_body(event.memory)}


def job_line(job: Job, messages: Sequence[Message]) -> bytes:
    """The line of one job, with those of its raw messages that still exist."""
    body: dict[str, Any] = {"type": "job", "id": job.id, "scope": job.scope.ids(), "state": job.state.value}
    for one in fields(Job):
        if one.name not in {"id", "scope", "state", "erasures_before"}:
            value = getattr(job, one.name)
            body |= {} if _is_default(one, value) else {one.name: value}
    body["messages"] = [_message_body(job, message) for message in messages]
    return _line(body)


def parse_line(line: bytes | str) -> Any:
    """The value of a line of JSON; raises InvalidRequestError when it is not JSON."""
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidRequestError(f"not JSON: {error}") from None
    except RecursionError:
        raise InvalidRequestError("it nests too deeply to be read") from None


def read_record(tenant: str, record: Mapping[str, Any]) -> Event | tuple[Job, list[Message]]:
    """The event or job of a line, for this tenant; raises InvalidRequestError for a line that no export writes."""
    try:
        if record["type"] == "event":
            return identified(Event(EventKind(record["kind"]), _memory(tenant, record["memory"])))
        if record["type"] == "job":
            return _job(tenant, record)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"not a line of an export: {error!r}") from None
    raise InvalidRequestError(f"not a line of an export: type {record['type']!r}")


def _memory_body(memory: Memory) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for one in STORED:
        value = getattr(memory, one.name)
        if one.kind is Kind.SCOPE:
            body[one.name] = memory.scope.ids()
        elif one.kind is Kind.REFS:
            body |= {one.name: [[ref.job_id, ref.position] for ref in value]} if value else {}
        elif one.exported and (one.required or value != one.empty()):
            body[one.name] = value
    return body


def _is_default(one: Field[Any], value: Any) -> bool:
    if one.default is not MISSING:
        return bool(value == one.default)
    return one.default_factory is not MISSING and value == one.default_factory()


def _memory(tenant: str, body: Mapping[str, Any]) -> Memory:
    values = dict(body)
    values["scope"] = Scope(tenant, **values["scope"])
    for one in STORED:
        if one.kind is Kind.TEXTS:
            given = values.get(one.name, ())
            values[one.name] = (None,) if isinstance(given, str) else tuple(given)  # not the letters of a text
        elif one.kind is Kind.REFS:
            values[one.name] = tuple(MessageRef(*ref) for ref in values.get(one.name, ()))
    return Memory(**values)


def _message_body(job: Job, message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {
        "position": message.ref.position,
        "role": message.role,
        "content": message.content,
        "created_at": message.created_at,
    }
    if message.name is not None:
        body["name"] = message.name
    if message.scope != job.scope:
        body["scope"] = message.scope.ids()
    return body


def _job(tenant: str, body: Mapping[str, Any]) -> tuple[Job, list[Message]]:
    values = {name: value for name, value in body.items() if name not in {"type", "messages"}}
    values |= {"scope": Scope(tenant, **values["scope"]), "state": JobState(values["state"])}
    values["results"] = tuple(values.get("results", ()))
    job = Job(**values)
    messages = [
        Message(
            MessageRef(job.id, said["position"]),
            Scope(tenant, **said["scope"]) if "scope" in said else job.scope,
            said["role"],
            said["content"],
            said["created_at"],
            said.get("name"),
        )
        for said in body["messages"]
    ]
    return job, messages


def _line(record: Mapping[str, Any]) -> bytes:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=_plain)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate, which only an escape sequence can represent
        return json.dumps(record, separators=(",", ":"), default=_plain).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"an export cannot contain {type(value).__name__}")
