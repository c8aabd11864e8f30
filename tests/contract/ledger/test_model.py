"""A property of every ledger: random operations leave the same state as in a model of plain dicts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import DuplicateTextError, VersionConflictError
from forgetless.domain.memory import Event, EventKind, Memory, Message, MessageRef
from forgetless.domain.scope import SCOPE_IDS, Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import Entity, Totals
from tests.contract.ledger.making import a_memory, a_message, an_event_id, at, entities_of

#: Every example plays in a tenant of its own, so that they may share one ledger.
_examples = count()

ODD_TEXTS = ["tea", "dog", "\ud800", "nul \x00", ""]
REFS = [a_message("m", position).ref for position in range(3)]


BLANK: dict[str, Any] = {"text": "", "history_bytes": 0, "metadata": {}, "categories": (), "context": (), "sources": ()}


def said(memory: Memory) -> Memory:
    """What an event says, whenever it says it."""
    memory = replace(memory.nobodys(), **BLANK) if memory.deleted else memory
    return replace(memory, created_at="", updated_at="", context=(), event_id="")


@dataclass
class Model:
    """The ledger as one would write it without a disk, other writers or a second thought for speed."""

    tenant: str
    memories: dict[str, Memory] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    pending: dict[str, str] = field(default_factory=dict)
    messages: dict[MessageRef, Message] = field(default_factory=dict)

    def append(self, event: Event) -> type[Exception] | None:
        memory = event.memory
        held = self.events[memory.id]
        if 1 <= memory.version <= len(held):
            return None if self._again(held[memory.version - 1], event) else VersionConflictError
        if memory.version != len(held) + 1:
            return VersionConflictError
        if event.kind is EventKind.ADD and memory.extracted and self._twin(memory):
            return DuplicateTextError
        held.append(event)
        if memory.deleted:  # also a change of what is gone already: its words must not come back
            held[:] = [Event(each.kind, replace(each.memory.nobodys(), **BLANK)) for each in held]
            memory = held[-1].memory
        self.memories[memory.id] = memory
        self.pending[memory.id] = memory.updated_at
        return None

    def _again(self, held: Event, event: Event) -> bool:
        erased = self.memories[event.memory.id].deleted
        ids = (held.memory.event_id, event.memory.event_id)
        same = (held.kind, held.memory.job_id) == (event.kind, event.memory.job_id)
        if all(ids):
            return same and ids[0] == ids[1] and (erased or said(held.memory) == said(event.memory))
        return same and ((erased and event.kind is EventKind.ADD) or said(held.memory) == said(event.memory))

    def _twin(self, memory: Memory) -> bool:
        return any(
            (other.live, other.extracted, other.scope, other.text) == (True, True, memory.scope, memory.text)
            for other in self.memories.values()
        )

    def erase(self, ref: MessageRef, when: str) -> int:
        for memory in self.memories.values():
            if ref in memory.context:
                left = replace(memory, context=tuple(other for other in memory.context if other != ref))
                self.memories[memory.id] = left
                self.events[memory.id][-1] = replace(self.events[memory.id][-1], memory=left)
                self.pending.setdefault(memory.id, when)
        return int(self.messages.pop(ref, None) is not None)

    def listed(self, ids: dict[str, str], superseded: bool) -> list[Memory]:
        found = [
            memory
            for memory in self.memories.values()
            if (memory.live or (superseded and not memory.deleted))
            and all(getattr(memory.scope, name) == value for name, value in ids.items())
        ]
        return sorted(found, key=lambda m: (m.created_at, m.position, m.id), reverse=True)

    def entities(self) -> list[Entity]:
        groups: dict[tuple[str, str], list[Memory]] = defaultdict(list)
        for memory in self.listed({}, superseded=False):
            for name, value in memory.scope.ids().items():
                groups[name.removesuffix("_id"), value].append(memory)
        return [
            Entity(*key, len(group), min(m.created_at for m in group), max(m.updated_at for m in group))
            for key, group in sorted(groups.items())
        ]


SCOPES = st.builds(
    Scope,
    tenant=st.just("acme"),
    user_id=st.sampled_from(["anna", "bob", ""]),
    agent_id=st.sampled_from(["", "g"]),
    app_id=st.just(""),
    run_id=st.sampled_from(["", "r"]),
)
MEMORIES = st.builds(
    a_memory,
    st.sampled_from("abcdef"),
    st.integers(0, 1),
    scope=SCOPES,
    text=st.sampled_from(ODD_TEXTS),
    second=st.integers(0, 5),
    extracted=st.booleans(),
    expiration_date=st.sampled_from([None, "2030-01-01"]),
    metadata=st.dictionaries(st.sampled_from(ODD_TEXTS), st.none() | st.integers() | st.text(max_size=2), max_size=2),
    context=st.lists(st.sampled_from(REFS), unique=True, max_size=2).map(tuple),
)
OPERATIONS = st.one_of(
    st.tuples(st.just("add"), MEMORIES),
    st.tuples(
        st.sampled_from(["update", "expire", "supersede", "delete", "again", "stale", "indexed"]), st.integers(0, 11)
    ),
    st.tuples(st.sampled_from(["say", "erase"]), st.sampled_from(REFS)),
)


def moved(argument: object, tenant: str) -> object:
    """The argument in another tenant."""
    if isinstance(argument, Memory):
        return replace(argument, scope=replace(argument.scope, tenant=tenant))
    return argument


def play(ledger: Ledger, model: Model, name: str, argument: object, when: str) -> None:
    """Do one operation to both and compare what came of it."""
    if isinstance(argument, MessageRef):
        message = a_message("m", argument.position, scope=Scope(model.tenant))
        if name == "say":
            ledger.append([], messages=[message])
            model.messages.setdefault(argument, message)
        else:
            assert ledger.erase_messages(model.tenant, [argument], at=when) == model.erase(argument, when)
        return
    if isinstance(argument, Memory):
        event = Event(EventKind.ADD, argument)
    else:
        assert isinstance(argument, int)
        if not model.memories:
            return
        memory = sorted(model.memories.values(), key=lambda m: m.id)[argument % len(model.memories)]
        if name == "indexed":
            ledger.mark_indexed([memory])
            model.pending.pop(memory.id, None)
            return
        new_id = an_event_id()
        event = {
            "update": Event(EventKind.UPDATE, memory.next_version(when, event_id=new_id, text=f"new at {when}")),
            "expire": Event(EventKind.UPDATE, memory.next_version(when, event_id=new_id, expiration_date="2031-01-01")),
            "supersede": Event(EventKind.UPDATE, memory.next_version(when, event_id=new_id, superseded_by="another")),
            "delete": Event(EventKind.DELETE, memory.tombstone(when, event_id=new_id)),
            "again": model.events[memory.id][-1],
            "stale": Event(EventKind.UPDATE, replace(memory, text="stale")),
        }[name]
    raised: type[Exception] | None = None
    try:
        ledger.append([event])
    except (VersionConflictError, DuplicateTextError) as error:
        raised = type(error)
    assert raised == model.append(event)


def compare(ledger: Ledger, model: Model) -> None:
    assert ledger.read(model.tenant, list(model.memories)) == model.memories
    for id_ in model.memories:
        assert ledger.history(model.tenant, id_) == model.events[id_]
    choices: list[dict[str, str]] = [{}, {"user_id": "anna"}, {"run_id": "r"}, {"user_id": "bob", "agent_id": "g"}]
    assert {name for ids in choices for name in ids} < set(SCOPE_IDS)
    for ids in choices:
        for superseded in (False, True):
            found: list[Memory] = []
            cursor: str | None = None
            while True:
                page = ledger.list_memories(model.tenant, ids, limit=2, cursor=cursor, superseded=superseded)
                found += page.items
                cursor = page.cursor
                if cursor is None:
                    break
            assert found == model.listed(ids, superseded)
    assert entities_of(ledger, model.tenant, limit=99) == model.entities()
    for ids in ({}, {"user_id": "anna"}, {"run_id": "r"}):
        live = model.listed(ids, superseded=False)
        expiring = [memory for memory in live if memory.expiration_date is not None]
        assert ledger.kept_totals(model.tenant, ids) == Totals(len(live), len(expiring))
    pending = ledger.unindexed(before=at(999), limit=99, tenant=model.tenant)
    assert {memory.id for memory in pending} == set(model.pending)
    assert [model.pending[memory.id] for memory in pending] == sorted(model.pending.values())
    assert ledger.read_messages(model.tenant, REFS) == model.messages


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, deadline=None, suppress_health_check=QUIET)
@given(operations=st.lists(OPERATIONS, max_size=25))
def test_random_operations_leave_what_the_model_leaves(tmp_path: Path, operations: list[tuple[str, object]]) -> None:
    play_all(SqliteLedger(tmp_path / "ledger.db"), operations)


# Fewer, since moto is slow; the operations are the same.
@settings(max_examples=8, deadline=None, suppress_health_check=QUIET)
@given(operations=st.lists(OPERATIONS, min_size=5, max_size=25))
def test_random_operations_leave_the_same_on_dynamodb(
    dynamo: Callable[[], Ledger], operations: list[tuple[str, object]]
) -> None:
    play_all(dynamo(), operations)


def play_all(ledger: Ledger, operations: list[tuple[str, object]]) -> None:
    model = Model(f"tenant {next(_examples)}")
    try:
        for step, (name, argument) in enumerate(operations):
            play(ledger, model, name, moved(argument, model.tenant), at(10 + step))
        compare(ledger, model)
    finally:
        ledger.close()
