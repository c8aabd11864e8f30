"""Two states of one key, of which nobody knows for sure which is later: what holds is what allows less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from forgetless.domain.keys import ApiKey

__all__ = ["stricter"]


def stricter(key: ApiKey, others: Iterable[ApiKey]) -> ApiKey:
    """The key as it is, but revoked, ended or limited where another state of it is.

    Nothing makes a key valid again. Only a service that starts with it in its settings gives it more rights than it
    had, and does so again at its next start. Quotas stay those of `key`: they may be raised, too.
    """
    for other in others:
        key = replace(
            key,
            revoked=key.revoked or other.revoked,
            expires_at=_first(key.expires_at, other.expires_at),
            replaced_until=_first(key.replaced_until, other.replaced_until),
            role=key.role if other.role.allows(key.role) else other.role,
        )
        if not (key.users or key.agents or key.apps):
            key = replace(key, users=other.users, agents=other.agents, apps=other.apps)
    return key


def _first(one: str | None, other: str | None) -> str | None:
    return min((end for end in (one, other) if end is not None), default=None)
