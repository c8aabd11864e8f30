"""Short histories in which a change is lost, doubled, or done where it must not be; each with its anomaly."""

from __future__ import annotations

from tests.histories.anomalies import AnomalyKind
from tests.histories.history_script import Script, Write, state

__all__ = ["PLANTED"]


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


def a_failed_add_that_is_there(script: Script) -> None:
    script.add((0, 1), "", "tea", status=503)
    script.list((2, 3), state("m", "tea"))


def a_failed_update_that_is_there(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk", status=409)
    script.get((4, 5), "m", state("m", "milk"))


def an_add_that_no_list_has(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.list((2, 3))


def an_add_that_no_get_has(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.get((2, 3), "m", None)


def an_add_that_answers_nothing(script: Script) -> None:
    script.add((0, 1), "", "tea")


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


PLANTED: dict[Write, AnomalyKind] = {
    two_updates_with_one_version: AnomalyKind.LOST_UPDATE,
    an_update_that_nobody_sees: AnomalyKind.LOST_UPDATE,
    an_update_made_of_an_old_state: AnomalyKind.LOST_UPDATE,
    a_failed_add_that_is_there: AnomalyKind.FAILED_TOOK_EFFECT,
    a_failed_update_that_is_there: AnomalyKind.FAILED_TOOK_EFFECT,
    an_add_that_no_list_has: AnomalyKind.LOST_ADD,
    an_add_that_no_get_has: AnomalyKind.LOST_ADD,
    an_add_that_answers_nothing: AnomalyKind.LOST_ADD,
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
    a_precondition_that_held: AnomalyKind.FALSE_PRECONDITION,
    a_precondition_that_did_not_hold: AnomalyKind.IGNORED_PRECONDITION,
    a_supersession_lost_beside_an_update: AnomalyKind.LOST_SUPERSESSION,
    a_metadata_key_lost: AnomalyKind.LOST_METADATA,
}
