"""The store of raw messages."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

from forgetless.adapters.ledger_codec import from_blob
from forgetless.adapters.ledger_dynamodb import (
    append,
    erase_messages,
    item_keys,
    list_entries,
    message_items,
    message_pages,
    scope_entries,
)
from forgetless.adapters.ledger_dynamodb.attribute_values import Item
from forgetless.adapters.ledger_dynamodb.item_keys import Key
from forgetless.adapters.ledger_dynamodb.table import Between, key_of
from forgetless.adapters.ledger_dynamodb.unit_of_work import Store, Unit, body_bytes
from forgetless.domain.cursors import from_cursor, to_cursor
from forgetless.domain.limits import HISTORIES_AT_ONCE, JOBS_AT_ONCE
from forgetless.domain.memory import Message, MessageRef
from forgetless.domain.portions import first_portion, weighed_portions
from forgetless.domain.scope import Scope
from forgetless.domain.times import later

__all__ = ["MessageStore"]

#: A partition of scopes, a scope in it, and the beginning of a sort key in the list of its messages.
_Place = tuple[int, str, str]

#: How many messages are erased in one unit of work.
_PORTION = 50
#: The most messages that one call looks at in order to remove expired ones.
_MOST_LOOKED_AT = 10_000


class MessageStore(Store):
    """See `forgetless.ports.request_ledger.MessageStore`."""

    def read_messages(
        self, tenant: str, refs: Sequence[MessageRef], *, most_chars: int | None = None
    ) -> dict[MessageRef, Message]:
        items = list(self._table.read(item_keys.message(tenant, ref) for ref in refs).values())
        # Each portion is shortened before the next one is read.
        portions = [items] if most_chars is None else weighed_portions(items, body_bytes, most=JOBS_AT_ONCE, count=100)
        found = (message.beginning(most_chars) for few in portions for message in self._loaded(few))
        return {message.ref: message for message in found}

    def job_messages(self, tenant: str, job_id: str) -> list[Message]:
        return self._loaded(list(self._table.query(item_keys.job(tenant, job_id).pk, item_keys.MESSAGES)))

    def messages_of_jobs(self, tenant: str, job_ids: Sequence[str]) -> tuple[dict[str, list[Message]], int]:
        found: dict[str, list[Message]] = {}
        size = 0
        for looked, job_id in enumerate(job_ids):
            items = list(self._table.query(item_keys.job(tenant, job_id).pk, item_keys.MESSAGES))
            size += sum(map(body_bytes, items))
            if looked and size > JOBS_AT_ONCE:
                return found, looked
            if items and (messages := self._loaded(items)):
                found[job_id] = messages
        return found, len(job_ids)

    def recent_messages(self, scope: Scope, *, since: str, before: str, limit: int) -> list[Message]:
        limits = Between(since or list_entries.LOWEST, before)
        found = islice(self._table.query(item_keys.spoken(scope), limits, descending=True, page=limit), limit)
        refs = [message_items.ref_of(item) for item in found]
        messages = self._first_of(scope.tenant, refs, HISTORIES_AT_ONCE)[0]
        return messages[::-1]

    def erase_messages(self, tenant: str, refs: Sequence[MessageRef], *, at: str) -> int:
        erased = 0
        wanted = list(dict.fromkeys(refs))
        for start in range(0, len(wanted), _PORTION):
            portion = wanted[start : start + _PORTION]
            erased += self._units.run(partial(erase_messages.erase, tenant=tenant, refs=portion, at=at))
            erase_messages.drop_unseen(self._units, tenant, portion, at)
        return erased

    def erase_scope_messages(self, tenant: str, ids: Mapping[str, str], *, at: str) -> int:
        list_entries.check_names(ids)
        erased = 0
        for spoken in list(self._spoken(tenant, ids)):
            refs = [message_items.ref_of(item) for item in self._table.query(spoken)]
            erased += self.erase_messages(tenant, refs, at=at)
        # Context comes from the memory's own scope. Only the memories still refer to messages that have expired.
        for key in list(self._carriers(tenant, ids)):
            self._units.run(partial(_drop_expired, key=key, at=at))
        return erased

    def scope_messages(
        self, tenant: str, ids: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        list_entries.check_names(ids)
        found, following = message_pages.page(self._table, tenant, ids, limit, cursor)
        refs = [message_items.ref_of(item) for _, item in found]
        messages, looked = self._first_of(tenant, refs, JOBS_AT_ONCE)
        return messages, following if looked == len(refs) else to_cursor(*found[looked - 1][0])

    def messages_without_job(
        self, tenant: str, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Message], str | None]:
        after = from_cursor(cursor, int, str, str) if cursor is not None else [0, "", ""]
        found = list(islice(self._first_entries(tenant, tuple(after), limit), limit + 1))
        refs = [message_items.ref_of(entry) for _, entry in found[:limit]]
        there = self._table.read(item_keys.job(tenant, ref.job_id) for ref in refs)
        kept = {key for key, item in there.items() if not self._table.expiry.is_over(item)}
        orphans = [ref for ref in refs if item_keys.job(tenant, ref.job_id) not in kept]
        messages, looked = self._first_of(tenant, orphans, JOBS_AT_ONCE)
        if looked < len(orphans):
            return messages, to_cursor(*found[refs.index(orphans[looked]) - 1][0])
        return messages, to_cursor(*found[limit - 1][0]) if len(found) > limit > 0 else None

    def expire_messages(self, *, before: str, limit: int) -> int:
        limits = Between(list_entries.LOWEST, before)
        queues = [self._table.queue_entries(queue, limits, page=limit) for queue in item_keys.EXPIRY_QUEUES]
        oldest = map(key_of, heapq.merge(*queues, key=lambda entry: str(entry["gsi1sk"])))
        looked_at, removed = islice(oldest, _MOST_LOOKED_AT), 0
        # What stays, because an add still has to read it, is looked at again in an hour, so it holds up nothing.
        again = later(before, 3600.0)
        while portion := list(islice(looked_at, min(limit - removed, _PORTION))):
            removed += self._units.run(partial(erase_messages.expire, wanted=portion, again=again))
        return removed

    def _first_of(self, tenant: str, refs: Sequence[MessageRef], most: int) -> tuple[list[Message], int]:
        """The first of these messages that exist until they have `most` bytes, and how many it has looked at."""
        items = self._table.read(item_keys.message(tenant, ref) for ref in refs)
        held = [items.get(item_keys.message(tenant, ref)) for ref in refs]
        few, _ = first_portion(held, lambda item: body_bytes(item) if item else 0, most=most)
        return self._loaded([item for item in few if item is not None]), len(few)

    def _loaded(self, items: list[Item]) -> list[Message]:
        return [message_items.load(item, body) for item, body in self._table.bodies(items)]

    def _spoken(self, tenant: str, ids: Mapping[str, str]) -> Iterator[str]:
        """The partitions with the messages of the exact scopes that have all ids."""
        key = self._table.digest_key()
        for pk in scope_entries.partitions(key, tenant, ids):
            for entry in self._table.query(pk):
                if scope_entries.has_all(key, tenant, entry, ids):
                    yield scope_entries.spoken(key, entry)

    def _first_entries(self, tenant: str, after: tuple[int, str, str], page: int) -> Iterator[tuple[_Place, Item]]:
        """The first entry of each job in each exact scope of the tenant, and its place in this order."""
        key = self._table.digest_key()
        partitions = scope_entries.partitions(key, tenant, {})
        for number, pk in enumerate(partitions[after[0] :], after[0]):
            begun = after[1] if number == after[0] else ""
            for scope in self._table.query(pk, Between(begun or list_entries.LOWEST, list_entries.HIGHEST)):
                spoken = scope_entries.spoken(key, scope)
                low = after[2] if scope["sk"] == begun and after[2] else list_entries.LOWEST
                # A position follows the job in the sort key, so the highest one ends what the last page has shown.
                limits = Between(low + list_entries.HIGHEST if low == after[2] else low, list_entries.HIGHEST)
                seen: bytes | None = None
                for entry in self._table.query(spoken, limits, page=page + 1):
                    if entry["job"] != seen:
                        seen = entry["job"]
                        yield (number, str(scope["sk"]), str(entry["sk"]).rpartition("#")[0]), entry

    def _carriers(self, tenant: str, ids: Mapping[str, str]) -> Iterator[Key]:
        """The heads of the memories whose scope has all ids and that have a context."""
        pks = item_keys.partitions(list_entries.LIST, tenant, *list_entries.narrowest(ids))
        for entry in list_entries.merged(self._table, pks, None, _PORTION):
            if list_entries.has_all(entry, ids) and entry["context"]:
                yield item_keys.head(tenant, from_blob(entry["memory"]))


def _drop_expired(unit: Unit, key: Key, at: str) -> None:
    head = unit.get(key)
    if head is None:
        return
    memory = append.memory_of(unit, head)
    there = {ref: item_keys.message(memory.scope.tenant, ref) for ref in memory.context}
    unit.load(there.values())
    erase_messages.drop(unit, key, [ref for ref, message in there.items() if unit.get(message) is None], at)
