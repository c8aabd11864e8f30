"""Names of speakers in the ledger: what is noted, bounded, covered by markers, erased and read by owner."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.domain.erasures import Markers, Target
from forgetless.domain.known_names import NameOwner, NoteworthyName
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import ANNA, at, in_processes
from tests.dynamo_server import DynamoServer

RUN = replace(ANNA, run_id="run")
AGENT = replace(ANNA, agent_id="agent", app_id="app", run_id="run")
ALONE = Scope("acme", agent_id="agent")
OF_ANNA = NameOwner.user("acme", "anna")


def given(*digests: str) -> list[NoteworthyName]:
    return [NoteworthyName(digest, given=True) for digest in digests]


def names(ledger: Ledger, *owners: NameOwner) -> list[set[str]]:
    found = ledger.known_names("acme", owners)
    return [{entry.digest for entry in found[owner].entries} if owner in found else set() for owner in owners]


def erase_names(ledger: Ledger, target: Target, before: int, limit: int = 100) -> None:
    cursor: str | None = None
    while (cursor := ledger.erase_names("acme", target, before=before, limit=limit, cursor=cursor)) is not None:
        pass


def test_a_name_is_known_for_its_user_and_for_the_place_where_it_was_said(ledger: Ledger) -> None:
    ledger.note_names(RUN, given("one"), erasures_before=0)
    ledger.note_names(AGENT, given("two"), erasures_before=0)
    ledger.note_names(ALONE, given("three"), erasures_before=0)

    owners = [OF_ANNA, NameOwner.place(RUN), NameOwner.place(ANNA), NameOwner.place(AGENT), NameOwner.place(ALONE)]
    assert names(ledger, *owners) == [{"one", "two"}, {"one"}, {"one"}, {"two"}, {"three"}]
    assert names(ledger, NameOwner.user("acme", "bob"), NameOwner.place(replace(AGENT, app_id=""))) == [set(), set()]
    assert ledger.known_names("other", [OF_ANNA]) == {}


def test_no_id_and_no_name_is_in_a_record(ledger: Ledger) -> None:
    ledger.note_names(AGENT, [NoteworthyName("one", uses=("u1",))], erasures_before=3)

    [entry] = ledger.known_names("acme", [OF_ANNA])[OF_ANNA].entries
    assert (entry.digest, entry.given, entry.uses, entry.erasures_before) == ("one", False, ("u1",), 3)
    assert set(entry.ids) == {"user_id", "agent_id", "app_id", "run_id"}
    assert not set(entry.ids.values()) & {"anna", "agent", "app", "run"}


def test_uses_of_a_prefix_add_up_and_a_repeat_adds_nothing(ledger: Ledger) -> None:
    for uses in (("u1",), ("u1",), ("u2",), ("u3",)):
        ledger.note_names(RUN, [NoteworthyName("one", uses=uses)], erasures_before=0)
    ledger.note_names(RUN, given("one"), erasures_before=0)

    [entry] = ledger.known_names("acme", [OF_ANNA])[OF_ANNA].entries
    assert (entry.uses, entry.given) == (("u1", "u2"), True)


def test_a_record_is_bounded(ledger: Ledger) -> None:
    ledger.note_names(RUN, [NoteworthyName("doubtful", uses=("u1",))], erasures_before=0)
    ledger.note_names(RUN, given(*(f"name {number:02d}" for number in range(80))), erasures_before=0)
    for run in range(9):
        scope = replace(ANNA, run_id=f"r{run}")
        ledger.note_names(scope, [NoteworthyName("name 00", uses=(f"u{run}",))], erasures_before=0)

    entries = ledger.known_names("acme", [OF_ANNA])[OF_ANNA].entries
    assert len({entry.digest for entry in entries}) == 60
    assert "doubtful" not in {entry.digest for entry in entries}
    assert len([entry for entry in entries if entry.digest == "name 00"]) <= 3


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (Target({"user_id": "anna"}), set()),
        (Target({"run_id": "run"}), {"other run", "no run"}),
        (Target({"user_id": "anna", "run_id": "run"}), {"other run", "no run"}),
        (Target({"agent_id": "agent"}), {"run", "other run", "no run"}),
        (Target({"app_id": "app"}), {"run", "other run", "no run"}),
        (Target({"user_id": "anna"}, ("agent_id",)), {"run", "other run", "no run"}),
        (Target({}, ("run_id",)), {"no run"}),
        (Target({"user_id": "anna", "run_id": ""}), {"run", "other run", "agent"}),
        (Target({"user_id": "bob"}), {"run", "other run", "no run", "agent"}),
        (Target(), set()),
    ],
)
def test_an_erasure_takes_the_names_that_were_said_in_its_scope(ledger: Ledger, target: Target, left: set[str]) -> None:
    scopes = {"run": RUN, "other run": replace(ANNA, run_id="other"), "no run": ANNA, "agent": AGENT}
    for name, scope in scopes.items():
        ledger.note_names(scope, given(name), erasures_before=0)
    ledger.note_names(ANNA, given("later"), erasures_before=1)

    erase_names(ledger, target, before=1, limit=1)

    assert names(ledger, OF_ANNA) == [left | {"later"}]
    places = names(ledger, NameOwner.place(ANNA), NameOwner.place(AGENT))
    assert places == [(left | {"later"}) - {"agent"}, left & {"agent"}]


def test_a_marker_covers_names_and_refuses_those_of_late_writers(ledger: Ledger) -> None:
    ledger.note_names(RUN, given("before"), erasures_before=0)
    ledger.begin_erasure("acme", [Target({"run_id": "run"})], at=at(5))
    ledger.note_names(RUN, given("late"), erasures_before=0)
    ledger.note_names(RUN, given("before", "after"), erasures_before=1)
    ledger.note_names(ANNA, given("elsewhere"), erasures_before=0)

    markers = Markers(ledger.erasure_state("acme").key, ledger.erasure_markers("acme", beyond=0))
    entries = ledger.known_names("acme", [OF_ANNA])[OF_ANNA].entries
    shown = {entry.digest for entry in entries if not markers.cover_scope(entry.ids, entry.erasures_before)}
    assert shown == {"before", "after", "elsewhere"}
    assert "late" not in {entry.digest for entry in entries}
    erase_names(ledger, Target({"run_id": "run"}), before=1)
    assert names(ledger, OF_ANNA) == [{"before", "after", "elsewhere"}]


def test_names_that_a_marker_hides_do_not_count_for_the_bounds(ledger: Ledger) -> None:
    ledger.note_names(RUN, given(*(f"name {number:02d}" for number in range(80))), erasures_before=0)
    ledger.begin_erasure("acme", [Target({"run_id": "run"})], at=at(5))
    ledger.note_names(ANNA, given("new"), erasures_before=1)

    assert "new" in names(ledger, OF_ANNA)[0]


def test_the_key_of_markers_stays_when_names_were_noted_before_the_first_erasure(ledger: Ledger) -> None:
    ledger.note_names(RUN, given("one"), erasures_before=0)
    state = ledger.erasure_state("acme")
    assert (state.last, state.hiding, bool(state.key)) == (0, 0, True)
    ledger.begin_erasure("acme", [Target()], at=at(5))
    assert ledger.erasure_state("acme").key == state.key


def test_a_closed_tenant_takes_no_names_and_loses_those_it_had(ledger: Ledger) -> None:
    ledger.note_names(AGENT, given("one"), erasures_before=0)
    ledger.close_tenant("acme", at=at(5))
    ledger.note_names(AGENT, given("two"), erasures_before=9)
    assert names(ledger, OF_ANNA) == [{"one"}]
    cursor: str | None = None
    while (cursor := ledger.remove_tenant("acme", limit=2, cursor=cursor)[1]) is not None:
        pass
    assert names(ledger, OF_ANNA, NameOwner.place(AGENT)) == [set(), set()]


def _note(ledger: Ledger, number: int) -> None:
    for each in range(10):
        ledger.note_names(RUN, given(f"{number} {each}"), erasures_before=0)


def test_processes_that_note_different_names_at_once_lose_none(reopen: Callable[[], Ledger]) -> None:
    with closing(reopen()) as ledger:
        ledger.note_names(RUN, given("first"), erasures_before=0)
    in_processes(reopen, _note, 2)
    with closing(reopen()) as ledger:
        noted = {f"{number} {each}" for number in range(2) for each in range(10)}
        assert names(ledger, OF_ANNA, NameOwner.place(RUN)) == [{"first", *noted}] * 2


def test_a_search_in_a_new_table_writes_nothing(
    dynamo: Callable[[], DynamoLedger], dynamo_server: DynamoServer
) -> None:
    with closing(dynamo()) as reader, closing(dynamo()) as writer:
        dynamo_server.calls.clear()
        assert reader.known_names("acme", [OF_ANNA]) == {}
        assert {operation for operation, _ in dynamo_server.calls} == {"GetItem"}
        writer.note_names(ANNA, given("one"), erasures_before=0)
        assert names(reader, OF_ANNA) == [{"one"}], "although it has seen the table without a key"
