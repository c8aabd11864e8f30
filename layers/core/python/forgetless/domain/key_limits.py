"""What a limited key may reach: its users, with any run, and of the agents and apps those that are listed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from forgetless.domain.filters.ast import And, Compare, Field, Filter, Operator, Or
from forgetless.domain.filters.scope_ids import with_spellings
from forgetless.domain.identifiers import spellings
from forgetless.domain.scope import Scope

__all__ = ["ANY", "OTHER_USERS", "KeyLimits"]

#: In the list of agents or apps: all of them.
ANY = "*"
#: The message about users beyond the limits.
OTHER_USERS = "This key is limited to certain users: give the user_id of one of them."


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of a key. What has no agent or app is within them; an agent or an app must be listed."""

    users: tuple[str, ...]
    agents: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()

    @property
    def whole_users(self) -> bool:
        """Whether everything of its users is within the limits, whatever agent or app it is of."""
        return ANY in self.agents and ANY in self.apps

    @property
    def digest(self) -> str:
        """Stands for the limits in names of records: what one of these keys is told, others are not."""
        named = [*self.users] if self.whole_users else [*self.users, "", *self.agents, "", *self.apps]
        return hashlib.sha256("\x00".join(named).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def spelled(self) -> KeyLimits:
        """The same limits with every spelling: earlier versions stored ids, also those of keys, as they were given."""
        return KeyLimits(_spelled(self.users), _spelled(self.agents), _spelled(self.apps))

    def allows(self, scope: Scope) -> bool:
        """Whether everything of this scope is within the limits."""
        return scope.user_id in self.users and not self.refusal(scope)

    def refusal(self, scope: Scope) -> str:
        """Why the scope is beyond the limits, naming the field; "" if it is within them."""
        if scope.user_id not in self.users:
            return OTHER_USERS
        if not _listed(scope.agent_id, self.agents):
            return "agent_id: this key may not use this agent; leave it out, or use a key that lists it in agent_ids."
        if not _listed(scope.app_id, self.apps):
            return "app_id: this key may not use this app; leave it out, or use a key that lists it in app_ids."
        return ""

    def condition(self) -> Filter:
        """The filter for what is within the limits."""
        users = Compare(Field("user_id"), Operator.IN, self.users)
        lists = [_in_list(name, ids) for name, ids in (("agent_id", self.agents), ("app_id", self.apps))]
        return with_spellings(And((users, *(one for one in lists if one is not None))))


def _listed(id_: str, ids: tuple[str, ...]) -> bool:
    return not id_ or ANY in ids or id_ in ids


def _in_list(name: str, ids: tuple[str, ...]) -> Filter | None:
    if ANY in ids:
        return None
    absent = Compare(Field(name), Operator.EQ, None)
    return Or((absent, Compare(Field(name), Operator.IN, ids))) if ids else absent


def _spelled(ids: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(spelling for id_ in ids for spelling in spellings(id_)))
