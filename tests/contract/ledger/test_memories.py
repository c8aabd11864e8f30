"""The contract of MemoryStore: events, versions, duplicates, lists, totals and what the index still misses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.errors import DuplicateTextError, InvalidRequestError, LeaseLostError, VersionConflictError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Event, EventKind, MessageRef
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import Entity
from tests.contract.ledger.making import (
    ANNA,
    a_job,
    a_memory,
    a_message,
    add,
    at,
    delete,
    entities_of,
    ids,
    job_id,
    update,
)

ODD = "nul \x00, lone \ud800 surrogates \udc00, ngày mai 🦊"


def test_a_memory_reads_back_as_it_was_written(ledger: Ledger) -> None:
    memory = a_memory(
        "a",
        3,
        scope=Scope("acme", "anna", "helper", "app", "run 1"),
        metadata={"n": [1, 2.5, None, True], "deep": {"é": "x"}},
        role="user",
        actor_id="Anna",
        attributed_to="assistant",
        categories=("food", "travel"),
        expiration_date="2026-02-01",
        extracted=True,
        context=(MessageRef(job_id("a"), 1), MessageRef(job_id("z"), 0)),
        sources=(MessageRef(job_id("a"), 3),),
        superseded_by=job_id("s"),
    )
    ledger.append(add(memory))
    assert ledger.read("acme", [memory.id]) == {memory.id: memory}


def test_odd_unicode_and_big_numbers_survive(ledger: Ledger) -> None:
    scope = Scope("acme", user_id=ODD)
    memory = a_memory("a", scope=scope, text=ODD, metadata={ODD: [ODD, 2**80, -0.0, 1e300]}, actor_id=ODD)
    ledger.append(add(memory), messages=[replace(a_message("a", content=ODD, scope=scope), name=ODD)])
    assert ledger.read("acme", [memory.id])[memory.id] == memory
    assert ledger.list_memories("acme", {"user_id": ODD}, limit=5).items == (memory,)
    assert [entity.id for entity in entities_of(ledger, "acme")] == [ODD]
    [message] = ledger.job_messages("acme", job_id("a"))
    assert (message.content, message.name, message.scope) == (ODD, ODD, scope)


def test_reading_gives_those_of_the_tenant_only(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    assert ledger.read("other", [memory.id]) == {}
    assert ledger.read("acme", ["no such id", "\ud800", ""]) == {}
    assert ledger.read("acme", []) == {}


@pytest.mark.parametrize("count", [9, 110])
def test_reading_many_gives_all(ledger: Ledger, count: int) -> None:
    memories = [a_memory("a", position) for position in range(count)]
    ledger.append(add(*memories))
    assert ledger.read("acme", ids(memories)) == {memory.id: memory for memory in memories}


def test_history_holds_every_version_in_order(ledger: Ledger) -> None:
    memory = a_memory("a")
    changed = update(memory, text="new")
    ledger.append([*add(memory), changed])
    assert ledger.history("acme", memory.id) == [*add(memory), changed]
    assert ledger.history("acme", "unknown") == []
    assert ledger.history("other", memory.id) == []
    assert ledger.read("acme", [memory.id])[memory.id] == changed.memory


def test_a_history_is_read_in_portions(ledger: Ledger) -> None:
    memory = a_memory("a", text="x" * 3000)
    events = add(memory)
    for number in range(2, 8):
        # One of them is so long that DynamoDB stores it in parts.
        events.append(update(events[-1].memory, number, text=f"{number}" * (200_000 if number == 4 else 3000)))
    ledger.append(events)
    assert ledger.history_portion("acme", memory.id, 3, most=10**9) == (events[2:], False)
    for number in range(1, 8):
        assert ledger.history_portion("acme", memory.id, number, most=1) == ([events[number - 1]], number < 7)
    for tenant, id_, first in [
        ("acme", memory.id, 8),
        ("acme", memory.id, 2**62),
        ("acme", "no", 1),
        ("b", memory.id, 1),
    ]:
        assert ledger.history_portion(tenant, id_, first, most=1) == ([], False)
    found, more = list[list[Event]](), True
    while more:
        portion, more = ledger.history_portion("acme", memory.id, sum(map(len, found)) + 1, most=5000)
        found.append(portion)
    assert [event for portion in found for event in portion] == events
    assert [len(portion) for portion in found] == [2, 2, 2, 1]
    ledger.append([delete(events[-1].memory, 9)])
    ([deleted], more) = ledger.history_portion("acme", memory.id, 8, most=1)
    assert (deleted.kind, deleted.memory.deleted, more) == (EventKind.DELETE, True, False)
    assert ledger.history_portion("acme", memory.id, 1, most=10**9)[0] == ledger.history("acme", memory.id)


def test_some_memories_are_read_until_they_store_so_many_bytes(ledger: Ledger) -> None:
    memories = [a_memory("a", place, text="x" * (200_000 if place == 3 else 2000)) for place in range(7)]
    ledger.append(add(*memories))
    ledger.append([delete(memories[1])])
    wanted = ["unknown", *ids(memories), memories[0].id]
    found: list[list[str]] = []
    left = wanted
    while left:
        some, looked = ledger.read_some("acme", left, most=4000)
        assert looked > 0
        assert some == ledger.read("acme", left[:looked])
        found.append(left[:looked])
        left = left[looked:]
    assert [id_ for portion in found for id_ in portion] == wanted
    # Neither the unknown nor the deleted one stores much, and one long memory ends a portion.
    assert [len(portion) for portion in found] == [4, 1, 2, 2]
    assert ledger.read_some("acme", wanted, most=1)[1] == 2
    assert ledger.read_some("acme", [], most=4000) == ({}, 0)
    assert ledger.read_some("other", wanted, most=4000)[0] == {}


def test_which_ids_are_known_and_which_are_deleted(ledger: Ledger) -> None:
    memories = [a_memory("known", place) for place in range(120)]
    ledger.append(add(*memories))
    ledger.append([delete(memories[7]), update(memories[8], text="new", superseded_by=memories[9].id)])
    wanted = [one.id for one in memories]
    found = ledger.known_ids("acme", [*wanted, "unknown", wanted[0]])
    assert found == {id_: id_ == wanted[7] for id_ in wanted}
    assert ledger.known_ids("other", wanted) == {}
    assert ledger.known_ids("acme", []) == {}


def test_a_page_of_long_memories_ends_early(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for adapter in ("sqlite", "dynamodb"):
        monkeypatch.setattr(f"forgetless.adapters.ledger_{adapter}.memories.HISTORIES_AT_ONCE", 5000)
    memories = [a_memory("a", place, second=place, text="x" * 2000) for place in range(7)]
    ledger.append(add(*memories))
    found: list[list[str]] = []
    cursor: str | None = None
    while not found or cursor is not None:
        page = ledger.list_memories("acme", {}, limit=9, cursor=cursor)
        found.append(ids(page.items))
        cursor = page.cursor
    assert 1 < len(found) < 7
    assert [id_ for page_ids in found for id_ in page_ids] == ids(memories[::-1])


def test_versions_are_read_one_by_one(ledger: Ledger) -> None:
    first, other, gone = a_memory("a"), a_memory("b"), a_memory("c")
    second = update(first, text="second")
    third = update(second.memory, 2, text="third " * 20_000)
    ledger.append([*add(first, other, gone), second, third])
    ledger.append([delete(gone)])
    keys = [(first.id, 1), (first.id, 3), (other.id, 1)]
    expected = [first, third.memory, other]
    assert ledger.versions("acme", keys) == dict(zip(keys, expected, strict=True))
    assert ledger.versions("acme", [(first.id, 2)]) == {(first.id, 2): second.memory}
    assert ledger.versions("acme", [(gone.id, 1), (gone.id, 2), (first.id, 4), ("unknown", 1)]) == {}
    assert ledger.versions("other", keys) == {}
    assert ledger.versions("acme", []) == {}


def test_a_repeated_append_changes_nothing(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    changed = update(memory, text="new")
    ledger.append([changed])
    ledger.append(add(memory))
    ledger.append([*add(memory), changed])
    assert len(ledger.history("acme", memory.id)) == 2
    assert ledger.read("acme", [memory.id])[memory.id] == changed.memory


@pytest.mark.parametrize("version", [1, 2, 4])
def test_a_version_that_does_not_follow_is_refused_with_all_that_comes_with_it(ledger: Ledger, version: int) -> None:
    memory = a_memory("a")
    ledger.append([*add(memory), update(memory)])
    late = replace(update(memory), memory=replace(memory, version=version, job_id=job_id("late")))
    other = a_memory("b")
    with pytest.raises(VersionConflictError, match=memory.id):
        ledger.append([*add(other), late], completing=a_job("b"), messages=[a_message("b")])
    assert ledger.read("acme", [other.id]) == {}
    assert ledger.job("acme", job_id("b")) is None
    assert ledger.job_messages("acme", job_id("b")) == []


def test_the_same_event_of_another_job_is_no_repeat(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    with pytest.raises(VersionConflictError):
        ledger.append(add(replace(memory, job_id=job_id("b"))))


def test_an_extracted_text_lives_once_in_its_exact_scope(ledger: Ledger) -> None:
    first = a_memory("a", text="likes tea", extracted=True)
    fresh, double = a_memory("b", 0, text="has a dog"), a_memory("b", 1, text="likes tea", extracted=True)
    ledger.append(add(first))
    with pytest.raises(DuplicateTextError) as refused:
        ledger.append(add(fresh, double))
    assert refused.value.memory_ids == (double.id,)
    assert ledger.read("acme", [fresh.id, double.id]) == {}


def test_of_two_equal_texts_in_one_call_the_second_is_refused(ledger: Ledger) -> None:
    first, second = (a_memory("a", position, text="likes tea", extracted=True) for position in (0, 1))
    with pytest.raises(DuplicateTextError) as refused:
        ledger.append(add(first, second))
    assert refused.value.memory_ids == (second.id,)


@pytest.mark.parametrize(("last_day", "counts"), [("2025-12-31", False), ("2026-01-01", True)])
def test_an_expired_memory_keeps_no_text_from_being_stored_again(ledger: Ledger, last_day: str, counts: bool) -> None:
    ledger.append(add(a_memory("a", text="likes tea", extracted=True, expiration_date=last_day)))
    again = a_memory("b", text="likes tea", extracted=True, second=1)
    if counts:
        with pytest.raises(DuplicateTextError):
            ledger.append(add(again))
    else:
        ledger.append(add(again))
        assert ledger.read("acme", [again.id]) == {again.id: again}


def test_the_day_on_which_a_text_is_said_again_is_that_of_the_add(ledger: Ledger) -> None:
    """Not the day that its client states."""
    ledger.append(add(a_memory("a", text="likes tea", extracted=True, expiration_date="2026-02-01")))
    later = replace(a_memory("b", text="likes tea", extracted=True), created_at="2126-01-01T00:00:00.000000+00:00")
    with pytest.raises(DuplicateTextError):
        ledger.append(add(replace(later, recorded_at=at(1))))


def test_what_waits_since_a_time_that_no_clock_tells_yet_is_found_too(ledger: Ledger) -> None:
    """Earlier versions took the time that a client stated."""
    future = replace(a_memory("b"), updated_at="2126-01-01T00:00:00.000000+00:00")
    usual, young = a_memory("a"), a_memory("c", second=30)
    ledger.append(add(future, usual, young))
    for tenant in (None, "acme"):
        assert ledger.unindexed(before=at(9), limit=9, tenant=tenant) == [usual, future]
        assert ledger.unindexed(before=at(9), limit=1, tenant=tenant) == [usual]
    assert ledger.mark_indexed([usual, future], behind=True) == []
    assert ledger.unindexed(before=at(9), limit=9) == []
    assert ledger.behind("acme", before=at(9), limit=9) == [usual, future]
    assert ledger.behind("acme", before=at(9), limit=1) == [usual]


def test_what_waits_is_read_in_portions_of_bytes(ledger: Ledger) -> None:
    large = [a_memory(name, text=name * 400_000, second=number) for number, name in enumerate("abcdef")]
    ledger.append(add(*large))
    some = ledger.unindexed(before=at(99), limit=9, tenant="acme", most=1_000_000)
    assert (some, len(some) in {2, 3}) == (large[: len(some)], True)
    assert ledger.unindexed(before=at(99), limit=9, most=1) == large[:1]
    assert ledger.unindexed(before=at(99), limit=9) == large
    ledger.mark_indexed(large, behind=True)
    assert ledger.behind("acme", before=at(99), limit=9) == large


def test_equal_texts_may_live_in_other_scopes_or_unextracted(ledger: Ledger) -> None:
    ledger.append(add(a_memory("a", text="likes tea", extracted=True)))
    ledger.append(add(a_memory("b", text="likes tea")))
    ledger.append(add(a_memory("c", text="likes tea", extracted=True, scope=replace(ANNA, run_id="r"))))
    ledger.append(add(a_memory("d", text="likes tea", extracted=True, scope=replace(ANNA, tenant="other"))))
    assert len(ledger.list_memories("acme", {}, limit=9).items) == 3


def test_a_text_may_come_again_when_its_memory_is_gone_or_superseded(ledger: Ledger) -> None:
    first, second, third = (a_memory(name, text="likes tea", extracted=True) for name in "abc")
    ledger.append(add(first))
    ledger.append([delete(first)])
    ledger.append(add(second))
    ledger.append([*add(third), update(second, superseded_by=third.id)])
    assert ledger.list_memories("acme", {}, limit=9).items == (third,)


def test_deletion_blanks_the_words_in_all_events_and_keeps_ids_and_times(ledger: Ledger) -> None:
    memory = a_memory(
        "a", metadata={"m": 1}, categories=("c",), context=(MessageRef(job_id("z"), 0),), role="user", extracted=True
    )
    changed = update(memory, text="other words")
    ledger.append([*add(memory), changed])
    # The words go even if the caller's event still carries them.
    ledger.append(
        [replace(delete(changed.memory), memory=changed.memory.next_version(at(5), event_id="deletion", deleted=True))]
    )
    events = ledger.history("acme", memory.id)
    assert [event.kind for event in events] == [EventKind.ADD, EventKind.UPDATE, EventKind.DELETE]
    for event in events:
        assert (event.memory.text, event.memory.metadata) == ("", {})
        assert (event.memory.categories, event.memory.context) == ((), ())
    assert [event.memory.updated_at for event in events] == [at(0), at(1), at(5)]
    assert ledger.read("acme", [memory.id])[memory.id] == events[-1].memory
    assert events[-1].memory.deleted
    assert events[0].memory.role == "user"


def test_lists_are_newest_first_by_time_position_and_id(ledger: Ledger) -> None:
    old, new = a_memory("old", second=1), a_memory("new", second=2)
    twins = [a_memory("twins", position, second=2) for position in (1, 2)]
    same = a_memory("same", 2, second=2)
    ledger.append(add(new, *twins, old, same))
    expected = sorted([old, new, same, *twins], key=lambda m: (m.created_at, m.position, m.id), reverse=True)
    assert list(ledger.list_memories("acme", {}, limit=10).items) == expected
    assert list(ledger.list_memories("acme", {"user_id": "anna"}, limit=10).items) == expected


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "abcd"),
        ({"user_id": "anna"}, "abc"),
        ({"user_id": "anna", "run_id": "r1"}, "b"),
        ({"run_id": "r1"}, "bd"),
        ({"agent_id": "g"}, "c"),
        ({"app_id": "p", "agent_id": "g"}, "c"),
        ({"app_id": "p"}, "c"),
        ({"user_id": "an"}, ""),
        ({"user_id": "anna", "agent_id": "nobody"}, ""),
    ],
)
def test_lists_hold_what_has_all_the_ids(ledger: Ledger, wanted: dict[str, str], found: str) -> None:
    scopes = {
        "a": ANNA,
        "b": replace(ANNA, run_id="r1"),
        "c": replace(ANNA, agent_id="g", app_id="p"),
        "d": Scope("acme", user_id="bob", run_id="r1"),
    }
    memories = {name: a_memory(name, scope=scope, second=ord(name)) for name, scope in scopes.items()}
    ledger.append(add(*memories.values(), a_memory("x", scope=replace(ANNA, tenant="other", run_id="r1"))))
    page = ledger.list_memories("acme", wanted, limit=10)
    assert list(page.items) == [memories[name] for name in reversed(found)]
    assert page.cursor is None


def test_a_list_by_something_else_than_scope_ids_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidRequestError, match="metadata"):
        ledger.list_memories("acme", {"metadata": "x"}, limit=1)


def test_pages_hold_everything_once_while_new_memories_come(ledger: Ledger) -> None:
    memories = [a_memory("a", position, second=position // 3) for position in range(25)]
    ledger.append(add(*memories))
    seen: list[str] = []
    cursor: str | None = None
    for round_ in range(99):
        page = ledger.list_memories("acme", {"user_id": "anna"}, limit=4, cursor=cursor)
        seen += ids(page.items)
        cursor = page.cursor
        ledger.append(add(a_memory(f"new {round_}", second=100 + round_)))
        if cursor is None:
            break
    assert seen == ids(sorted(memories, key=lambda m: (m.created_at, m.position, m.id), reverse=True))


def test_a_page_that_ends_the_list_has_no_cursor(ledger: Ledger) -> None:
    ledger.append(add(a_memory("a", 0), a_memory("a", 1)))
    assert ledger.list_memories("acme", {}, limit=2).cursor is None
    assert ledger.list_memories("acme", {}, limit=1).cursor is not None


@pytest.mark.parametrize("cursor", ["", "x", "bnVsbA", "WzFd", "é", "\ud800"])
def test_a_cursor_that_is_not_ours_is_refused(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(InvalidRequestError, match="cursor"):
        ledger.list_memories("acme", {}, limit=1, cursor=cursor)
    with pytest.raises(InvalidRequestError, match="cursor"):
        ledger.jobs("acme", limit=1, cursor=cursor)


def test_lists_hide_the_superseded_unless_asked_and_the_deleted_always(ledger: Ledger) -> None:
    live, old, gone = (a_memory("a", position) for position in range(3))
    hidden = update(old, superseded_by=live.id)
    ledger.append([*add(live, old, gone), hidden, delete(gone)])
    assert ledger.list_memories("acme", {}, limit=9).items == (live,)
    assert ledger.list_memories("acme", {}, limit=9, superseded=True).items == (hidden.memory, live)


def test_entities_count_live_memories_with_their_times(ledger: Ledger) -> None:
    bob = Scope("acme", user_id="bob", agent_id="helper")
    first, second = a_memory("a", second=1), a_memory("b", second=3)
    gone, old = a_memory("c", second=0), a_memory("d", second=9)
    ledger.append(add(first, second, gone, old, a_memory("e", scope=bob, second=5)))
    ledger.append([update(first, 7), delete(gone), update(old, 9, superseded_by=second.id)])
    ledger.append(add(a_memory("f", scope=Scope("other", user_id="eve"))))
    assert entities_of(ledger, "acme") == [
        Entity("agent", "helper", 1, at(5), at(5)),
        Entity("user", "anna", 2, at(1), at(7)),
        Entity("user", "bob", 1, at(5), at(5)),
    ]
    assert entities_of(ledger, "nobody") == []


def test_what_was_appended_is_pending_until_it_is_marked_indexed(ledger: Ledger) -> None:
    old, new = a_memory("a", second=1), a_memory("b", second=2)
    other = a_memory("c", scope=Scope("other", user_id="eve"), second=0)
    ledger.append(add(new, old, other))
    assert ledger.unindexed(before=at(9), limit=9) == [other, old, new]
    assert ledger.unindexed(before=at(9), limit=1) == [other]
    assert ledger.unindexed(before=at(2), limit=9, tenant="acme") == [old]
    assert ledger.pending("acme", [old.id, new.id, other.id, "unknown"]) == {old.id, new.id}
    ledger.mark_indexed([old, other])
    assert ledger.pending("acme", [old.id, new.id]) == {new.id}
    ledger.mark_indexed([])
    assert ledger.unindexed(before=at(9), limit=9) == [new]


@pytest.mark.parametrize("by_writer", [False, True])
def test_marking_tells_what_is_no_longer_as_it_was_indexed(ledger: Ledger, by_writer: bool) -> None:
    said = a_message("a")
    changed, gone, same = a_memory("a"), a_memory("b"), a_memory("c")
    carrier = a_memory("a", 1, context=(said.ref,))
    ledger.append([*add(changed, gone, same, carrier)], messages=[said])
    ledger.append([update(changed), delete(gone)])
    ledger.erase_messages("acme", [said.ref], at=at(5))
    unknown = a_memory("never")
    refused = ledger.mark_indexed([changed, gone, same, carrier, unknown], by_writer=by_writer)
    assert refused == [changed, gone, carrier, unknown]
    assert ledger.mark_indexed([same], by_writer=by_writer) == [], "a repeat is no change"
    assert ledger.pending("acme", [same.id]) == set()
    assert ledger.mark_indexed([], by_writer=by_writer) == []


def test_a_memory_that_moved_on_stays_pending(ledger: Ledger) -> None:
    memory = a_memory("a")
    changed = update(memory)
    ledger.append([*add(memory), changed])
    assert ledger.mark_indexed([memory]) == [memory]
    assert ledger.unindexed(before=at(9), limit=9) == [changed.memory]


def test_a_deleted_memory_is_pending_until_its_row_is_gone(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    ledger.mark_indexed([memory])
    gone = delete(memory)
    ledger.append([gone])
    assert ledger.unindexed(before=at(9), limit=9) == [gone.memory.nobodys()]
    ledger.mark_indexed([gone.memory])
    assert ledger.unindexed(before=at(9), limit=9) == []


def test_a_writer_does_not_call_indexed_what_another_may_be_writing_rows_of(ledger: Ledger) -> None:
    memory, alone = a_memory("a"), a_memory("b")
    ledger.append(add(memory, alone))
    ledger.mark_indexed([alone], by_writer=True)
    changed, gone = update(memory), delete(alone)
    ledger.append([changed, gone])
    assert ledger.mark_indexed([changed.memory, gone.memory], by_writer=True) == [], "both are current"
    assert ledger.unindexed(before=at(9), limit=9) == [changed.memory]
    removed = delete(changed.memory)
    ledger.append([removed])
    ledger.mark_indexed([removed.memory], by_writer=True)
    assert ledger.unindexed(before=at(9), limit=9) == [removed.memory.nobodys()]
    ledger.mark_indexed([removed.memory])
    assert ledger.unindexed(before=at(9), limit=9) == []


def test_a_rebuild_marks_everything_but_the_deleted(ledger: Ledger) -> None:
    live, gone = a_memory("a"), a_memory("b")
    other = a_memory("c", scope=Scope("other", user_id="eve"))
    removed = delete(gone)
    ledger.append([*add(live, gone, other), removed])
    ledger.mark_indexed([live, removed.memory, other])
    assert ledger.mark_unindexed("acme", at=at(5)) == 1
    assert ledger.unindexed(before=at(5), limit=9) == []
    assert ledger.unindexed(before=at(6), limit=9) == [live]
    assert ledger.mark_unindexed(at=at(5)) == 2


def test_an_add_in_one_go_stores_job_messages_and_memories(ledger: Ledger) -> None:
    done = a_job("a", state=JobState.SUCCEEDED, results=({"id": "x", "event": "ADD"},))
    memory, message = a_memory("a"), a_message("a")
    for _ in range(2):
        ledger.append(add(memory), completing=done, messages=[message])
        assert ledger.job("acme", done.id) == done
        assert ledger.job_messages("acme", done.id) == [message]
        assert ledger.history("acme", memory.id) == add(memory)


def test_a_repeat_does_not_bring_back_erased_messages(ledger: Ledger) -> None:
    done = a_job("a", state=JobState.SUCCEEDED)
    memory, message = a_memory("a"), a_message("a")
    ledger.append(add(memory), completing=done, messages=[message])
    ledger.erase_messages("acme", [message.ref], at=at(5))
    ledger.append(add(memory), completing=done, messages=[message])
    assert ledger.job_messages("acme", done.id) == []


def test_completing_needs_the_lease(ledger: Ledger) -> None:
    ledger.put_job(a_job("a"), [a_message("a")])
    mine = ledger.claim_job("acme", job_id("a"), owner="me", now=at(1), until=at(2))
    theirs = ledger.claim_job("acme", job_id("a"), owner="them", now=at(3), until=at(9))
    assert mine is not None
    assert theirs is not None
    memory = a_memory("a")
    with pytest.raises(LeaseLostError):
        ledger.append(add(memory), completing=replace(mine, state=JobState.SUCCEEDED))
    assert ledger.read("acme", [memory.id]) == {}
    done = replace(theirs, state=JobState.SUCCEEDED)
    ledger.append(add(memory), completing=done)
    assert ledger.job("acme", done.id) == done


def test_a_finished_job_stays_as_it_is_and_takes_repeats_only(ledger: Ledger) -> None:
    done = a_job("a", state=JobState.SUCCEEDED)
    memory = a_memory("a")
    ledger.append(add(memory), completing=done)
    ledger.append(add(memory), completing=replace(done, error="later"))
    with pytest.raises(LeaseLostError):
        ledger.append(add(memory), completing=replace(done, lease_owner="a late worker"))
    with pytest.raises(LeaseLostError):
        ledger.append(add(memory, a_memory("a", 1)), completing=done)
    assert ledger.job("acme", done.id) == done
    assert len(ledger.list_memories("acme", {}, limit=9).items) == 1


def test_a_superseded_memory_that_is_brought_back_is_live_everywhere(ledger: Ledger) -> None:
    old, new = (
        a_memory("old", text="in Hue", extracted=True),
        a_memory("new", text="in Hanoi", extracted=True, second=1),
    )
    ledger.append(add(old))
    gone = update(old, second=1, superseded_by=new.id)
    ledger.append([*add(new), gone])
    # Nobody live has its text any more, so another extraction may store it.
    again = a_memory("again", text="in Hue", extracted=True, second=2)
    ledger.append(add(again))
    back = update(gone.memory, second=3, superseded_by=None, extracted=False)
    ledger.append([back])
    ledger.append([back])  # a repeat
    assert ledger.read("acme", [old.id]) == {old.id: back.memory}
    assert ids(ledger.list_memories("acme", {"user_id": "anna"}, limit=9).items) == [again.id, new.id, old.id]
    assert {memory.id for memory in ledger.mark_indexed([back.memory, new, again])} == set()
    assert [event.memory.superseded_by for event in ledger.history("acme", old.id)] == [None, new.id, None]
    assert entities_of(ledger, "acme")[0].total_memories == 3
    with pytest.raises(DuplicateTextError):
        ledger.append(add(a_memory("third", text="in Hue", extracted=True, second=4)))
    assert ledger.faults(seconds=20, thorough=True).found == ()


def test_who_wrote_a_memory_is_no_difference_between_repeats(ledger: Ledger) -> None:
    memory = a_memory("a", source_key="one", role="tool")
    ledger.append(add(memory))
    ledger.append(add(replace(memory, source_key="two")))
    assert ledger.read("acme", [memory.id])[memory.id].source_key == "one"
