"""PersonExport: all that the ledger holds about one user, agent, app or run, as lines, in bounded portions.

Memories and jobs have the form of a whole export (`domain/export_lines.py`). Records that only name the person come
with what names them: feedback, requests of exports, bulk jobs, deliveries, keys, settings and audited requests. Lists
that no id leads to are read whole, a page in each portion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forgetless.domain.bulk_jobs import BULK_JOB, BulkJob, owners_of
from forgetless.domain.documents import Document
from forgetless.domain.erasure_receipts import scope_digests_of
from forgetless.domain.erasures import Target
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.export_lines import event_line, job_line
from forgetless.domain.identifiers import all_spellings, id_text, spellings
from forgetless.domain.jobs import Job
from forgetless.domain.keys import ApiKey
from forgetless.domain.memory import Message
from forgetless.domain.schema_exports import EXPORT
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.domain.webhook_deliveries import DELIVERY
from forgetless.domain.webhooks import WEBHOOK
from forgetless.ports.ledger import Ledger
from forgetless.service.access.audit import AuditLog
from forgetless.service.history_portions import light_page
from forgetless.service.merged_lists import list_spelled
from forgetless.service.projects.feedback import FEEDBACK
from forgetless.service.projects.settings import PROJECT
from forgetless.service.transfer.event_export import removed_job
from forgetless.service.transfer.jobs_with_messages import jobs_page, removed_jobs_page

__all__ = ["PersonExport", "PersonPortion"]

_FORMAT = {"format": "forgetless-person", "version": 1}
#: How many records a portion looks at: memories with their histories, and all others.
_MEMORIES, _PAGE = 50, 200
#: A shorter id is no word that would be looked for within texts of settings.
_LEAST_WORD = 3


@dataclass(frozen=True, slots=True)
class PersonPortion:
    """Some lines, and the cursor of the next portion (None at the end)."""

    lines: bytes
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Person:
    """Who it is about: the ids in each of their spellings."""

    tenant: str
    ids: Mapping[str, str]

    @property
    def spelled(self) -> list[dict[str, str]]:
        return all_spellings(self.ids)

    @property
    def values(self) -> set[str]:
        return {value for ids in self.spelled for value in ids.values()}

    def owns(self, scope: Scope) -> bool:
        return any(all(getattr(scope, name) == value for name, value in ids.items()) for ids in self.spelled)

    def named_in(self, value: Any, path: str = "", *, of_id: bool = False) -> Iterator[tuple[str, str]]:
        """The texts that name the person, each with its place in the value; also numbers that stand for an id."""
        if isinstance(value, Mapping):
            for key, inner in value.items():
                place = f"{path}.{key}" if path else str(key)
                if self._in(str(key)):
                    yield place, str(key)
                yield from self.named_in(inner, place, of_id=of_id or key in SCOPE_IDS)
        elif isinstance(value, list | tuple):
            for number, inner in enumerate(value):
                yield from self.named_in(inner, f"{path}[{number}]", of_id=of_id)
        elif isinstance(text := id_text(value) if of_id else value, str) and self._in(text):
            yield path, text

    def _in(self, text: str) -> bool:
        spelled = spellings(text.strip())
        return any(
            value in spelled or (len(value) >= _LEAST_WORD and re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text))
            for value in self.values
        )


_Part = Callable[[_Person, str | None], tuple[list[bytes], str | None]]


class PersonExport:
    """Writes what a ledger holds about a person; what an erasure covers is not in it."""

    def __init__(self, *, ledger: Ledger, audit: AuditLog) -> None:
        self._ledger = ledger
        self._audit = audit
        kinds = (EXPORT, BULK_JOB, DELIVERY, PROJECT, WEBHOOK)
        #: The parts of an export in their order.
        self._parts: dict[str, _Part] = {
            "memories": self._memories,
            "jobs": self._jobs,
            "messages": self._messages,
            **{kind: self._documents(kind) for kind in kinds},
            "keys": self._keys,
            "audit": self._audited,
        }

    def portions(self, tenant: str, ids: Mapping[str, str]) -> Iterator[bytes]:
        """The lines of all portions."""
        cursor: str | None = None
        while True:
            portion = self.portion(tenant, ids, cursor)
            yield portion.lines
            cursor = portion.cursor
            if cursor is None:
                return

    def portion(self, tenant: str, ids: Mapping[str, str], cursor: str | None = None) -> PersonPortion:
        """The portion at the cursor; it looks at a bounded number of records, and may have no lines.

        Raises InvalidRequestError for no ids, or ids that no scope has, and for a cursor that no export gave.
        """
        if not ids or not set(ids) <= set(SCOPE_IDS) or not all(ids.values()):
            raise InvalidRequestError(f"name whom the export is about by one or more of {', '.join(SCOPE_IDS)}")
        person, names = _Person(tenant, ids), list(self._parts)
        part, _, place = (f"{names[0]}." if cursor is None else cursor).partition(".")
        if part not in self._parts:
            raise InvalidRequestError("cursor: it does not come from this export; leave it out to start")
        lines, following = self._parts[part](person, place or None)
        if cursor is None:
            lines.insert(0, _line({**_FORMAT, "ids": dict(ids)}))
        if following is not None:
            return PersonPortion(b"".join(lines), f"{part}.{following}")
        later = names[names.index(part) + 1 :]
        return PersonPortion(b"".join(lines), f"{later[0]}." if later else None)

    def _memories(self, person: _Person, place: str | None) -> tuple[list[bytes], str | None]:
        """Each memory with its whole history, and the feedback on it."""
        tenant = person.tenant
        page = light_page(
            lambda few: list_spelled(self._ledger, tenant, person.ids, limit=few, cursor=place, superseded=True),
            _MEMORIES,
        )
        lines: list[bytes] = []
        for memory in page.items:
            lines += [event_line(event) for event in self._ledger.history(tenant, memory.id)]
            feedback = self._ledger.document(tenant, FEEDBACK, memory.id)
            if feedback is not None:
                lines.append(_line({"type": "feedback", "memory_id": memory.id, **feedback.body}))
        return lines, page.cursor

    def _jobs(self, person: _Person, place: str | None) -> tuple[list[bytes], str | None]:
        jobs, following = jobs_page(self._ledger, person.tenant, limit=_PAGE, cursor=place)
        return [line for job, messages in jobs for line in _lines_of(person, job, messages)], following

    def _messages(self, person: _Person, place: str | None) -> tuple[list[bytes], str | None]:
        """Messages of jobs that retention has removed."""
        found, following = removed_jobs_page(self._ledger, person.tenant, limit=_PAGE, cursor=place, of=person.owns)
        return [line for said in found for line in _lines_of(person, removed_job(said), said)], following

    def _documents(self, kind: str) -> _Part:
        def part(person: _Person, place: str | None) -> tuple[list[bytes], str | None]:
            found, following = self._ledger.documents(person.tenant, kind, limit=_PAGE, cursor=place)
            lines = (self._of_document(person, document) for document in found)
            return [line for line in lines if line is not None], following

        return part

    def _of_document(self, person: _Person, document: Document) -> bytes | None:
        named = dict(person.named_in(document.body))
        record = {"type": document.kind, "id": document.id, "created_at": document.created_at}
        if document.kind == BULK_JOB:
            job = BulkJob.of(document)
            about = bool(named) or self._is_digest_of(person, job)
            return _line({**record, **{name: document.body[name] for name in _OF_JOB}}) if about else None
        request = {"request": document.body} if document.kind == EXPORT else {}
        return _line({**record, **request, "names": named}) if named else None

    def _is_digest_of(self, person: _Person, job: BulkJob) -> bool:
        """Whether a bulk job that has ended is about the person: it has digests only."""
        key, targets = self._ledger.digest_key(), [Target(ids) for ids in person.spelled]
        users = [ids["user_id"] for ids in person.spelled if "user_id" in ids]
        scopes = scope_digests_of(key, person.tenant, targets)
        return bool(set(owners_of(key, person.tenant, users)) & set(job.owners)) or any(
            scope in scopes for scope in job.request.get("scope", ())
        )

    def _keys(self, person: _Person, place: str | None) -> tuple[list[bytes], str | None]:
        """The keys that are limited to the person; other ids that they are limited to are left out."""
        keys, following = self._ledger.all_keys(person.tenant, limit=_PAGE, cursor=place)
        return [
            _line({**_key_of(key), "names": named})
            for key in keys
            if (named := dict(person.named_in({"users": key.users, "agents": key.agents, "apps": key.apps})))
            or (named := dict(person.named_in({"label": key.label})))
        ], following

    def _audited(self, person: _Person, place: str | None) -> tuple[list[bytes], str | None]:
        """The requests of the last 90 days that named the person."""
        named = {name: [value] for name, value in person.ids.items()}
        page = self._audit.page(person.tenant, limit=_PAGE, cursor=place, named=named)
        return [_line({"type": "audit", **entry.record()}) for entry in page.entries], page.cursor


#: What a bulk job's line has.
_OF_JOB = ("kind", "state", "updated_at", "request", "done", "counts")


def _lines_of(person: _Person, job: Job, messages: Sequence[Message]) -> Iterator[bytes]:
    """The line of a job with the messages of the person; of somebody else's job, only these."""
    own = [message for message in messages if person.owns(message.scope)]
    if person.owns(job.scope):
        yield job_line(job, own)
    elif own:
        yield job_line(replace(job, scope=own[0].scope, request={}, results=()), own)


def _key_of(key: ApiKey) -> dict[str, Any]:
    shown = {"id": key.id, "prefix": key.prefix, "role": str(key.role), "created_at": key.created_at}
    return {"type": "api_key", **shown, "label": key.label, "revoked": key.revoked}


def _line(record: Mapping[str, Any]) -> bytes:
    # ASCII, because an id may have a lone surrogate.
    return json.dumps(record, separators=(",", ":"), default=dict).encode("ascii") + b"\n"
