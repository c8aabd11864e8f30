"""Short histories in which an answer shows what it must not, or lacks what it must show; each with its anomaly."""

from __future__ import annotations

from tests.histories.anomalies import AnomalyKind
from tests.histories.history_script import Script, Write, event, state

__all__ = ["PLANTED"]


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


def a_memory_that_one_list_misses(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.list((2, 3))
    script.list((4, 5), state("m", "tea"))


def an_update_that_misses_its_memory(script: Script) -> None:
    script.add((0, 1), "m", "tea")
    script.update((2, 3), "m", text="milk", status=404)
    script.list((4, 5), state("m", "tea"))


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


PLANTED: dict[Write, AnomalyKind] = {
    a_stale_get: AnomalyKind.STALE_READ,
    a_stale_list: AnomalyKind.STALE_READ,
    a_text_of_nobody: AnomalyKind.NEVER_WRITTEN,
    a_memory_of_nobody: AnomalyKind.NEVER_WRITTEN,
    a_value_of_metadata_of_nobody: AnomalyKind.NEVER_WRITTEN,
    a_memory_before_its_add: AnomalyKind.NEVER_WRITTEN,
    a_memory_that_one_list_misses: AnomalyKind.LIST_MISSES,
    an_update_that_misses_its_memory: AnomalyKind.MISSING,
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
    a_history_that_lacks_a_change: AnomalyKind.HISTORY_DISAGREES,
    a_deleted_memory_whose_history_speaks: AnomalyKind.ERASED_LEGIBLE,
    a_deleted_memory_in_an_export: AnomalyKind.ERASED_LEGIBLE,
}
