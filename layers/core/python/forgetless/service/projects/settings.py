"""Projects: a tenant's settings for extractions, and the organization and project ids that mem0's clients expect."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, ForbiddenError, NotFoundError
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import DocumentStore
from forgetless.service.document_change import change_document, put_within

__all__ = ["PROJECT", "Project", "ProjectService", "organization_id", "project_id"]

#: The kind of these documents.
PROJECT = "project"

#: The most projects of a tenant.
MOST_PROJECTS = 100
#: The most members of a project.
MOST_MEMBERS = 1000

_UNKNOWN = "Organization or project not found"


def organization_id(tenant: str) -> str:
    """The id of the tenant's organization. It never changes and reveals nothing about the tenant."""
    return f"org_{_digest('organization', tenant)}"


def project_id(tenant: str) -> str:
    """The id of the project in which the tenant's keys work."""
    return f"proj_{_digest('project', tenant)}"


@dataclass(frozen=True, slots=True)
class Project:
    """One project as it is now; `settings` are what clients stored."""

    id: str
    settings: Mapping[str, Any]
    created_at: str | None = None
    updated_at: str | None = None


class ProjectService:
    """The tenant's own project, which always exists, and further projects, which hold only settings."""

    def __init__(self, *, ledger: DocumentStore, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def settings(self, tenant: str) -> Mapping[str, Any]:
        """The settings of the tenant's own project."""
        document = self._ledger.document(tenant, PROJECT, project_id(tenant))
        return {} if document is None else document.body["settings"]

    def get(self, tenant: str, id_: str) -> Project:
        """The project; raises NotFoundError for an unknown id."""
        document = self._ledger.document(tenant, PROJECT, id_)
        if document is None:
            if id_ != project_id(tenant):
                raise NotFoundError(_UNKNOWN)
            return Project(id_, {})
        body = document.body
        return Project(id_, body["settings"], document.created_at, body["updated_at"])

    def create(self, tenant: str, id_: str, settings: Mapping[str, Any]) -> None:
        """Create a further project; raises ConflictError when there are too many, or one with this id already."""
        now = self._clock.now()
        project = Document(tenant, PROJECT, id_, {"settings": dict(settings), "updated_at": now}, now)
        put_within(self._ledger, project, most=MOST_PROJECTS)

    def update(self, tenant: str, id_: str, changes: Mapping[str, Any]) -> None:
        """Set `changes` and leave the other settings as they are; raises NotFoundError."""
        self._change(tenant, id_, lambda settings: {**settings, **changes})

    def set_member(self, tenant: str, id_: str, email: str, role: str | None, *, known: bool = False) -> None:
        """Set a member's role, or remove the member (None).

        Raises NotFoundError for an unknown project and, with `known`, for an unknown member; ConflictError when there
        are too many members.
        """

        def change(settings: Mapping[str, Any]) -> dict[str, Any]:
            members = dict(settings.get("members", {}))
            if known and email not in members:
                raise NotFoundError("Member not found in the project")
            members.pop(email, None)
            if role is not None:
                members[email] = role
            if len(members) > MOST_MEMBERS:
                raise ConflictError(f"There are {MOST_MEMBERS} members already; remove one first.")
            return {**settings, "members": members}

        self._change(tenant, id_, change)

    def _change(self, tenant: str, id_: str, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        def body(held: Document | None) -> dict[str, Any]:
            if held is None and id_ != project_id(tenant):
                raise NotFoundError(_UNKNOWN)
            settings = change({} if held is None else held.body["settings"])
            return {"settings": settings, "updated_at": self._clock.now()}

        change_document(self._ledger, (tenant, PROJECT, id_), body, clock=self._clock)

    def delete(self, tenant: str, id_: str) -> None:
        """Delete a further project; raises NotFoundError, and ForbiddenError for the tenant's own project."""
        if id_ == project_id(tenant):
            raise ForbiddenError("This project belongs to the key and cannot be deleted; delete its memories instead.")
        if not self._ledger.delete_document(tenant, PROJECT, id_):
            raise NotFoundError(_UNKNOWN)


def _digest(kind: str, tenant: str) -> str:
    return hashlib.sha256(f"{kind}\x00{tenant}".encode("utf-8", "surrogatepass")).hexdigest()[:24]
