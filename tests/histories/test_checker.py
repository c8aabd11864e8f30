"""Planted anomalies are found and named; what may happen is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.histories.anomalies import AnomalyKind
from tests.histories.checking import check
from tests.histories.history import History, Kind, Operation
from tests.histories.modelled import Shape, run
from tests.histories.shrinking import shrink
from tests.histories.written import Script, event, state

Plant = Callable[[Script], None]


def two_updates_with_one_version(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 5), "m", 2, text="milk")
    script.update((3, 6), "m", 2, text="juice")


def an_update_that_nobody_sees(script: Script) -> None:
    """Answers without versions: of two updates at once only one can be seen, with one event for both."""
    script.add((0, 1), "m", "tea")
    script.update((2, 5), "m", text="milk")
    script.update((3, 6), "m", metadata={"k": 1})
    script.get((7, 8), "m", state("m", "tea", metadata={"k": 1}))


def an_update_made_of_an_old_state(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 5), "m", state("m", "tea", expiration="2999-01-01"), expiration="2999-01-01")
    script.update((6, 7), "m", state("m", "milk"), text="milk")


def a_stale_get(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", 2, text="milk")
    script.get((4, 5), "m", state("m", "tea", 1))
    script.get((6, 7), "m", state("m", "milk", 2))


def a_stale_list(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk")
    script.list((4, 5), state("m", "tea"))
    script.list((6, 7), state("m", "milk"))


def a_text_of_nobody(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.get((2, 3), "m", state("m", "wine"))


def a_memory_of_nobody(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.list((2, 3), state("m", "tea"), state("n", "wine"))


def a_value_of_metadata_of_nobody(script: Script) -> None:
    script.add((0, 1), "m", "tea", metadata={"k": 1})
    script.get((2, 3), "m", state("m", "tea", metadata={"k": True}))


def a_memory_before_its_add(script: Script) -> None:
    script.get((0, 1), "m", state("m", "tea"))
    script.add((2, 3), "m", "tea")


def a_failed_add_that_is_there(script: Script) -> None:
    script.add((0, 1), "", "tea", status=503)
    script.list((2, 3), state("m", "tea"))


def an_add_that_no_list_has(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.list((2, 3))


def an_add_that_no_get_has(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.get((2, 3), "m", None)


def an_add_that_answers_nothing(script: Script) -> None:
    script.add((0, 1), "", "tea")


def a_memory_that_one_list_misses(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.list((2, 3))
    script.list((4, 5), state("m", "tea"))


def an_update_that_misses_its_memory(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk", status=404)
    script.list((4, 5), state("m", "tea"))


def an_unanswered_add_done_twice(script: Script) -> None:
    script.add((0, None), "", "tea")
    script.list((2, 3), state("m", "tea"), state("n", "tea"))


def an_answered_add_done_twice(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.list((2, 3), state("m", "tea"), state("n", "tea"))


def one_memory_for_two_adds(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, 3), "m", "milk")


def a_deleted_memory_that_comes_back(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete((2, 3), "m")
    script.get((4, 5), "m", None)
    script.get((6, 7), "m", state("m", "tea"))


def a_delete_that_does_nothing(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete((2, 3), "m")
    script.list((4, 5), state("m", "tea"))


def an_update_of_a_deleted_memory(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete((2, 3), "m")
    script.update((4, 5), "m", text="milk")


def two_deletes(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete((2, 4), "m")
    script.delete((3, 5), "m")


def a_memory_that_outlives_its_scope(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete_scope((2, 3))
    script.list((4, 5), state("m", "tea"))


def a_memory_that_outlives_a_delete_by_filter(script: Script) -> None:
    script.add((0, 1), "m", "tea", metadata={"k": 1})
    script.delete_matching((2, 3), {"k": 1})
    script.list((4, 5), state("m", "tea", metadata={"k": 1}))


def a_delete_by_filter_that_takes_another(script: Script) -> None:
    script.add((0, 1), "m", "tea", metadata={"k": 1})
    script.delete_matching((2, 3), {"k": 2})
    script.get((4, 5), "m", None)


def a_search_that_shows_what_was_superseded(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, 3), "n", "milk", infer=True, supersedes=[["m", "n"]])
    script.get((4, 5), "m", state("m", "tea", superseded_by="n"))
    script.search((6, 7), "tea", state("m", "tea", superseded_by="n"))


def a_list_that_shows_what_was_superseded(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, 3), "n", "milk", infer=True)
    script.get((4, 5), "m", state("m", "tea", superseded_by="n"))
    script.list((6, 7), state("m", "tea", superseded_by="n"), state("n", "milk"))


def a_search_that_shows_what_was_deleted(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete((2, 3), "m")
    script.search((4, 5), "tea", state("m", "tea"))


def a_search_that_shows_an_old_text(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk")
    script.search((4, 5), "tea", state("m", "tea"))
    script.get((6, 7), "m", state("m", "milk"))


def a_search_that_shows_what_has_expired(script: Script) -> None:
    script.add((0, 1), "m", "tea", expiration="2020-01-01")
    script.search((2, 3), "tea", state("m", "tea", expiration="2020-01-01"))


def a_search_that_misses_what_was_indexed(script: Script) -> None:
    script.add((0, 1), "m", "tea", indexed=True)
    script.search((2, 3), "tea")


def a_search_that_misses_an_update_that_was_indexed(script: Script) -> None:
    script.add((0, 1), "m", "tea", indexed=False)
    script.update((2, 3), "m", text="milk")
    script.add((4, 5), "n", "juice", indexed=True)
    script.search((6, 7), "juice")


def a_memory_twice_in_a_list(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.list((2, 3), state("m", "tea"), state("m", "tea"))


def a_memory_of_somebody_else(script: Script) -> None:
    script.add((0, 1), "m", "tea", scope={"user_id": "yan"})
    script.list((2, 3), state("m", "tea"))


def a_version_that_goes_back(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", 2, metadata={})
    script.get((4, 5), "m", state("m", "tea", 2))
    script.get((6, 7), "m", state("m", "tea", 1))


def a_version_that_nothing_made(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.get((2, 3), "m", state("m", "tea", 2))


def a_precondition_that_held(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk", if_version=1, status=412)


def a_precondition_that_did_not_hold(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", 2, text="milk")
    script.update((4, 5), "m", text="juice", if_version=1)


def a_supersession_lost_beside_an_update(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, 5), "n", "milk", infer=True, supersedes=[["m", "n"]])
    script.update((3, 6), "m", metadata={"k": 1})
    script.list((7, 8), state("m", "tea", metadata={"k": 1}), state("n", "milk"))


def a_metadata_key_lost(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 5), "m", 2, metadata={"k1": 1})
    script.update((3, 6), "m", 3, metadata={"k2": 2})
    script.get((7, 8), "m", state("m", "tea", 3, metadata={"k2": 2}))


def a_history_that_lacks_a_change(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", 2, text="milk")
    script.update((4, 5), "m", 3, text="juice")
    script.tell((6, 7), "m", event("ADD", "m", "tea", 1), event("UPDATE", "m", "juice", 2))


def a_deleted_memory_whose_history_speaks(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete((2, 3), "m")
    script.tell((4, 5), "m", event("ADD", "m", "tea", 1), event("DELETE", "m", "", 2))


def a_deleted_memory_in_an_export(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.delete((2, 3), "m")
    script.export((4, 5), event("ADD", "m", "tea", 1), event("DELETE", "m", "", 2))


PLANTED: dict[Plant, AnomalyKind] = {
    two_updates_with_one_version: AnomalyKind.LOST_UPDATE,
    an_update_that_nobody_sees: AnomalyKind.LOST_UPDATE,
    an_update_made_of_an_old_state: AnomalyKind.LOST_UPDATE,
    a_stale_get: AnomalyKind.STALE_READ,
    a_stale_list: AnomalyKind.STALE_READ,
    a_text_of_nobody: AnomalyKind.NEVER_WRITTEN,
    a_memory_of_nobody: AnomalyKind.NEVER_WRITTEN,
    a_value_of_metadata_of_nobody: AnomalyKind.NEVER_WRITTEN,
    a_memory_before_its_add: AnomalyKind.NEVER_WRITTEN,
    a_failed_add_that_is_there: AnomalyKind.FAILED_TOOK_EFFECT,
    an_add_that_no_list_has: AnomalyKind.LOST_ADD,
    an_add_that_no_get_has: AnomalyKind.LOST_ADD,
    an_add_that_answers_nothing: AnomalyKind.LOST_ADD,
    a_memory_that_one_list_misses: AnomalyKind.LIST_MISSES,
    an_update_that_misses_its_memory: AnomalyKind.MISSING,
    an_unanswered_add_done_twice: AnomalyKind.DOUBLED_ADD,
    an_answered_add_done_twice: AnomalyKind.DOUBLED_ADD,
    one_memory_for_two_adds: AnomalyKind.ONE_FOR_TWO,
    a_deleted_memory_that_comes_back: AnomalyKind.RESURRECTED,
    a_delete_that_does_nothing: AnomalyKind.LOST_DELETE,
    an_update_of_a_deleted_memory: AnomalyKind.CHANGED_AFTER_DELETE,
    two_deletes: AnomalyKind.DELETED_TWICE,
    a_memory_that_outlives_its_scope: AnomalyKind.SURVIVED_ERASE,
    a_memory_that_outlives_a_delete_by_filter: AnomalyKind.SURVIVED_ERASE,
    a_delete_by_filter_that_takes_another: AnomalyKind.LOST_ADD,
    a_search_that_shows_what_was_superseded: AnomalyKind.SEARCH_SHOWS_SUPERSEDED,
    a_list_that_shows_what_was_superseded: AnomalyKind.LIST_SHOWS_SUPERSEDED,
    a_search_that_shows_what_was_deleted: AnomalyKind.SEARCH_SHOWS_DELETED,
    a_search_that_shows_an_old_text: AnomalyKind.SEARCH_SHOWS_OLD,
    a_search_that_shows_what_has_expired: AnomalyKind.LIST_SHOWS_EXPIRED,
    a_search_that_misses_what_was_indexed: AnomalyKind.SEARCH_MISSES,
    a_search_that_misses_an_update_that_was_indexed: AnomalyKind.SEARCH_MISSES,
    a_memory_twice_in_a_list: AnomalyKind.LISTED_TWICE,
    a_memory_of_somebody_else: AnomalyKind.FOREIGN_SCOPE,
    a_version_that_goes_back: AnomalyKind.VERSION_BACKWARDS,
    a_version_that_nothing_made: AnomalyKind.VERSION_JUMPS,
    a_precondition_that_held: AnomalyKind.FALSE_PRECONDITION,
    a_precondition_that_did_not_hold: AnomalyKind.IGNORED_PRECONDITION,
    a_supersession_lost_beside_an_update: AnomalyKind.LOST_SUPERSESSION,
    a_metadata_key_lost: AnomalyKind.LOST_METADATA,
    a_history_that_lacks_a_change: AnomalyKind.HISTORY_DISAGREES,
    a_deleted_memory_whose_history_speaks: AnomalyKind.ERASED_LEGIBLE,
    a_deleted_memory_in_an_export: AnomalyKind.ERASED_LEGIBLE,
}


def history_of(plant: Plant) -> History:
    script = Script()
    plant(script)
    return script.history()


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_anomaly_is_found_and_named(plant: Plant) -> None:
    judgement = check(history_of(plant))

    assert [anomaly.kind for anomaly in judgement.anomalies] == [PLANTED[plant]]
    assert not judgement.undecided


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_its_shortest_history_is_found_in_a_long_one(plant: Plant) -> None:
    """Among hundreds of operations on other memories."""
    planted = history_of(plant)
    noise = run(3, Shape(300))
    others = tuple(replace(one, index=one.index + 1000, client=one.client + 10) for one in noise.operations)
    whole = replace(planted, operations=planted.operations + _afterwards(others))
    judgement = check(whole)
    (anomaly,) = judgement.anomalies

    short = shrink(whole, anomaly)

    assert anomaly.kind is PLANTED[plant]
    assert [one.index for one in short.operations if one.index >= 1000] == []
    assert len(short.operations) + len(short.start) <= len(planted.operations)
    assert PLANTED[plant] in {one.kind for one in check(short).anomalies}
    assert shrink(whole, anomaly) == short


def _afterwards(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """After all else, without exports, which would have to show what is planted."""
    known = [one for one in operations if one.kind is not Kind.EXPORT]
    return tuple(
        replace(one, started=one.started + 1e6, ended=None if one.ended is None else one.ended + 1e6) for one in known
    )
