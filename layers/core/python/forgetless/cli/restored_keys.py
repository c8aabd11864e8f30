"""Whose keys hold after a restore: those of the ledger that the copy replaces, or else those of the copy.

What was revoked after the copy was made must not be valid again. The replaced ledger knows it, so its keys, quotas,
webhooks and log-ins are taken, unless it is older than the copy. A key or log-in that either of them revoked, ended or
limited stays so. Where the replaced ledger cannot be read, the operator is told what the copy brings back.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.adapters.ledger_sqlite.access import Access, LogIn, put_access, read_access
from forgetless.cli.text import printable
from forgetless.domain.documents import Document
from forgetless.domain.erasure_log import are_related
from forgetless.domain.errors import LedgerError
from forgetless.domain.keys import ApiKey
from forgetless.domain.limits import MOST_WEBHOOKS
from forgetless.domain.quotas import QUOTAS, Quotas
from forgetless.domain.stricter_keys import stricter
from forgetless.domain.webhooks import WEBHOOK, from_document
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.ledger import Ledger
from forgetless.service.access.key_pages import unrevoked_keys
from forgetless.service.access.oauth_grants import is_grant, is_revoked
from forgetless.service.stores.copy_marks import COPIES, knows_copy
from forgetless.service.stores.ledger_identity import IDENTITY, read_identity

__all__ = ["AS_ASKED", "OF_TABLE", "Kept", "keep_access", "told_access"]

#: Why the keys of the copy hold.
AS_ASKED = "as you asked"
OF_TABLE = "nothing tells which were revoked since"
_NO_LEDGER = "there was no ledger in its place"
_UNREADABLE = "the replaced ledger cannot be read"
_ANOTHER = "the replaced ledger is another one than the copy's"

#: The kinds of documents that are taken: where texts are sent, what is allowed, and which copies the ledger that they
#: come from knows, so that the next restore finds them to be later than those copies, too.
_TAKEN = (WEBHOOK, QUOTAS, COPIES)
#: What reads a document of each kind, or raises an error.
_READERS: Mapping[str, Callable[[Document], object]] = {
    WEBHOOK: from_document,
    QUOTAS: lambda one: Quotas.of(one.body).in_force(),
    COPIES: lambda one: knows_copy([one], ()),
    IDENTITY: lambda one: one.body["id"],
}
#: Why keys of the replaced ledger can no longer be used.
_DELETED_AGAIN = (
    "this tenant was made anew after a deletion, and the copy has the tenant from before it, which is deleted again; "
    "make new keys when `forgetless tenants deletions` says that this has ended"
)
_NOT_OF_COPY = "the copy does not have them, or has them as revoked"
#: So many tenants are named.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _InForce:
    """What may be used of a tenant: hashes of keys, and ids of webhooks."""

    keys: frozenset[str]
    webhooks: frozenset[str]


_NOTHING = _InForce(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class Kept:
    """What was done with the access of the replaced ledger, if it can be read and is the copy's."""

    #: Whether it is older than the copy, whose access holds then.
    older: bool
    #: How many keys and webhooks could be used in the copy, and no longer can be.
    keys: int
    webhooks: int
    #: The hashes of the keys that could be used in the replaced ledger, by tenant.
    replaced: Mapping[str, frozenset[str]]


def keep_access(place: Path, staged: Path, log: ErasureLog) -> Kept | str:
    """Give the copy at `staged` the keys of the ledger at `place`, and what else says who may use it.

    If that ledger is older than the copy, only what it revoked, ended or limited is taken. Returns why not, if nothing
    can be taken: then the copy is as it was.
    """
    if not place.is_file() or place.stat().st_size == 0:
        return _NO_LEDGER
    held = read_access(place, kinds=(*_TAKEN, IDENTITY), is_log_in=is_grant, workplace=staged.parent)
    if held is None or not _is_readable(held):
        return _UNREADABLE
    with closing(SqliteLedger(staged)) as ledger:
        if not _is_of_the_same(held, ledger, log):
            # A service that was started without its ledger has begun another one, which knows no key of the copy.
            return _ANOTHER
        before = dict(_in_force(ledger))
    own = read_access(staged, kinds=(COPIES,), is_log_in=is_grant, workplace=staged.parent)
    if own is None:
        raise LedgerError(f"the keys of the copy cannot be read from {staged}; restore another copy")
    older = _is_older(held, own)
    if older:
        put_access(staged, replace(own, keys=_strict(own, held), log_ins=_revoked(held)), kinds=())
    else:
        # The last record counts: what the copy has as revoked stays so.
        log_ins = (*held.log_ins, *_revoked(own))
        put_access(staged, replace(held, keys=_strict(held, own), log_ins=log_ins), kinds=_TAKEN)
    with closing(SqliteLedger(staged)) as ledger:
        after = dict(_in_force(ledger))
    lost = [(one, after.get(tenant, _NOTHING)) for tenant, one in before.items()]
    return Kept(
        older,
        sum(len(one.keys - now.keys) for one, now in lost),
        sum(len(one.webhooks - now.webhooks) for one, now in lost),
        _valid(held.keys),
    )


def told_access(ledger: Ledger, kept: Kept | str) -> list[str]:
    """What the operator is told: whose keys hold and, if they are the copy's, how to look at them."""
    if isinstance(kept, Kept):
        return [*_told_kept(kept), *_told_gone(ledger, kept.replaced)]
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


def _is_readable(held: Access) -> bool:
    """Whether its documents can be understood: a row may be damaged, and SQLite notices nothing."""
    try:
        for one in held.documents:
            _READERS[one.kind](one)
    except (LookupError, ValueError, TypeError, AttributeError):
        return False
    return True


def _is_of_the_same(held: Access, ledger: Ledger, log: ErasureLog) -> bool:
    """Whether the replaced ledger is the one that was copied, or was restored from one of its copies."""
    own = read_identity(ledger)
    known = {str(one.body["id"]) for one in held.documents if one.kind == IDENTITY}
    if own is not None and own.id in known:
        return True
    return are_related(log.lines(), held.incarnation, ledger.incarnation())


def _is_older(held: Access, own: Access) -> bool:
    """Whether the replaced ledger is older than the copy, or went back to a time before it.

    Each backup notes its name in the ledger, so one that has been in use since knows the name. For a copy without one,
    the creation of keys tells: only the deletion of a tenant removes keys, so tenants that both have are compared.
    """
    knows = knows_copy(held.documents, own.documents)
    if knows is not None:
        return not knows
    theirs, ours = _newest(held.keys), _newest(own.keys)
    return any(ours[tenant] > theirs[tenant] for tenant in theirs.keys() & ours.keys())


def _newest(keys: Iterable[ApiKey]) -> dict[str, str]:
    """When the newest key of each tenant was made."""
    newest: dict[str, str] = {}
    for key in keys:
        newest[key.tenant] = max(newest.get(key.tenant, ""), key.created_at)
    return newest


def _strict(chosen: Access, other: Access) -> tuple[ApiKey, ...]:
    """The keys of one file, revoked, ended or limited where the other has them so."""
    others = {key.hash: key for key in other.keys}
    return tuple(stricter(key, [others[key.hash]] if key.hash in others else []) for key in chosen.keys)


def _revoked(access: Access) -> tuple[LogIn, ...]:
    return tuple(one for one in access.log_ins if is_revoked(one.state))


def _valid(keys: Iterable[ApiKey]) -> dict[str, frozenset[str]]:
    """The hashes of the keys that may be used, by tenant."""
    now = SystemClock().now()
    valid: defaultdict[str, set[str]] = defaultdict(set)
    for key in keys:
        if not key.refused_at(now):
            valid[key.tenant].add(key.hash)
    return {tenant: frozenset(hashes) for tenant, hashes in valid.items()}


def _told_kept(kept: Kept) -> Iterator[str]:
    lost = _counted(kept.keys, kept.webhooks)
    if kept.older:
        since = f"; {lost} of the copy had been revoked or had ended there" if lost else ""
        yield (
            "keys, quotas, webhooks and log-ins are those of the copy, because the replaced ledger is older, or went "
            f"back to a time before the copy; keys and log-ins that it had revoked or limited stay so{since}"
        )
        return
    since = f"; {lost} of the copy had been revoked, had ended or were gone there, and stay so" if lost else ""
    yield (
        "keys, quotas, webhooks and log-ins are those of the replaced ledger, which is not older than the copy"
        f"{since}; with --keys-of-copy, those of the copy would be"
    )


def _told_gone(ledger: Ledger, replaced: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """How many keys that could be used in the replaced ledger no longer can be, and why."""
    now = {tenant: one.keys for tenant, one in _in_force(ledger)}
    gone = {tenant: len(keys - now.get(tenant, frozenset())) for tenant, keys in sorted(replaced.items())}
    gone = {tenant: number for tenant, number in gone.items() if number}
    if not gone:
        return
    yield f"warning: {_counted(sum(gone.values()), 0)} of the replaced ledger can no longer be used:"
    for tenant, number in list(gone.items())[:_SHOWN]:
        why = _DELETED_AGAIN if ledger.erasure_state(tenant).closed else _NOT_OF_COPY
        yield f"  {shlex.quote(printable(tenant))}: {_counted(number, 0)}; {why}"
    if len(gone) > _SHOWN:
        yield f"  and so on, for {len(gone) - _SHOWN:,} more tenants"


def _in_force(ledger: Ledger) -> Iterator[tuple[str, _InForce]]:
    """What may be used of each tenant that has keys."""
    now = SystemClock().now()
    for tenant in ledger.tenants_with_keys():
        keys = frozenset(key.hash for key in unrevoked_keys(ledger, tenant) if not key.refused_at(now))
        documents, _ = ledger.documents(tenant, WEBHOOK, limit=MOST_WEBHOOKS)
        active = frozenset(one.id for one in documents if from_document(one).is_active)
        yield tenant, _InForce(keys, active)


def _counted(keys: int, webhooks: int) -> str:
    told = [
        f"{number:,} {what}{'s' * (number != 1)}" for number, what in ((keys, "key"), (webhooks, "webhook")) if number
    ]
    return " and ".join(told)
