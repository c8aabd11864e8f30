"""KnownNames: the names of speakers that a search, or the rows of a scope, may leave out; and the noting of new ones.

A copy of a record is at most TENANT_COPY_S old, so a search reads the ledger once more at most. An erasure that this
process begins ends its copies at once; in other processes, a name may be left out of a question for so long.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from forgetless.domain.digests import keyed_digest
from forgetless.domain.errors import DependencyError
from forgetless.domain.filters.ast import Filter
from forgetless.domain.filters.scope_ids import pinned_ids, pinned_values
from forgetless.domain.known_names import NameOwner, NameRecord, NoteworthyName, Spoken, as_set, names_key, noted
from forgetless.domain.limits import TENANT_COPY_S
from forgetless.domain.memory import Memory, Message, MessageRef
from forgetless.domain.names import NO_NAMES, NameSet, name_digest
from forgetless.domain.said import Said
from forgetless.domain.scope import Scope
from forgetless.domain.speakers import NO_PREFIXES, KnownPrefixes, message_of, name_uses, read_speakers
from forgetless.ports.clock import Clock
from forgetless.ports.request_ledger import RequestLedger

__all__ = ["KnownNames", "PlaceNames"]

_logger = logging.getLogger(__name__)

#: The records of at most so many users and places are copied, those that were used last.
_MOST_COPIES = 2000
#: A filter that pins more users than this pins none: each is a record of its own.
_MOST_USERS = 8
#: So many names of one add are noted. The others are when they are said again.
_MOST_NOTED = 20
_DIGEST_CHARS = 16
_NOTHING = NameRecord()


@dataclass(frozen=True, slots=True)
class PlaceNames:
    """What rows of a place need to know: the names of its speakers, and which prefixes were used there before."""

    names: NameSet
    prefixes: KnownPrefixes


_NOBODY = PlaceNames(NO_NAMES, NO_PREFIXES)


class KnownNames:
    """Names in one ledger, which shows what may be used: nothing that is erased, and nothing beyond a key's limits."""

    def __init__(self, *, ledger: RequestLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        #: When each record was read, by the monotonic clock, and the record.
        self._copies: OrderedDict[NameOwner, tuple[float, NameRecord]] = OrderedDict()
        #: Grows with each change by this process, so that what was read before it is not kept after it.
        self._changes = 0

    def asked(self, tenant: str, where: Filter) -> NameSet:
        """The names to take out of a question: those of the users that the filter pins, if they are not too many.

        If it pins no user, those of scopes without a user that have exactly the ids which it pins.
        """
        users = pinned_values(where, "user_id")
        if users is not None:
            owners = [NameOwner.user(tenant, user) for user in users]
        else:
            ids = pinned_ids(where)
            owners = [NameOwner.place(Scope(tenant, **ids))] if ids else []
        if not 0 < len(owners) <= _MOST_USERS:
            return NO_NAMES
        records = self._records(tenant, owners).values()
        # Only a ledger in which something is noted surely has its key.
        return as_set(self._key(tenant), records) if any(record.entries for record in records) else NO_NAMES

    def said(self, messages: Sequence[Message]) -> list[Said]:
        """Messages of one scope with their speakers. The ledger is read only if a prefix may be that of a speaker."""
        if not any(use.prefix_of for use in name_uses(messages).values()):
            return read_speakers(messages)
        scope = messages[0].scope
        # All owners are read, because an add will note the names in the messages next.
        record = self._records(scope.tenant, NameOwner.all_of(scope))[NameOwner.place(scope)]
        if not record.entries:
            return read_speakers(messages)
        key = self._key(scope.tenant)
        # Some of the messages may have been noted before. None may count twice.
        given = {_said(key, message.ref) for message in messages}
        return read_speakers(messages, record.prefixes(key, besides=given))

    def place(self, scope: Scope) -> PlaceNames:
        """The names and prefixes of what was said in scopes with the same speaker as this one."""
        return self.places([scope])[scope]

    def places(self, scopes: Collection[Scope]) -> dict[Scope, PlaceNames]:
        """`place` for each of the scopes, with one read for each tenant."""
        found: dict[Scope, PlaceNames] = {}
        for tenant in {scope.tenant for scope in scopes}:
            owners = {scope: NameOwner.place(scope) for scope in scopes if scope.tenant == tenant}
            records = self._records(tenant, list(dict.fromkeys(owners.values())))
            found |= {scope: self._of_place(tenant, records[owner]) for scope, owner in owners.items()}
        return found

    def _of_place(self, tenant: str, record: NameRecord) -> PlaceNames:
        if not record.entries:
            return _NOBODY
        key = self._key(tenant)
        return PlaceNames(as_set(key, [record]), record.prefixes(key))

    def note(self, messages: Iterable[Message]) -> None:
        """Note the names in messages that are stored; nothing is read if they have none, or written if none is new.

        A name that cannot be noted now is noted when it is said again.
        """
        said: defaultdict[Spoken, list[Message]] = defaultdict(list)
        for message in messages:
            said[Spoken(message.scope, message.erasures_before)].append(message)
        try:
            found = {one: self._noteworthy(one.scope.tenant, portion) for one, portion in said.items()}
            new = {one: names for one, names in found.items() if names}
            for tenant in {one.scope.tenant for one in new}:
                scopes = [one.scope for one in new if one.scope.tenant == tenant]
                self._records(tenant, [owner for scope in scopes for owner in NameOwner.all_of(scope)])
            for one, names in new.items():
                self._note(one, names)
        except DependencyError as error:
            _logger.warning("names of speakers could not be noted", extra={"reason": error.message})

    def note_memories(self, memories: Iterable[Memory]) -> None:
        """`note` for messages of which only the memories are left."""
        self.note(message_of(memory) for memory in memories if memory.live and not memory.extracted)

    def forget(self, tenant: str) -> None:
        """Read the tenant's names again: this process has just erased some."""
        with self._lock:
            owners = [owner for owner in self._copies if owner.scope.tenant == tenant]
        self._drop(owners)

    def _note(self, said: Spoken, names: Sequence[NoteworthyName]) -> None:
        owners, number = NameOwner.all_of(said.scope), said.erasures_before
        records = self._records(said.scope.tenant, owners)
        # In which scope a name was used matters only if it is new, and then the ledger looks again.
        if any(noted(record.entries, names, {}, number).put for record in records.values()):
            self._ledger.note_names(said.scope, names, erasures_before=number)
            self._drop(owners)

    def _drop(self, owners: Iterable[NameOwner]) -> None:
        with self._lock:
            self._changes += 1
            for owner in owners:
                self._copies.pop(owner, None)

    def _noteworthy(self, tenant: str, messages: Sequence[Message]) -> list[NoteworthyName]:
        uses = list(name_uses(messages).items())[:_MOST_NOTED]
        key = self._key(tenant) if uses else b""
        return [
            NoteworthyName(name_digest(key, name), use.given, tuple(_said(key, ref) for ref in use.prefix_of))
            for name, use in uses
        ]

    def _key(self, tenant: str) -> bytes:
        return names_key(self._ledger.digest_key(), tenant)

    def _records(self, tenant: str, owners: Sequence[NameOwner]) -> dict[NameOwner, NameRecord]:
        now = self._clock.monotonic()
        with self._lock:
            held = {owner: self._copies[owner] for owner in owners if owner in self._copies}
            changes = self._changes
        found = {owner: record for owner, (read_at, record) in held.items() if now - read_at < TENANT_COPY_S}
        missing = [owner for owner in owners if owner not in found]
        if missing:
            read = self._ledger.known_names(tenant, missing)
            found |= {owner: read.get(owner, _NOTHING) for owner in missing}
        with self._lock:
            for owner in missing if changes == self._changes else ():
                self._copies[owner] = (now, found[owner])
            for owner in owners:
                if owner in self._copies:
                    self._copies.move_to_end(owner)
            while len(self._copies) > _MOST_COPIES:
                self._copies.popitem(last=False)
        return found


def _said(key: bytes, ref: MessageRef) -> str:
    """What stands for a message in which a prefix was used."""
    return keyed_digest(key, "said", ref.job_id, str(ref.position))[:_DIGEST_CHARS]
