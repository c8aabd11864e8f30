"""Scope: the exact tuple (tenant, user, agent, app, run) that a memory belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

__all__ = ["NARROWEST_FIRST", "SCOPE_IDS", "Scope"]

#: The ids that a client may give.
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

    def speaker(self) -> Scope:
        """The scope without its run, unless it has nothing else.

        What is said in a scope is compared with, and may supersede, only what was said in scopes with the same speaker.
        """
        return replace(self, run_id="") if self.user_id or self.agent_id or self.app_id else self

    def writer_key(self) -> str:
        """The key of the writer's lease and of the queue's message group: adds of one speaker follow one another."""
        ids = self.speaker().ids()
        if len(ids) == 1:
            ((name, value),) = ids.items()
            return _digest(self.tenant, name, value)
        return _digest(self.tenant, *(ids.get(name, "") for name in SCOPE_IDS))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
