"""Whose keys hold after a restore: those of the ledger that the copy replaces, or else those of the copy.

What was revoked after the copy was made must not be valid again. The replaced ledger knows it, so its keys, quotas,
webhooks and log-ins are taken. Where it cannot be read, the operator is told what the copy brings back.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.access import Access, put_access, read_access
from forgetless.cli.text import printable
from forgetless.domain.erasure_log import are_related
from forgetless.domain.limits import MOST_WEBHOOKS
from forgetless.domain.quotas import QUOTAS
from forgetless.domain.webhooks import WEBHOOK, from_document
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.ledger import Ledger
from forgetless.service.access.oauth_grants import is_grant
from forgetless.service.stores.ledger_identity import IDENTITY, read_identity

__all__ = ["AS_ASKED", "OF_TABLE", "Kept", "keep_access", "told_access"]

#: Why the keys of the copy hold.
AS_ASKED = "as you asked"
OF_TABLE = "nothing tells which were revoked since"
_NO_LEDGER = "there was no ledger in its place"
_UNREADABLE = "the replaced ledger cannot be read"
_ANOTHER = "the replaced ledger is another one than the copy's"

#: The kinds of documents that are taken: where texts are sent, and what is allowed.
_TAKEN = (WEBHOOK, QUOTAS)
#: So many tenants are named.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _InForce:
    """What may be used of a tenant: hashes of keys, and ids of webhooks."""

    keys: frozenset[str]
    webhooks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Kept:
    """How many keys and webhooks could be used in the copy, and in the replaced ledger can no longer be used."""

    keys: int
    webhooks: int


def keep_access(place: Path, staged: Path, log: ErasureLog) -> Kept | str:
    """Give the copy at `staged` the keys of the ledger at `place`, and what else says who may use it.

    Returns why not, if nothing can be taken: then the copy is as it was.
    """
    if not place.is_file() or place.stat().st_size == 0:
        return _NO_LEDGER
    held = read_access(place, kinds=(*_TAKEN, IDENTITY), is_log_in=is_grant, workplace=staged.parent)
    if held is None:
        return _UNREADABLE
    with closing(SqliteLedger(staged)) as ledger:
        if not _is_of_the_same(held, ledger, log):
            # A service that was started without its ledger has begun another one, which knows no key of the copy.
            return _ANOTHER
        before = dict(_in_force(ledger))
    put_access(staged, held, kinds=_TAKEN)
    with closing(SqliteLedger(staged)) as ledger:
        after = dict(_in_force(ledger))
    nothing = _InForce(frozenset(), frozenset())
    lost = [(one, after.get(tenant, nothing)) for tenant, one in before.items()]
    return Kept(
        sum(len(one.keys - now.keys) for one, now in lost), sum(len(one.webhooks - now.webhooks) for one, now in lost)
    )


def told_access(ledger: Ledger, kept: Kept | str) -> list[str]:
    """What the operator is told: whose keys hold and, if they are the copy's, how to look at them."""
    if isinstance(kept, Kept):
        lost = _counted(kept.keys, kept.webhooks)
        since = f"; {lost} of the copy had been revoked, had ended or were gone there, and stay so" if lost else ""
        return [
            f"keys, quotas, webhooks and log-ins are those of the replaced ledger{since}; with --keys-of-copy, those "
            "of the copy would be"
        ]
    found = {tenant: one for tenant, one in _in_force(ledger) if one.keys or one.webhooks}
    if not found:
        return ["the restored ledger has no valid keys"]
    all_ = _counted(sum(len(one.keys) for one in found.values()), sum(len(one.webhooks) for one in found.values()))
    tenants = [(shlex.quote(printable(tenant)), found[tenant]) for tenant in sorted(found)]
    return [
        f"warning: {all_} of the copy hold again ({kept}): keys that were revoked or limited, log-ins that were "
        "revoked and webhooks that were deleted after the copy was made are valid",
        "look at the keys of each tenant, and revoke those that must not be valid:",
        *(
            f"  forgetless keys list --tenant {name}    # {_counted(len(one.keys), len(one.webhooks))}"
            for name, one in tenants[:_SHOWN]
        ),
        *([f"  and so on, for {len(tenants) - _SHOWN:,} more tenants"] if len(tenants) > _SHOWN else []),
        "  forgetless keys revoke ID --tenant NAME",
        "look at webhooks in the console, or with GET /api/v1/webhooks/projects/ID/ and DELETE /api/v1/webhooks/ID/",
    ]


def _is_of_the_same(held: Access, ledger: Ledger, log: ErasureLog) -> bool:
    """Whether the replaced ledger is the one that was copied, or was restored from one of its copies."""
    own = read_identity(ledger)
    known = {str(one.body["id"]) for one in held.documents if one.kind == IDENTITY}
    if own is not None and own.id in known:
        return True
    return are_related(log.lines(), held.incarnation, ledger.incarnation())


def _in_force(ledger: Ledger) -> Iterator[tuple[str, _InForce]]:
    """What may be used of each tenant that has keys."""
    now = SystemClock().now()
    for tenant in ledger.tenants_with_keys():
        keys = frozenset(key.hash for key in ledger.keys(tenant) if not key.refused_at(now))
        documents, _ = ledger.documents(tenant, WEBHOOK, limit=MOST_WEBHOOKS)
        active = frozenset(one.id for one in documents if from_document(one).is_active)
        yield tenant, _InForce(keys, active)


def _counted(keys: int, webhooks: int) -> str:
    told = [
        f"{number:,} {what}{'s' * (number != 1)}" for number, what in ((keys, "key"), (webhooks, "webhook")) if number
    ]
    return " and ".join(told)
