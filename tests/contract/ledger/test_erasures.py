"""Erasures: numbers and markers, what a marker refuses, and the pages from which its rows are removed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from forgetless.domain.erasures import ErasureState, Markers, Target
from forgetless.domain.errors import DuplicateTextError, ErasedError, ShownErasedError, VersionConflictError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Message
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.ports.request_ledger import PageEnd, Shown
from tests.contract.ledger.making import ANNA, a_job, a_memory, a_message, add, at, delete, in_processes, job_id, update

BOB = Scope("acme", user_id="bob")
ANNAS = Target({"user_id": "anna"})


def erase(ledger: Ledger, *targets: Target, second: int = 5) -> int:
    return ledger.begin_erasure("acme", targets, at=at(second)).number


def messages_of(ledger: Ledger, ids: dict[str, str], limit: int) -> list[Message]:
    found: list[Message] = []
    cursor: str | None = None
    while True:
        page, cursor = ledger.scope_messages("acme", ids, limit=limit, cursor=cursor)
        found += page
        if cursor is None:
            return found


def test_erasures_are_numbered_and_the_state_says_which_hide(ledger: Ledger) -> None:
    assert ledger.erasure_state("acme") == ErasureState()
    assert [erase(ledger, ANNAS), erase(ledger, Target()), erase(ledger, ANNAS)] == [1, 2, 3]
    state = ledger.erasure_state("acme")
    assert (state.last, state.hiding, state.first) == (3, 3, 1)
    assert state.key
    assert ledger.erasure_state("other") == ErasureState()
    ledger.end_erasure("acme", 1, expires_at=at(50))
    ledger.end_erasure("acme", 1, expires_at=at(50))
    assert ledger.erasure_state("acme") == replace(state, hiding=2, first=2)
    ledger.end_erasure("acme", 3, expires_at=at(50))
    assert ledger.erasure_state("acme") == replace(state, hiding=1, first=2)
    ledger.end_erasure("acme", 2, expires_at=at(50))
    assert ledger.erasure_state("acme") == replace(state, hiding=0, first=0)
    assert erase(ledger, ANNAS) == 4
    assert ledger.erasure_state("acme") == replace(state, last=4, hiding=1, first=4)


def test_each_erasure_has_an_id_of_its_own_in_whatever_ledger(ledger: Ledger) -> None:
    begun = [ledger.begin_erasure(tenant, [ANNAS], at=at(5)) for tenant in ("acme", "acme", "beta")]
    assert len({one.identity for one in begun}) == 3
    assert all(len(one.id) == 32 for one in begun)


def test_numbers_can_be_raised_and_never_fall(ledger: Ledger) -> None:
    ledger.raise_erasures("acme", 7)
    assert (ledger.erasure_state("acme").last, ledger.erasure_state("acme").hiding) == (7, 0)
    ledger.raise_erasures("acme", 3)
    assert erase(ledger, ANNAS) == 8
    ledger.raise_erasures("acme", 9)
    state = ledger.erasure_state("acme")
    assert (state.last, state.hiding, state.first) == (9, 1, 8)


def test_a_ledger_keeps_its_incarnation_until_it_gets_another(reopen: Callable[[], Ledger]) -> None:
    with closing(reopen()) as ledger:
        ledger.append(add(a_memory("a")))
        first = ledger.incarnation()
        assert first
    with closing(reopen()) as ledger:
        assert ledger.incarnation() == first
        ledger.set_incarnation("second")
        assert ledger.incarnation() == "second"
    with closing(reopen()) as ledger:
        assert ledger.incarnation() == "second"
        assert ledger.migrate() == 0
        ledger.append(add(a_memory("b")))
        assert ledger.incarnation() == "second"


def test_an_empty_ledger_can_get_an_incarnation(ledger: Ledger) -> None:
    ledger.set_incarnation("restored")
    ledger.append(add(a_memory("a")))
    assert ledger.incarnation() == "restored"


def test_an_erasure_is_there_in_clear_until_it_ends(ledger: Ledger) -> None:
    odd = Target({"user_id": "\ud800 anna", "run_id": "r"}, ("agent_id",))
    begun = ledger.begin_erasure("acme", [odd, ANNAS], at=at(5))
    assert ledger.erasure("acme", 1) == begun
    assert ledger.open_erasures(limit=9, each=9) == [begun]
    later = ledger.begin_erasure("beta", [Target()], at=at(6))
    assert ledger.open_erasures(limit=9, each=9) == [begun, later]
    assert ledger.open_erasures(limit=1, each=9) in ([begun], [later])
    ledger.end_erasure("acme", 1, expires_at=at(50))
    assert ledger.erasure("acme", 1) is None
    assert ledger.erasure("acme", 9) is None
    assert ledger.open_erasures(limit=9, each=9) == [later]


def test_markers_are_read_from_a_number_on_and_say_what_they_cover(ledger: Ledger) -> None:
    for target in (ANNAS, Target({"user_id": "bob"}, ("run_id",)), Target({"agent_id": "g", "user_id": "cid"})):
        erase(ledger, target)
    assert [marker.number for marker in ledger.erasure_markers("acme", beyond=1)] == [2, 3]
    state = ledger.erasure_state("acme")
    markers = Markers(state.key, ledger.erasure_markers("acme", beyond=0))
    covered = {
        scope: markers.cover(a_memory("a", scope=scope))
        for scope in (
            ANNA,
            replace(ANNA, run_id="r"),
            BOB,
            replace(BOB, run_id="r"),
            Scope("acme", user_id="cid"),
            Scope("acme", user_id="cid", agent_id="g", app_id="x"),
        )
    }
    assert list(covered.values()) == [True, True, False, True, False, True]
    assert not markers.cover(a_memory("a", erasures_before=1))
    assert "anna" not in str(ledger.erasure_markers("acme", beyond=0))


def test_what_was_accepted_before_an_erasure_is_refused_after_it(ledger: Ledger) -> None:
    erase(ledger, ANNAS)
    with pytest.raises(ErasedError):
        ledger.append(add(a_memory("a")))
    with pytest.raises(ErasedError):
        ledger.append([], completing=a_job("a", state=JobState.SUCCEEDED), messages=[a_message("a")])
    with pytest.raises(ErasedError):
        ledger.put_job(a_job("a"), [])
    assert ledger.job("acme", a_job("a").id) is None
    ledger.append(add(a_memory("b", scope=BOB)))
    ledger.append(add(a_memory("c", erasures_before=1)))
    assert ledger.put_job(a_job("d", erasures_before=1), []).erasures_before == 1


def test_the_end_of_an_erasure_lets_nothing_old_in(ledger: Ledger) -> None:
    erase(ledger, ANNAS)
    ledger.end_erasure("acme", 1, expires_at=at(50))
    with pytest.raises(ErasedError):
        ledger.append(add(a_memory("a")))


def test_a_covered_memory_cannot_be_changed_but_deleted(ledger: Ledger) -> None:
    memory = a_memory("a")
    ledger.append(add(memory))
    erase(ledger, ANNAS)
    with pytest.raises(VersionConflictError):
        ledger.append([update(memory, text="other")])
    ledger.append([delete(memory)])
    assert ledger.read("acme", [memory.id])[memory.id].deleted


def test_a_change_keeps_the_number_and_a_newer_memory_can_be_changed(ledger: Ledger) -> None:
    erase(ledger, ANNAS)
    memory = a_memory("a", erasures_before=1)
    ledger.append(add(memory))
    ledger.append([update(memory, text="other")])
    assert ledger.read("acme", [memory.id])[memory.id].erasures_before == 1


def test_a_text_that_only_covered_memories_have_is_new(ledger: Ledger) -> None:
    ledger.append(add(a_memory("a", text="tea", extracted=True)))
    erase(ledger, ANNAS)
    again = a_memory("b", text="tea", extracted=True, erasures_before=1)
    ledger.append(add(again))
    with pytest.raises(DuplicateTextError):
        ledger.append(add(a_memory("c", text="tea", extracted=True, erasures_before=1)))


def test_work_that_has_seen_what_is_deleted_is_refused(ledger: Ledger) -> None:
    seen, other = a_memory("a"), a_memory("b", scope=BOB)
    heard = a_message("a")
    ledger.append(add(seen, other), messages=[heard])
    new = add(a_memory("c", scope=BOB))
    ledger.erase_messages("acme", [a_message("z").ref], at=at(2))
    with pytest.raises(ShownErasedError):
        ledger.append(new, shown=Shown((other.id,), (a_message("z").ref,)))
    ledger.append([delete(other)])
    with pytest.raises(ShownErasedError):
        ledger.append(new, shown=Shown((seen.id, other.id)))
    erase(ledger, ANNAS)
    with pytest.raises(ShownErasedError):
        ledger.append(new, shown=Shown((seen.id,)))
    ledger.append(new, shown=Shown((), (heard.ref,)))


#: Each read that brings the erasure state along.
READS: dict[str, Callable[[Ledger], object]] = {
    "read": lambda ledger: ledger.read("acme", [a_memory("a").id, "unknown"]),
    "read_messages": lambda ledger: ledger.read_messages("acme", [a_message("a").ref]),
    "recent_messages": lambda ledger: ledger.recent_messages(ANNA, since="", before=at(9), limit=9),
    "list_memories": lambda ledger: ledger.list_memories("acme", {"user_id": "anna"}, limit=9).items,
    "kept_totals": lambda ledger: ledger.kept_totals("acme", {}),
    "entity": lambda ledger: ledger.entity("acme", "user", "anna"),
    "job": lambda ledger: ledger.job("acme", job_id("a")),
    "jobs": lambda ledger: ledger.jobs("acme", limit=9)[0],
    "page_end": lambda ledger: ledger.page_end("acme", "page", now=at(1)),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_brings_the_state_along(ledger: Ledger, name: str) -> None:
    ledger.append(add(a_memory("a")), completing=a_job("a", state=JobState.SUCCEEDED), messages=[a_message("a")])
    ledger.keep_page_end("acme", "page", PageEnd("z", 1, 1, exact=True), now=at(0), expires_at=at(60))
    erase(ledger, Target({"user_id": "cid"}))
    state = ledger.erasure_state("acme")
    with ledger.erasures_beside("acme") as beside, ledger.erasures_beside("beta") as others:
        alone = READS[name](ledger)
    assert (beside.state, others.state) == (state, ErasureState())
    assert alone, "it finds the same with and without the state"
    assert alone == READS[name](ledger)


def test_the_state_beside_a_read_is_that_of_its_first_batch(ledger: Ledger) -> None:
    with ledger.erasures_beside("acme") as beside:
        ledger.read("acme", ["unknown"])
        erase(ledger, ANNAS)
        ledger.read("acme", ["unknown"])
    assert beside.state == ErasureState()
    with ledger.erasures_beside("acme") as beside:
        pass
    assert beside.state in (None, ledger.erasure_state("acme")), "without a read it may not be known"


def test_a_job_that_a_marker_covers_cannot_be_claimed(ledger: Ledger) -> None:
    for name, scope in (("a", ANNA), ("b", BOB)):
        ledger.put_job(a_job(name, scope=scope), [])
    erase(ledger, ANNAS)

    def claimed(name: str) -> bool:
        return ledger.claim_job("acme", job_id(name), owner="w", now=at(1), until=at(9)) is not None

    assert [claimed(name) for name in "ab"] == [False, True]
    ledger.put_job(a_job("c", erasures_before=1), [])
    assert claimed("c")


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_all_messages_of_a_scope_are_read_page_by_page(ledger: Ledger, limit: int) -> None:
    run = replace(ANNA, run_id="r")
    said = [a_message(name, place, scope=scope) for name, scope in (("a", ANNA), ("b", run)) for place in range(3)]
    said = [replace(message, erasures_before=place) for place, message in enumerate(said)]
    others = [a_message("c", scope=BOB), a_message("d", scope=Scope("beta", user_id="anna"))]
    for message in [*said, *others]:
        ledger.append([], messages=[message])

    def found(ids: dict[str, str]) -> list[Message]:
        return sorted(messages_of(ledger, ids, limit), key=lambda message: message.erasures_before)

    assert found({"user_id": "anna"}) == said
    assert found({"user_id": "anna", "run_id": "r"}) == said[3:]
    assert {message.ref for message in messages_of(ledger, {}, limit)} == {m.ref for m in [*said, others[0]]}
    assert found({"app_id": "x"}) == []


def begin(ledger: Ledger, _: int) -> list[int]:
    return [ledger.begin_erasure("acme", [ANNAS], at=at(5)).number for _ in range(5)]


def test_no_two_erasures_have_one_number(reopen: Callable[[], Ledger]) -> None:
    numbers = [number for found in in_processes(reopen, begin, 3) for number in found]
    assert sorted(numbers) == list(range(1, 16))
