"""A ledger that was restored from a copy: what the log has of after the copy is erased again, on both ledgers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.erasure_log_file import FileErasureLog
from forgetless.domain.bulk_jobs import BULK_JOB
from forgetless.domain.erasure_log import LoggedErasure, LoggedRestore, Moment, erased_since, logged
from forgetless.domain.erasures import Erasure, Target
from forgetless.domain.known_names import NameOwner, NoteworthyName
from forgetless.domain.scope import Scope
from forgetless.ports.ledger import Ledger
from forgetless.service.access.hiding_operator_ledger import HidingOperatorLedger
from forgetless.service.jobs import erasure_replay
from forgetless.service.jobs.erasure_replay import ErasureReplay, ReplayReport, tenants_of
from tests.contract.ledger.making import ANNA, a_memory, a_message, add, at, update

BOB = Scope("acme", user_id="bob")
IN_RUN = Scope("acme", user_id="bob", run_id="r")
ANNAS = Target({"user_id": "anna"})


@pytest.fixture
def log(tmp_path: Path) -> FileErasureLog:
    return FileErasureLog(tmp_path / "erasures")


def erased_later(ledger: Ledger, log: FileErasureLog, number: int, *targets: Target, tenant: str = "acme") -> None:
    """Note an erasure that the ledger does not have, as after its copy."""
    line = logged(log.key(), ledger.incarnation(), Erasure(tenant, number, targets, at(5), f"{tenant} {number}"))
    log.write(line)


def replayed(ledger: Ledger, log: FileErasureLog, *, include_erased: bool = False) -> ReplayReport:
    replay = ErasureReplay(ledger=ledger, log=log, clock=SystemClock())
    return replay.run(tenants_of(ledger), include_erased=include_erased, tell=lambda *_: None)


def visible(ledger: Ledger, tenant: str = "acme") -> set[str]:
    page = HidingOperatorLedger(ledger).list_memories(tenant, {}, limit=99, superseded=True)
    return {memory.text for memory in page.items}


def filled(ledger: Ledger) -> None:
    """Memories of three scopes and two tenants, a superseded one, and a message without a memory."""
    old = a_memory("a", 0, text="old of anna")
    ledger.append(add(old, a_memory("a", 1, text="of anna")))
    ledger.append(add(a_memory("b", 0, text="of bob", scope=BOB), a_memory("b", 1, text="of the run", scope=IN_RUN)))
    ledger.append(add(a_memory("c", text="of the other anna", scope=Scope("beta", user_id="anna"))))
    ledger.append([update(old, superseded_by=a_memory("a", 1).id)])
    ledger.append([], messages=[a_message("d", content="said by cid", scope=Scope("acme", user_id="cid"))])


def test_it_hides_what_was_erased_after_the_copy_and_nothing_else(ledger: Ledger, log: FileErasureLog) -> None:
    filled(ledger)
    erased_later(ledger, log, 1, ANNAS)
    erased_later(ledger, log, 2, Target({"user_id": "bob"}, ("run_id",)), Target({"user_id": "cid"}))
    erased_later(ledger, log, 3, Target({"user_id": "nobody"}))
    assert replayed(ledger, log) == ReplayReport(3, 3)
    assert visible(ledger) == {"of bob"}
    assert visible(ledger, "beta") == {"of the other anna"}
    hidden = HidingOperatorLedger(ledger).job_messages("acme", a_message("d").ref.job_id)
    assert hidden == []
    jobs, _ = ledger.documents("acme", BULK_JOB, limit=9)
    assert [job.body["kind"] for job in jobs] == ["erase"]
    assert ledger.due_documents(BULK_JOB, now=SystemClock().now(), limit=9) == jobs


def test_names_of_speakers_are_hidden_with_what_was_erased_after_the_copy(ledger: Ledger, log: FileErasureLog) -> None:
    filled(ledger)
    for scope in (ANNA, BOB, IN_RUN):
        ledger.note_names(scope, [NoteworthyName(f"name of {scope.user_id}{scope.run_id}", True)], erasures_before=0)
    erased_later(ledger, log, 1, ANNAS, Target({"run_id": "r"}))
    replayed(ledger, log)
    owners = [NameOwner.user("acme", user) for user in ("anna", "bob")]
    found = HidingOperatorLedger(ledger).known_names("acme", owners)
    assert [entry.digest for record in found.values() for entry in record.entries] == ["name of bob"]


def test_a_reset_erases_the_whole_tenant_again(ledger: Ledger, log: FileErasureLog) -> None:
    filled(ledger)
    erased_later(ledger, log, 1, Target())
    replayed(ledger, log)
    assert (visible(ledger), visible(ledger, "beta")) == (set(), {"of the other anna"})


def test_what_the_copy_has_after_an_erasure_stays(ledger: Ledger, log: FileErasureLog) -> None:
    begun = ledger.begin_erasure("acme", [ANNAS], at=at(5))
    log.write(logged(log.key(), ledger.incarnation(), begun))
    ledger.append(add(a_memory("a", text="added again", erasures_before=1)))
    assert replayed(ledger, log) == ReplayReport()
    assert visible(ledger) == {"added again"}


def test_new_erasures_have_numbers_above_those_of_the_log_and_other_ids(ledger: Ledger, log: FileErasureLog) -> None:
    filled(ledger)
    for number in (1, 2, 7):
        erased_later(ledger, log, number, ANNAS)
    before = ledger.incarnation()
    replayed(ledger, log)
    assert ledger.incarnation() != before
    assert LoggedRestore(ledger.incarnation(), before) in list(log.lines())
    known = {line.id for line in log.lines() if isinstance(line, LoggedErasure)}
    begun = ledger.begin_erasure("acme", [ANNAS], at=at(9))
    assert begun.number > 7
    assert begun.id not in known


def test_a_copy_of_the_restored_ledger_loses_nothing_to_what_it_has_seen(ledger: Ledger, log: FileErasureLog) -> None:
    filled(ledger)
    erased_later(ledger, log, 1, ANNAS)
    replayed(ledger, log)
    last = ledger.erasure_state("acme").last
    ledger.append(add(a_memory("n", text="added again", erasures_before=last)))
    assert replayed(ledger, log) == ReplayReport()
    assert "added again" in visible(ledger)


def test_an_older_copy_loses_also_what_was_erased_after_a_restore(ledger: Ledger, log: FileErasureLog) -> None:
    filled(ledger)
    source = ledger.incarnation()
    log.write(LoggedRestore("second", source))
    log.write(logged(log.key(), "second", Erasure("acme", 1, (ANNAS,), at(5), "x")))
    log.write(logged(log.key(), "unrelated", Erasure("acme", 9, (Target(),), at(5), "y")))
    replayed(ledger, log)
    assert visible(ledger) == {"of bob", "of the run"}


def test_what_was_erased_can_be_kept_on_demand(ledger: Ledger, log: FileErasureLog) -> None:
    filled(ledger)
    erased_later(ledger, log, 1, Target())
    before = ledger.incarnation()
    assert replayed(ledger, log, include_erased=True) == ReplayReport()
    assert len(visible(ledger)) == 4
    assert replayed(ledger, log) == ReplayReport(), "the restored ledger is not the one that erased"
    assert erased_since(log.lines(), Moment(before, 0))


class Killed(BaseException):
    """The end of a process: no code handles it."""


class _Mortal:
    """A part whose process dies before or after its call with this number."""

    def __init__(self, part: Any, deadly: int, numbers: Iterator[int], *, after: bool) -> None:
        self._part, self._deadly, self._numbers, self._after = part, deadly, numbers, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)

        def call(*arguments: Any, **named: Any) -> Any:
            dies = next(self._numbers) == self._deadly
            if dies and not self._after:
                raise Killed
            result = method(*arguments, **named)
            if dies:
                raise Killed
            return result

        return call


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_it_may_die_at_any_step_and_run_again(
    reopen: Callable[[], Ledger], log: FileErasureLog, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    monkeypatch.setattr(erasure_replay, "_TARGETS", 1)
    with closing(reopen()) as ledger:
        filled(ledger)
        erased_later(ledger, log, 1, ANNAS)
        erased_later(ledger, log, 2, Target({"user_id": "bob"}))
        # Each run begins where the one before died: over SQLite at every step, over moto at every third.
        step = 1 if type(ledger).__name__ == "SqliteLedger" else 3
        for deadly in count(0, step):
            numbers = count()
            mortal = _Mortal(ledger, deadly, numbers, after=after)
            dying_log = _Mortal(log, deadly, numbers, after=after)
            try:
                replayed(mortal, dying_log)  # type: ignore[arg-type]
            except Killed:
                continue
            break
        assert visible(ledger) == set()
        assert visible(ledger, "beta") == {"of the other anna"}
