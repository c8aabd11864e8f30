"""Known names: what the ledger keeps of the names of speakers, so that a question can be embedded without them.

A name is kept, as a digest, in two records: with those of the place where it was said (a user, an agent and an app,
like `Scope.speaker`), and with all of its user. Only who may read everything of a user uses the latter. A record tells
for each name the scopes in which it was said, at most three, so that an erasure of these takes it away again. It is
bounded: what one place has said never decides what is kept of another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from forgetless.domain.digests import keyed_digest
from forgetless.domain.names import MOST_NAMES, NO_NAMES, NameSet
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.domain.speakers import LEAST_PREFIXES, OFTEN, KnownPrefixes

__all__ = [
    "KnownName",
    "NameOwner",
    "NameRecord",
    "Noted",
    "NoteworthyName",
    "Spoken",
    "as_set",
    "names_key",
    "noted",
    "owner_key",
    "owner_keys",
    "scope_digests",
]

#: In how many scopes a name is recorded. Of others nothing is known, so it is recorded again when these are erased.
_MOST_SCOPES = 3
#: How many names a record has at most. A question is embedded as asked when there are more than MOST_NAMES.
_MOST_KEPT = MOST_NAMES + 10


def names_key(digest_key: bytes, tenant: str) -> bytes:
    """The key of the digests of the tenant's names."""
    return keyed_digest(digest_key, "names", tenant).encode()


def scope_digests(digest_key: bytes, tenant: str, ids: Mapping[str, str]) -> dict[str, str]:
    """What stands for the ids of a scope in lists that outlive them."""
    return {name: keyed_digest(digest_key, "scope", tenant, name, value) for name, value in ids.items() if value}


@dataclass(frozen=True, slots=True)
class NameOwner:
    """Whose names a record has: all of a user, or those of one place."""

    #: Without the run, unless the scope has nothing else.
    scope: Scope
    whole_user: bool = False

    @classmethod
    def user(cls, tenant: str, user_id: str) -> NameOwner:
        """The owner of everything that a user said, to whatever agent or app."""
        return cls(Scope(tenant, user_id=user_id), whole_user=True)

    @classmethod
    def place(cls, scope: Scope) -> NameOwner:
        """The owner of what is said in scopes with the same speaker as this one."""
        return cls(scope.speaker())

    @classmethod
    def all_of(cls, scope: Scope) -> list[NameOwner]:
        """The owners of what is said in the scope."""
        return [cls.place(scope), *([cls.user(scope.tenant, scope.user_id)] if scope.user_id else [])]

    def key(self, digest_key: bytes) -> str:
        """What the record is found by."""
        return owner_key(scope_digests(digest_key, self.scope.tenant, self.scope.ids()), whole_user=self.whole_user)


@dataclass(frozen=True, slots=True)
class Spoken:
    """That something was said in a scope: an erasure may cover it (`domain.erasures.Accepted`)."""

    scope: Scope
    erasures_before: int


def owner_key(digests: Mapping[str, str], *, whole_user: bool) -> str:
    """The key of the record of an owner with these `scope_digests`."""
    return keyed_digest(b"", "whole" if whole_user else "place", *(digests.get(name, "") for name in SCOPE_IDS))


def owner_keys(digests: Mapping[str, str]) -> list[str]:
    """The keys of the records that may have names which were said in the scope with these `scope_digests`."""
    speaker = {name: digest for name, digest in digests.items() if name != "run_id"} or digests
    user = {name: digest for name, digest in digests.items() if name == "user_id"}
    return [owner_key(speaker, whole_user=False), *([owner_key(user, whole_user=True)] if user else [])]


@dataclass(frozen=True, slots=True)
class NoteworthyName:
    """A name that may have to be recorded: its digest, and how it was used."""

    digest: str
    #: Whether a message had it as `name`.
    given: bool = False
    #: Digests of messages that it was a prefix of; no more than two count.
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownName:
    """A name in a record, as it was used in one exact scope."""

    digest: str
    #: Digests of the ids of the scope, under the key of the tenant's erasure markers.
    ids: Mapping[str, str]
    #: As in `Memory`: a later erasure of the scope covers it.
    erasures_before: int
    given: bool = False
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class NameRecord:
    """The names of one owner."""

    entries: tuple[KnownName, ...] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """The digests of those that are names of speakers, and not only a prefix that may be one."""
        places: defaultdict[tuple[str, ...], list[KnownName]] = defaultdict(list)
        for entry in self.entries:
            places[_place(entry)].append(entry)
        often = (_used(entries, OFTEN) for entries in places.values())
        speakers = {digest for digests in often if len(digests) >= LEAST_PREFIXES for digest in digests}
        return frozenset(speakers | {entry.digest for entry in self.entries if entry.given})

    def prefixes(self, key: bytes, *, besides: Collection[str] = ()) -> KnownPrefixes:
        """How often each prefix was used, besides in the messages with these digests; `key` is that of names."""
        often = _used(self.entries, OFTEN, besides)
        return KnownPrefixes(once=NameSet(key, _used(self.entries, 1, besides) - often), often=NameSet(key, often))


def as_set(key: bytes, records: Iterable[NameRecord]) -> NameSet:
    """The names of speakers in all of the records; none if there are too many to take them out of a question."""
    names = frozenset(name for record in records for name in record.names)
    return NameSet(key, names) if 0 < len(names) <= MOST_NAMES else NO_NAMES


@dataclass(frozen=True, slots=True)
class Noted:
    """What changes in a record: entries that replace those of the same name and scope, and names that are left out."""

    put: tuple[KnownName, ...] = ()
    left_out: tuple[str, ...] = ()


def noted(held: Sequence[KnownName], new: Iterable[NoteworthyName], ids: Mapping[str, str], number: int) -> Noted:
    """What changes when these names have been used in the scope with these `ids`; most often nothing.

    `held` is the record without what an erasure hides.
    """
    entries: defaultdict[str, list[KnownName]] = defaultdict(list)
    for entry in held:
        entries[entry.digest].append(entry)
    put: list[KnownName] = []
    left_out: list[str] = []
    for name in new:
        mine = entries[name.digest]
        if _tells_nothing(name, mine):
            continue
        here = next((entry for entry in mine if entry.ids == ids), None)
        if here is None and len(mine) >= _MOST_SCOPES:
            continue
        if not mine and sum(map(bool, entries.values())) >= _MOST_KEPT:
            doubtful = [digest for digest, those in entries.items() if those and not _is_certain(those)]
            if not doubtful:
                continue
            left_out.append(min(doubtful))
            del entries[min(doubtful)]
        was = here or KnownName(name.digest, ids, number)
        uses = tuple(dict.fromkeys((*was.uses, *name.uses)))[:OFTEN]
        put.append(
            replace(was, given=was.given or name.given, uses=uses, erasures_before=max(was.erasures_before, number))
        )
        entries[name.digest] = [*(entry for entry in mine if entry is not here), put[-1]]
    return Noted(tuple(put), tuple(left_out))


def _tells_nothing(name: NoteworthyName, mine: Sequence[KnownName]) -> bool:
    known = {use for entry in mine for use in entry.uses}
    return (not name.given or any(entry.given for entry in mine)) and (
        len(known) >= OFTEN or known.issuperset(name.uses)
    )


def _is_certain(entries: Sequence[KnownName]) -> bool:
    return any(entry.given for entry in entries) or bool(_used(entries, OFTEN))


def _used(entries: Iterable[KnownName], times: int, besides: Collection[str] = ()) -> frozenset[str]:
    """The names that were used as a prefix at least so many times."""
    uses: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        uses[entry.digest].update(use for use in entry.uses if use not in besides)
    return frozenset(digest for digest, those in uses.items() if len(those) >= times)


def _place(entry: KnownName) -> tuple[str, ...]:
    """What entries of one place have in common."""
    speaker = [name for name in SCOPE_IDS if name != "run_id"]
    return tuple(entry.ids.get(name, "") for name in speaker)
