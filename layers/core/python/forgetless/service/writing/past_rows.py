"""PastRows: keeps the versions that are no longer current in the index, for searches at a past moment.

A writer that replaces a version moves its row there: it reads what the row holds, writes it with its times, and then
drops it where it was. So nothing is embedded again. Whoever indexes a pending memory in a writer's place does not know
what the writer did, and makes these rows right from the history. A memory counts as indexed only when they are. As a
history may be long, they are made in portions, and who has no more time for them goes on later: what is there stays.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Protocol

from forgetless.domain.memory import Event, Memory, Message, MessageRef
from forgetless.domain.moments import OPEN, PastTimes, ended_by, has_past, known_from, past_of, told_early
from forgetless.domain.portions import weighed_portions
from forgetless.ports.index import Content, IndexRow, Key, PastMark, PastRow, RequestIndex
from forgetless.service.history_portions import light_portions

__all__ = ["Change", "PastRows", "by_tenant", "first_or"]

_logger = logging.getLogger(__name__)

#: How many rows are made and written at once, and of how many characters of text, or of a longer text alone.
_AT_ONCE, _CHARS_AT_ONCE = 50, 400_000
#: How many memories that one memory superseded are looked at, directly or indirectly.
_MOST_SUPERSEDED = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """What a writer has just appended: the version before, and the one after it."""

    before: Memory
    after: Memory


class PastLedger(Protocol):
    """What this needs of a ledger; see `forgetless.ports.request_ledger`."""

    def read(self, tenant: str, ids: Sequence[str]) -> dict[str, Memory]: ...

    def history(self, tenant: str, memory_id: str) -> list[Event]: ...

    def superseded_ids(self, tenant: str, memory_id: str, *, limit: int) -> list[str]: ...


class Maker(Protocol):
    """Makes rows from memories; see `forgetless.service.writing.indexer.Indexer`."""

    def rows(
        self,
        memories: Sequence[Memory],
        talk: Mapping[MessageRef, Message],
        *,
        in_time: Callable[[], bool] = ...,
        refused: dict[str, str] | None = None,
    ) -> list[IndexRow]: ...

    def context_messages(self, memories: Iterable[Memory]) -> dict[MessageRef, Message]: ...


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A version that must be there, with the context that the memory still has."""

    memory: Memory
    times: PastTimes

    @property
    def key(self) -> Key:
        return self.memory.id, self.memory.version

    @property
    def mark(self) -> PastMark:
        return PastMark(self.times, len(self.memory.context))


class PastRows:
    """The rows of the past of one index."""

    def __init__(self, *, ledger: PastLedger, index: RequestIndex, maker: Maker) -> None:
        self._ledger = ledger
        self._index = index
        self._maker = maker

    def move(
        self,
        tenant: str,
        changes: Sequence[Change],
        rows: Sequence[IndexRow],
        known: Mapping[Key, Content],
    ) -> set[str]:
        """Bring the replaced versions there; `rows` are new, and `known` is what was read of rows already.

        Returns the ids of memories that must stay pending: their replaced version has no row that could be moved, or
        they begin later now, so that what they superseded ended later. Raises IndexUnavailableError.
        """
        alive = [change for change in changes if not change.after.deleted]
        asked = [change.before for change in alive if _key(change.before) not in known]
        contents = {**known, **self.contents(tenant, asked)}
        new = {row.memory.id: row for row in rows if row.memory.scope.tenant == tenant}
        begins = self._begins(tenant, [change.after for change in alive], [row.memory for row in new.values()])
        there = [change for change in alive if (change.before.id, change.before.version) in contents]
        moved = [_early(row) for row in new.values() if row.memory.live and told_early(row.memory)]
        for change in there:
            before, after = change.before, change.after
            content = contents[before.id, before.version]
            since = known_from(before)
            if since < after.updated_at:
                times = PastTimes(since, after.updated_at, before.created_at, ended_by(before, _begin(before, begins)))
                moved.append(PastRow(content.of(before), PastMark(times, None)))
            if not after.live:
                ended = ended_by(after, _begin(after, begins))
                mark = PastMark(PastTimes(after.updated_at, OPEN, after.created_at, ended), None)
                row = new.get(after.id)
                moved.append(PastRow(row if row is not None else content.of(after), mark))
        # Only those of a superseded memory may be there already, with an open end.
        if standing := [_key(change.before) for change in there if _stands_there(change.before)]:
            self._index.past.drop(tenant, standing)
        if moved:
            self._index.past.insert(moved)
        unmoved = {change.after.id for change in alive} - {change.after.id for change in there}
        return unmoved | {change.after.id for change in alive if change.after.created_at > change.before.created_at}

    def refresh(
        self,
        memories: Sequence[Memory],
        *,
        suspect: Collection[Key] = (),
        in_time: Callable[[], bool] = lambda: True,
    ) -> set[str]:
        """Make the rows of the past right for these memories as they are now; a row that is right stays.

        Returns the ids of those for which there was no time (`in_time`). Each call makes some rows, so calls end.

        What a writer has moved is made again, and so is a `suspect` row: nobody knows whether words are in it that were
        erased meanwhile. A version whose text the embedder refuses has a row with its words alone. Raises EmbedderError
        and IndexUnavailableError.
        """
        late: set[str] = set()
        for tenant, portion in by_tenant(memory for memory in memories if has_past(memory)).items():
            late |= self._refresh(tenant, portion, suspect, in_time)
        return late

    def redo(self, memories: Sequence[Memory], found: Mapping[str, Memory]) -> None:
        """Undo what a writer brought there for versions that are not current any more; `found` are the current ones.

        One that is deleted may have been so before our rows came. Of one that was changed, sweep may have made the rows
        right before ours came.
        """
        for tenant, portion in by_tenant(memories).items():
            current = [found.get(memory.id) for memory in portion]
            gone = [
                replace(memory, deleted=True)
                for memory, now in zip(portion, current, strict=True)
                if now is None or now.deleted
            ]
            if gone:
                self._index.drop_older(tenant, gone)
            suspect = {(memory.id, version) for memory in portion for version in (memory.version - 1, memory.version)}
            self._refresh(tenant, [now for now in current if now is not None and has_past(now)], suspect)

    def _refresh(
        self,
        tenant: str,
        memories: Sequence[Memory],
        suspect: Collection[Key],
        in_time: Callable[[], bool] = lambda: True,
    ) -> set[str]:
        late: set[str] = set()
        moved: list[str] = []
        for number, portion in enumerate(light_portions(memories)):
            if number and not in_time():
                late |= {memory.id for memory in portion}
                continue
            histories = [self._ledger.history(tenant, memory.id) for memory in portion]
            late |= self._repair(tenant, histories, suspect, in_time)
            moved += [of[-1].memory.id for of in histories if len({one.memory.created_at for one in of}) > 1]
        # The end of what these superseded has changed as well.
        for portion in light_portions(self._ended_by(tenant, moved, {memory.id for memory in memories})):
            histories = [self._ledger.history(tenant, memory.id) for memory in portion]
            if not in_time() or self._repair(tenant, histories, suspect, in_time):
                return late | set(moved)
        return late

    def _repair(
        self, tenant: str, histories: Sequence[Sequence[Event]], suspect: Collection[Key], in_time: Callable[[], bool]
    ) -> set[str]:
        """Make the rows of these histories right; returns the ids of the memories for which there was no time."""
        wanted: list[_Wanted] = []
        possible: list[Key] = []
        for found, versions in self._versions(tenant, histories):
            wanted += found
            possible += versions
        if not possible:
            return set()
        held = self._index.past.held(tenant, possible)
        right = {one.key for one in wanted if one.key not in suspect and held.get(one.key) == one.mark}
        lacking = [one for one in wanted if one.key not in right]
        made = 0
        for some in weighed_portions(lacking, lambda one: len(one.memory.text), most=_CHARS_AT_ONCE, count=_AT_ONCE):
            if made and not in_time():
                return {one.memory.id for one in lacking[made:]}
            rows = self._made(tenant, some, held, suspect, in_time)
            self._index.past.drop(tenant, [one.key for one in some])
            self._index.past.insert(rows)
            if len(rows) < len(some):
                return {one.memory.id for one in lacking[made:]}
            made += len(some)
        kept = {one.key for one in wanted}
        self._index.past.drop(tenant, [key for key in held if key not in kept])
        return set()

    def _versions(self, tenant: str, histories: Sequence[Sequence[Event]]) -> Iterator[tuple[list[_Wanted], list[Key]]]:
        """Of each memory, the versions that must be there, and all that may be."""
        begins = self._begins(tenant, [event.memory for history in histories for event in history], ())
        for history in histories:
            if not history or history[-1].memory.deleted:
                continue
            current = history[-1].memory
            # Earlier versions still name messages that have been erased since.
            versions = [
                _Wanted(replace(memory, context=current.context), times) for memory, times in past_of(history, begins)
            ]
            yield versions, [(current.id, version) for version in range(1, current.version + 1)]

    def _ended_by(self, tenant: str, moved: Sequence[str], known: Collection[str]) -> list[Memory]:
        """What these memories superseded, whose beginning was ever changed, without those that are `known`."""
        older = [id_ for one in moved for id_ in self._ledger.superseded_ids(tenant, one, limit=_MOST_SUPERSEDED)]
        found = self._ledger.read(tenant, older) if older else {}
        return [one for one in found.values() if one.superseded_by in moved and one.id not in known]

    def _made(
        self,
        tenant: str,
        wanted: Sequence[_Wanted],
        held: Mapping[Key, PastMark],
        suspect: Collection[Key],
        in_time: Callable[[], bool],
    ) -> list[PastRow]:
        """The rows for which there is time; those of which only the times are wrong keep what they hold."""
        same = [
            one.key
            for one in wanted
            if one.key not in suspect and one.key in held and held[one.key].made_with == one.mark.made_with
        ]
        contents: dict[Key, Content] = self._index.past.contents(tenant, same) if same else {}
        contents |= self._embedded([one.memory for one in wanted if one.key not in contents], in_time)
        return [PastRow(contents[one.key].of(one.memory), one.mark) for one in wanted if one.key in contents]

    def _embedded(self, versions: Sequence[Memory], in_time: Callable[[], bool]) -> dict[Key, Content]:
        """The contents of these versions, of some at least; versions that say the same are embedded once."""
        alike: defaultdict[object, list[Memory]] = defaultdict(list)
        for memory in versions:
            alike[_said(memory)].append(memory)
        groups: defaultdict[str, list[list[Memory]]] = defaultdict(list)
        for group in alike.values():
            groups[group[0].id].append(group)
        talk = self._maker.context_messages(versions) if versions else {}
        found: dict[Key, Content] = {}
        # The maker tells memories apart by their ids, so each call has one version of each.
        for turn in range(max(map(len, groups.values()), default=0)):
            if turn and not in_time():
                break
            some = {id_: group[turn] for id_, group in groups.items() if len(group) > turn}
            refused: dict[str, str] = {}
            once = first_or(in_time)
            for row in self._maker.rows([group[0] for group in some.values()], talk, in_time=once, refused=refused):
                found |= {_key(memory): row.content for memory in some[row.memory.id]}
            for id_, reason in refused.items():
                _logger.warning(
                    "an earlier version is indexed by its words alone", extra={"memory_id": id_, "reason": reason}
                )
        return found

    def contents(self, tenant: str, versions: Sequence[Memory]) -> dict[Key, Content]:
        """What the rows of these versions hold, each of which is or was the current one, wherever it stands.

        Raises IndexUnavailableError.
        """
        live = [_key(memory) for memory in versions if memory.live]
        ended = [_key(memory) for memory in versions if not memory.live]
        found = self._index.contents(tenant, live) if live else {}
        return {**found, **(self._index.past.contents(tenant, ended) if ended else {})}

    def _begins(self, tenant: str, versions: Sequence[Memory], new: Sequence[Memory]) -> dict[str, str]:
        """When the memories begin that supersede these versions."""
        begins = {memory.id: memory.created_at for memory in new}
        others = {memory.superseded_by for memory in versions if memory.superseded_by} - begins.keys()
        found = self._ledger.read(tenant, sorted(others)) if others else {}
        return begins | {id_: memory.created_at for id_, memory in found.items()}


def first_or(in_time: Callable[[], bool]) -> Callable[[], bool]:
    """The same, but there is always time for a first step, so that each call makes some rows."""
    asked = count()
    return lambda: next(asked) == 0 or in_time()


def _early(row: IndexRow) -> PastRow:
    """The row of a memory that was received before the time that it is about."""
    memory = row.memory
    times = PastTimes(known_from(memory), OPEN, memory.created_at, OPEN)
    return PastRow(row, PastMark(times, len(memory.context)))


def _stands_there(before: Memory) -> bool:
    """Whether a version stood among those of the past while it was the current one."""
    return not before.live or told_early(before)


def _begin(memory: Memory, begins: Mapping[str, str]) -> str | None:
    return begins.get(memory.superseded_by or "")


def _key(memory: Memory) -> Key:
    return memory.id, memory.version


def _said(memory: Memory) -> object:
    """What of a version counts in its content: of versions that say the same, it is equal."""
    who = (memory.role, memory.actor_id, memory.attributed_to)
    return memory.id, memory.text, memory.created_at, who, memory.sources


def by_tenant(memories: Iterable[Memory]) -> dict[str, list[Memory]]:
    """The memories, grouped by tenant."""
    tenants: defaultdict[str, list[Memory]] = defaultdict(list)
    for memory in memories:
        tenants[memory.scope.tenant].append(memory)
    return dict(tenants)
