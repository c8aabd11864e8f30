"""The lines of an export: one JSON object per line. The same ledger gives the same bytes; no line names the tenant.

{"format": "forgetless-events", "version": 1, "erasures": {…}}   the last part only after an erasure
{"type": "job", …, "messages": […]}       newest first; messages are the context when the index is rebuilt
{"type": "event", "kind": "ADD", "memory": {…}}   by memory, the oldest first, and then by version

A line of something that was accepted after an erasure that ran during the export names that moment itself, under
"erasures", in the form of the first line.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, Field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar

from forgetless.domain.erasure_log import Moment
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef, line_event_id
from forgetless.domain.memory_fields import STORED, Kind
from forgetless.domain.scope import SCOPE_IDS, Scope

__all__ = ["HEADER", "event_line", "header_line", "is_header", "job_line", "moment_of", "parse_line", "read_record"]

_Kind = TypeVar("_Kind", bound=StrEnum)

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
    return _line({**HEADER, **_moment_body(moment)})


def _moment_body(moment: Moment | None) -> dict[str, Any]:
    if moment is None:
        return {}
    return {"erasures": {"incarnation": moment.incarnation, "last": moment.last}}


def moment_of(record: Mapping[str, Any]) -> Moment | None:
    """The moment that the first line, or another one for itself, names; None if it names none."""
    held = record.get("erasures")
    if not isinstance(held, Mapping):
        return None
    try:
        return Moment(str(held["incarnation"]), int(held["last"]))
    except (KeyError, TypeError, ValueError):
        return None


def event_line(event: Event, moment: Moment | None = None) -> bytes:
    """The line of one event. An event without an id (older data) gets the id that an import would give it.

    With a `moment`, only what was erased after it covers the memory.
    """
    return _line({**_event_record(identified(event)), **_moment_body(moment)})


def identified(event: Event) -> Event:
    """The event with an id: its own, or a digest of its line when it has none."""
    if event.memory.event_id:
        return event
    return replace(event, memory=replace(event.memory, event_id=line_event_id(_line(_event_record(event)))))


def _event_record(event: Event) -> dict[str, Any]:
    return {"type": "event", "kind": event.kind.value, "memory": _memory_body(event.memory)}


def job_line(job: Job, messages: Sequence[Message], moment: Moment | None = None) -> bytes:
    """The line of one job, with those of its raw messages that still exist; `moment` as in `event_line`."""
    scope = {} if job.erased else job.scope.ids()  # its rows may still be there for a moment
    body: dict[str, Any] = {"type": "job", "id": job.id, "scope": scope, "state": job.state.value}
    for one in fields(Job):
        if one.name not in {"id", "scope", "state", "erasures_before"}:
            value = getattr(job, one.name)
            body |= {} if _is_default(one, value) else {one.name: value}
    body["messages"] = [_message_body(job, message) for message in messages]
    return _line({**body, **_moment_body(moment)})


def parse_line(line: bytes | str) -> Any:
    """The value of a line of JSON; raises InvalidRequestError when it is not JSON."""
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidRequestError(f"not JSON: {error}") from None
    except RecursionError:
        raise InvalidRequestError("it nests too deeply to be read") from None


def read_record(tenant: str, record: Mapping[str, Any]) -> Event | tuple[Job, list[Message]]:
    """The event or job of a line, for this tenant; raises InvalidRequestError for a line that no export writes.

    The error names the field.
    """
    type_ = _given(record, "type")
    if type_ == "event":
        kind = _one_of(EventKind, "kind", _given(record, "kind"))
        return identified(Event(kind, _memory(tenant, _given(record, "memory"))))
    if type_ == "job":
        return _job(tenant, record)
    raise InvalidRequestError(f"type: {type_!r} is not that of a line of an export; expected event or job")


def _given(body: Any, name: str, *, within: str = "") -> Any:
    """The value of a field that every line has; `within` is the object that it is in, such as `memory.`."""
    if not isinstance(body, Mapping):
        raise InvalidRequestError(f"{within.removesuffix('.')}: expected an object")
    if name not in body:
        raise InvalidRequestError(f"{within}{name}: it is missing")
    return body[name]


def _one_of(kinds: type[_Kind], name: str, given: Any) -> _Kind:
    try:
        return kinds(given)
    except ValueError:
        raise InvalidRequestError(f"{name}: {given!r} is none of {', '.join(kinds)}") from None


def _list(given: Any, name: str) -> Sequence[Any]:
    if isinstance(given, list | tuple):
        return given
    raise InvalidRequestError(f"{name}: expected a list")


def _scope(tenant: str, given: Any, name: str) -> Scope:
    if not isinstance(given, Mapping) or not set(SCOPE_IDS).issuperset(given):
        raise InvalidRequestError(f"{name}: expected an object with some of {', '.join(SCOPE_IDS)}")
    if not all(isinstance(value, str) for value in given.values()):
        raise InvalidRequestError(f"{name}: expected ids as texts")
    return Scope(tenant, **given)


def _check_names(body: Mapping[str, Any], known: Collection[str], *, within: str) -> None:
    """Raise InvalidRequestError for a field that this version does not know: it would be lost."""
    unknown = next((name for name in body if name not in known), None)
    if unknown is not None:
        raise InvalidRequestError(f"{within}{unknown}: this Forgetless knows no such field; a later one wrote the file")


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
    for one in STORED:
        if one.required:
            _given(body, one.name, within="memory.")
    _check_names(body, {one.name for one in STORED}, within="memory.")
    values = dict(body)
    for one in STORED:
        name = f"memory.{one.name}"
        if one.kind is Kind.SCOPE:
            values[one.name] = _scope(tenant, values[one.name], name)
        elif one.kind is Kind.TEXTS:
            values[one.name] = tuple(_list(values.get(one.name, ()), name))
        elif one.kind is Kind.REFS:
            values[one.name] = tuple(_ref(ref, name) for ref in _list(values.get(one.name, ()), name))
    return Memory(**values)


def _ref(given: Any, name: str) -> MessageRef:
    if isinstance(given, list | tuple) and len(given) == 2:
        return MessageRef(*given)
    raise InvalidRequestError(f"{name}: expected a list of pairs of a job's id and a position")


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
    values = {name: value for name, value in body.items() if name not in {"type", "messages", "erasures"}}
    for name in ("id", "scope", "state", "created_at", "updated_at"):
        _given(values, name)
    _check_names(values, {one.name for one in fields(Job)}, within="")
    values["scope"] = _scope(tenant, values["scope"], "scope")
    values["state"] = _one_of(JobState, "state", values["state"])
    values["results"] = tuple(_list(values.get("results", ()), "results"))
    job = Job(**values)
    given = _list(_given(body, "messages"), "messages")
    return job, [_message(job, said, f"messages[{place}].") for place, said in enumerate(given)]


def _message(job: Job, said: Any, within: str) -> Message:
    position, role, content, created_at = (
        _given(said, name, within=within) for name in ("position", "role", "content", "created_at")
    )
    scope = _scope(job.tenant, said["scope"], f"{within}scope") if "scope" in said else job.scope
    return Message(MessageRef(job.id, position), scope, role, content, created_at, said.get("name"))


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
