"""The audit list: who changed what, who was refused, and what administrators read; no text, and no id in clear."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from forgetless.domain.digests import keyed_digest

__all__ = ["AUDIT", "AUDIT_KEY", "AuditEntry", "AuditKind", "scope_digests"]

#: The kinds of documents: some entries of a process, and the key of the tenant's digests.
AUDIT, AUDIT_KEY = "audit", "audit-key"
#: A request may name a thousand ids; so many of each name are noted.
_MOST_IDS = 10


class AuditKind(StrEnum):
    """Why a request is in the list."""

    CHANGE = "change"
    REFUSAL = "refusal"
    READ = "administrator's read"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One request. `scope` has a digest of each id that it named, by the name of the id."""

    kind: AuditKind
    key_id: str
    #: The method and the pattern of the path.
    route: str
    status: int
    request_id: str
    at: str = ""
    #: The tool, if it was a call of one over MCP.
    tool: str | None = None
    scope: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The entry as plain JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> AuditEntry:
        """The entry that `record()` described."""
        fields = dict(record)
        scope = {name: tuple(digests) for name, digests in fields.pop("scope").items()}
        return cls(kind=AuditKind(fields.pop("kind")), scope=scope, **fields)


def scope_digests(key: bytes, named: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """A keyed digest of each id, by its name: who knows an id and may read the list can look for it."""
    return {name: tuple(_digest(key, name, id_) for id_ in sorted(ids)[:_MOST_IDS]) for name, ids in named.items()}


def _digest(key: bytes, name: str, id_: str) -> str:
    return keyed_digest(key, name, unicodedata.normalize("NFC", id_))
