"""Scope: the exact tuple (tenant, user, agent, app, run) that a memory belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["NARROWEST_FIRST", "SCOPE_IDS", "Scope"]

#: The ids that a client may give. The first one that is present names the writer's lease.
SCOPE_IDS = ("user_id", "agent_id", "app_id", "run_id")
#: The same ids, the narrowest first: a run has fewer memories than its user, and a user fewer than an agent.
NARROWEST_FIRST = ("run_id", "user_id", "agent_id", "app_id")


@dataclass(frozen=True, slots=True)
class Scope:
    """One exact scope. An absent id is the empty string, because the index has no nulls."""

    tenant: str
    user_id: str = ""
    agent_id: str = ""
    app_id: str = ""
    run_id: str = ""

    def ids(self) -> dict[str, str]:
        """The ids that are present, by name."""
        return {name: value for name in SCOPE_IDS if (value := getattr(self, name))}

    def key(self) -> str:
        """A digest of the exact tuple, used for deduplication and to find context."""
        return _digest(self.tenant, *(getattr(self, name) for name in SCOPE_IDS))

    def writer_key(self) -> str:
        """The key of the writer's lease and of the queue's message group: the tenant and the first id present."""
        name, value = next(iter(self.ids().items()), ("", ""))
        return _digest(self.tenant, name, value)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
