"""Converts domain objects to JSON bodies and bytes for the ledger, and back. Both ledgers use it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from forgetless.domain.digests import keyed_digest
from forgetless.domain.erasures import Erasure, ErasureMarker, MarkedTarget, Target, marked
from forgetless.domain.jobs import Job, JobState
from forgetless.domain.known_names import KnownName
from forgetless.domain.loaded_bytes import count_loaded
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.memory_fields import STORED, Kind
from forgetless.domain.scope import Scope

__all__ = [
    "digest_of_name",
    "dump",
    "dump_job",
    "dump_marker",
    "dump_memory",
    "dump_message",
    "dump_names",
    "dump_targets",
    "from_blob",
    "load",
    "load_job",
    "load_marker",
    "load_memory",
    "load_message",
    "load_names",
    "load_targets",
    "scope_columns",
    "to_blob",
]

#: Marks a body that only the standard library can read back unchanged. It is white space, so the body stays JSON.
_STANDARD = b" "

#: A memory's fields by their form in a body: always present, as a list of pairs, as a list of texts.
_MEMORY_FIELDS = frozenset(field.name for field in STORED)
_REQUIRED = tuple(field.name for field in STORED if field.required and field.kind is not Kind.SCOPE)
_REFS = tuple(field.name for field in STORED if field.kind is Kind.REFS)
_TEXTS = tuple(field.name for field in STORED if field.kind is Kind.TEXTS)
#: The other fields, each with the value that means "no value".
_DEFAULTS = tuple((field.name, field.empty()) for field in STORED if not field.required and field.kind is not Kind.REFS)


def to_blob(text: str) -> bytes:
    """Any Python text as bytes, including lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def from_blob(blob: bytes) -> str:
    """The text of `to_blob`."""
    return blob.decode("utf-8", "surrogatepass")


def digest_of_name(key: bytes, name: str) -> bytes:
    """What stands for the name of a request, a lease or a page end, which may hold ids."""
    return to_blob(keyed_digest(key, "name", name))


def dump(value: Any) -> bytes:
    """JSON that `load` reads back unchanged. orjson writes it, unless it has lone surrogates or large integers."""
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        return _STANDARD + json.dumps(value, default=_plain, separators=(",", ":")).encode("ascii")


def load(body: bytes) -> Any:
    """The value of `dump`."""
    count_loaded(body)
    return json.loads(body) if body.startswith(_STANDARD) else orjson.loads(body)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a ledger body cannot contain {type(value).__name__}")


def scope_columns(scope: Scope) -> tuple[bytes | None, bytes | None, bytes | None, bytes | None]:
    """The columns user_id, agent_id, app_id and run_id."""
    return (
        to_blob(scope.user_id) if scope.user_id else None,
        to_blob(scope.agent_id) if scope.agent_id else None,
        to_blob(scope.app_id) if scope.app_id else None,
        to_blob(scope.run_id) if scope.run_id else None,
    )


def dump_memory(memory: Memory) -> bytes:
    """The body of a memory: everything except the tenant and fields with their default."""
    scope = memory.scope
    body: dict[str, Any] = {name: getattr(memory, name) for name in _REQUIRED}
    body["scope"] = (scope.user_id, scope.agent_id, scope.app_id, scope.run_id)
    for name, default in _DEFAULTS:
        value = getattr(memory, name)
        if value != default:
            body[name] = value
    for name in _REFS:
        refs: tuple[MessageRef, ...] = getattr(memory, name)
        if refs:
            body[name] = [(ref.job_id, ref.position) for ref in refs]
    return dump(body)


def load_memory(tenant: str, body: bytes) -> Memory:
    """The memory of `dump_memory`."""
    values = load(body)
    values["scope"] = Scope(tenant, *values["scope"])
    for name in _TEXTS:
        if name in values:
            values[name] = tuple(values[name])
    for name in _REFS:
        if name in values:
            values[name] = tuple(MessageRef(*ref) for ref in values[name])
    try:
        return Memory(**values)
    except TypeError:  # a later version wrote it: fields that we do not know are left out
        return Memory(**{name: value for name, value in values.items() if name in _MEMORY_FIELDS})


def dump_message(message: Message) -> bytes:
    """The body of a message: everything that has no column of its own."""
    number = message.erasures_before
    return dump((message.role, message.content, message.name, *((number,) if number else ())))


def load_message(tenant: str, row: Sequence[Any]) -> Message:
    """The message of the columns job_id, position, created_at, user_id, agent_id, app_id, run_id, body."""
    job_id, position, created_at, *ids, body = row
    role, content, name, *number = load(body)
    scope = Scope(tenant, *(from_blob(value) if value is not None else "" for value in ids))
    return Message(MessageRef(from_blob(job_id), position), scope, role, content, created_at, name, *number)


def dump_job(job: Job) -> bytes:
    """The body of a job: everything except the tenant and the request."""
    scope = job.scope
    # Written only where they say something, so that the version before can read the other jobs.
    erasure = {"erasures_before": job.erasures_before, "erased": job.erased}
    return dump(
        {
            "id": job.id,
            "scope": (scope.user_id, scope.agent_id, scope.app_id, scope.run_id),
            "state": str(job.state),
            "created_at": job.created_at,
            "updated_at": job.updated_at,
            "attempts": job.attempts,
            "lease_owner": job.lease_owner,
            "lease_until": job.lease_until,
            "started_at": job.started_at,
            "completed_at": job.completed_at,
            "results": job.results,
            "error": job.error,
            **{name: value for name, value in erasure.items() if value},
        }
    )


def load_job(tenant: str, body: bytes, request: bytes) -> Job:
    """The job of `dump_job`; an empty `request` means that it was erased."""
    values = load(body)
    values["request"] = load(request) if request else {}
    values["scope"] = Scope(tenant, *values["scope"])
    values["state"] = JobState(values["state"])
    values["results"] = tuple(values["results"])
    return Job(**values)


def dump_targets(targets: Sequence[Target]) -> bytes:
    """The targets of an erasure, in clear."""
    return dump([(target.ids, target.names) for target in targets])


def load_targets(body: bytes) -> tuple[Target, ...]:
    """The targets of `dump_targets`."""
    return tuple(Target(ids, tuple(names)) for ids, names in load(body))


def dump_marker(key: bytes, erasure: Erasure) -> bytes:
    """The marker of an erasure, without its number."""
    return dump([(target.digests, target.names) for target in marked(key, erasure.targets)])


def dump_names(entries: Sequence[KnownName]) -> bytes:
    """The names of a record."""
    return dump([(one.digest, one.ids, one.erasures_before, one.given, one.uses) for one in entries])


def load_names(body: bytes) -> tuple[KnownName, ...]:
    """The names of `dump_names`."""
    return tuple(KnownName(digest, ids, before, given, tuple(uses)) for digest, ids, before, given, uses in load(body))


def load_marker(number: int, body: bytes) -> ErasureMarker:
    """The marker of `dump_marker`."""
    return ErasureMarker(number, tuple(MarkedTarget(digests, tuple(names)) for digests, names in load(body)))
