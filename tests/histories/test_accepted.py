"""What may happen is accepted: operations that overlap, and what is not known both ways."""

from __future__ import annotations

import pytest

from tests.histories.checker import check
from tests.histories.history_script import Script, Write, event, state


def both_orders_of_two_updates(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 5), "m", text="milk")
    script.update((3, 6), "m", text="juice")
    script.get((4, 7), "m", state("m", "juice"))
    script.get((8, 9), "m", state("m", "milk"))


def a_read_beside_an_update_that_sees_the_state_before(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 5), "m", 2, text="milk")
    script.get((3, 4), "m", state("m", "tea", 1))
    script.get((3, 6), "m", state("m", "milk", 2))


def an_unknown_update_that_happened(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, None), "m", text="milk")
    script.get((4, 5), "m", state("m", "milk", 2))


def an_unknown_update_that_did_not(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, None), "m", text="milk")
    script.get((4, 5), "m", state("m", "tea", 1))


def an_unknown_update_that_happened_long_after_its_client_gave_up(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk", status=0)
    script.get((4, 5), "m", state("m", "tea", 1))
    script.update((6, 7), "m", 2, metadata={"k": 1})
    script.get((8, 9), "m", state("m", "milk", 3, metadata={"k": 1}))


def an_unknown_delete_both_ways(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((0, 1), "n", "milk")
    script.delete((2, None), "m")
    script.delete((2, None), "n")
    script.list((4, 5), state("n", "milk"))
    script.get((6, 7), "n", state("n", "milk"))


def an_unknown_add_both_ways(script: Script) -> None:
    script.add((0, None), "", "tea")
    script.add((0, None), "", "milk")
    script.list((2, 3))
    script.list((4, 5), state("m", "tea"))


def an_unknown_scope_delete_that_takes_some(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((0, 1), "n", "milk")
    script.delete_scope((2, None))
    script.list((4, 5), state("n", "milk"))
    script.list((6, 7), state("n", "milk"))


def a_scope_delete_that_takes_memories_one_after_the_other(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((0, 1), "n", "milk")
    script.delete_scope((2, 9))
    script.list((3, 4), state("n", "milk"))
    script.get((5, 6), "n", state("n", "milk"))


def an_add_before_or_after_a_scope_delete_beside_it(script: Script) -> None:
    script.add((0, 3), "m", "tea")
    script.add((0, 3), "n", "milk")
    script.delete_scope((1, 2))
    script.list((4, 5), state("n", "milk"))


def a_queued_add_that_an_erase_cancels(script: Script) -> None:
    script.add((0, 5), "", "tea", infer=True, erased=True)
    script.delete_scope((1, 2))
    script.list((6, 7))


def an_accepted_add_whose_memory_is_erased_before_anybody_reads_it(script: Script) -> None:
    """Its answer told no id, and of the memory an export has only blank events, which name nobody."""
    script.add((0, 3), "", "tea", infer=True, status=0)
    script.delete_scope((4, 5))
    script.export((6, 7), event("ADD", "m", "", 1, scope={}), event("DELETE", "m", "", 2, scope={}))


def an_add_whose_answer_is_lost_and_whose_memory_is_deleted(script: Script) -> None:
    """The repeat under its Idempotency-Key tells those that are left."""
    script.add((0, 5), "", "tea")
    script.delete_scope((2, 3))
    script.list((6, 7))


def a_delete_by_filter_whose_job_takes_memories_one_after_the_other(script: Script) -> None:
    script.add((0, 1), "m", "tea", metadata={"k": 1})
    script.add((0, 1), "n", "milk", metadata={"k": 1})
    script.delete_matching((2, 9), {"k": 1})
    script.list((3, 4), state("n", "milk", metadata={"k": 1}))
    script.get((5, 6), "n", state("n", "milk", metadata={"k": 1}))
    script.list((10, 11))


def a_delete_by_filter_that_came_too_early_for_an_update(script: Script) -> None:
    script.add((0, 1), "m", "tea", metadata={"k": 1})
    script.delete_matching((2, 5), {"k": 2})
    script.update((3, 4), "m", 2, metadata={"k": 2})
    script.get((6, 7), "m", state("m", "tea", 2, metadata={"k": 2}))


def a_delete_by_filter_that_deletes_what_has_changed_since_it_looked(script: Script) -> None:
    script.add((0, 1), "m", "tea", metadata={"k": 1})
    script.delete_matching((2, 7), {"k": 1})
    script.update((3, 4), "m", 2, metadata={"k": 2})
    script.get((8, 9), "m", None)


def a_supersession_at_any_moment_of_the_add(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, 9), "n", "milk", infer=True, supersedes=[["m", "n"]])
    script.update((3, 4), "m", 2, metadata={"k": 1})
    script.list((5, 6), state("m", "tea", 2, metadata={"k": 1}))
    script.list((7, 8), state("n", "milk", 1))
    script.get((10, 11), "m", state("m", "tea", 3, metadata={"k": 1}, superseded_by="n"))


def a_supersession_of_what_was_deleted_before(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, 5), "n", "milk", infer=True, supersedes=[["m", "n"]])
    script.delete((3, 4), "m")
    script.list((6, 7), state("n", "milk"))


def a_supersession_by_an_unknown_add(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, None), "", "milk", infer=True)
    script.list((4, 5), state("n", "milk"))
    script.get((6, 7), "m", state("m", "tea", superseded_by="n"))


def an_update_of_a_superseded_memory(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.add((2, 3), "n", "milk", infer=True, supersedes=[["m", "n"]])
    script.update((4, 5), "m", state("m", "tea", 3, superseded_by="n", metadata={"k": 1}), metadata={"k": 1})


def an_expiration_that_hides_from_lists_and_not_from_gets(script: Script) -> None:
    script.add((0, 1), "m", "tea", indexed=True)
    script.update((2, 3), "m", 2, expiration="2020-01-01")
    script.list((4, 5))
    script.search((4, 5), "tea")
    script.get((4, 5), "m", state("m", "tea", 2, expiration="2020-01-01"))


def refusals(script: Script) -> None:
    script.update((0, 1), "m", text="milk", status=404)
    script.add((2, 3), "m", "tea")
    script.update((4, 5), "m", text="milk", if_version=3, status=412)
    script.update((4, 7), "m", text="juice", status=409)
    script.delete((8, 9), "m")
    script.delete((10, 11), "m", status=404)


def a_search_beside_a_change_that_misses_what_was_indexed(script: Script) -> None:
    script.add((0, 1), "m", "tea", indexed=True)
    script.update((2, 5), "m", 2, metadata={"k": 1})
    script.search((3, 4), "tea")


def a_search_that_misses_what_was_not_called_indexed(script: Script) -> None:
    script.add((0, 1), "m", "tea", indexed=False)
    script.add((0, 1), "n", "milk")
    script.search((2, 3), "tea")
    script.search((2, 3), "milk")


def one_fact_of_two_adds(script: Script) -> None:
    script.add((0, 3), "m", "tea", infer=True)
    script.add((1, 4), "", "tea", infer=True)
    script.list((5, 6), state("m", "tea"))


def histories_that_grow_and_are_blanked(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk")
    script.tell((4, 5), "m", event("ADD", "m", "tea", 1), event("UPDATE", "m", "milk", 2))
    script.delete((6, 7), "m")
    blank = [event("ADD", "m", "", 1), event("UPDATE", "m", "", 2), event("DELETE", "m", "", 3)]
    script.tell((8, 9), "m", *blank)
    script.export((8, 9), *blank)


LEGAL = (
    both_orders_of_two_updates,
    a_read_beside_an_update_that_sees_the_state_before,
    an_unknown_update_that_happened,
    an_unknown_update_that_did_not,
    an_unknown_update_that_happened_long_after_its_client_gave_up,
    an_unknown_delete_both_ways,
    an_unknown_add_both_ways,
    an_unknown_scope_delete_that_takes_some,
    a_scope_delete_that_takes_memories_one_after_the_other,
    an_add_before_or_after_a_scope_delete_beside_it,
    a_queued_add_that_an_erase_cancels,
    an_accepted_add_whose_memory_is_erased_before_anybody_reads_it,
    an_add_whose_answer_is_lost_and_whose_memory_is_deleted,
    a_delete_by_filter_whose_job_takes_memories_one_after_the_other,
    a_delete_by_filter_that_came_too_early_for_an_update,
    a_delete_by_filter_that_deletes_what_has_changed_since_it_looked,
    a_supersession_at_any_moment_of_the_add,
    a_supersession_of_what_was_deleted_before,
    a_supersession_by_an_unknown_add,
    an_update_of_a_superseded_memory,
    an_expiration_that_hides_from_lists_and_not_from_gets,
    refusals,
    a_search_beside_a_change_that_misses_what_was_indexed,
    a_search_that_misses_what_was_not_called_indexed,
    one_fact_of_two_adds,
    histories_that_grow_and_are_blanked,
)


@pytest.mark.parametrize("write", LEGAL, ids=lambda write: write.__name__)
def test_it_is_accepted(write: Write) -> None:
    script = Script()
    write(script)

    judgement = check(script.history())

    assert judgement.anomalies == []
    assert judgement.undecided == []
