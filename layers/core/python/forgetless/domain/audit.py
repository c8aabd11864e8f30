"""The audit list: who changed what, who was refused, and what administrators read; no text, and no id in clear."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from forgetless.domain.digests import keyed_digest

__all__ = ["AUDIT", "AUDIT_KEY", "MOST_IDS", "AuditEntry", "AuditKind", "scope_digests"]

#: The kinds of documents: some entries of a process, and the key of the tenant's digests.
AUDIT, AUDIT_KEY = "audit", "audit-key"
#: So many ids of each name are noted: more than a batch names, and as many as the filters of a request.
MOST_IDS = 2000


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
    #: How many equal refusals it stands for, which came one after the other; the rest is that of the first.
    times: int = 1

    def takes(self, other: AuditEntry) -> AuditEntry | None:
        """The entry with another one in it; None unless both are refusals of the same key, route and tool."""
        if self._refused is None or self._refused != other._refused:
            return None
        names = {**self.scope, **other.scope}
        scope = {name: (*self.scope.get(name, ()), *other.scope.get(name, ())) for name in names}
        scope = {name: tuple(dict.fromkeys(digests))[:MOST_IDS] for name, digests in scope.items()}
        return replace(self, scope=scope, times=self.times + other.times)

    @property
    def _refused(self) -> tuple[str, str, str | None] | None:
        """What was refused to whom; None for what is no refusal."""
        return (self.key_id, self.route, self.tool) if self.kind is AuditKind.REFUSAL else None

    @property
    def digests(self) -> int:
        """How many digests there are: nearly all of the entry's size."""
        return sum(map(len, self.scope.values()))

    def record(self) -> dict[str, Any]:
        """The entry as plain JSON. An earlier version reads no `times`, which few entries need."""
        record = asdict(self)
        if self.times == 1:
            del record["times"]
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> AuditEntry:
        """The entry that `record()` described."""
        fields = dict(record)
        scope = {name: tuple(digests) for name, digests in fields.pop("scope").items()}
        return cls(kind=AuditKind(fields.pop("kind")), scope=scope, **fields)


def scope_digests(key: bytes, named: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """A keyed digest of each id, by its name: who knows an id and may read the list can look for it."""
    return {name: tuple(_digest(key, name, id_) for id_ in sorted(ids)[:MOST_IDS]) for name, ids in named.items()}


def _digest(key: bytes, name: str, id_: str) -> str:
    return keyed_digest(key, name, unicodedata.normalize("NFC", id_))
