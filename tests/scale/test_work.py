"""The counting itself: what grows is noticed, also behind a single call, and is ended at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetless.domain.errors import LedgerError
from tests.fakes.clock import FakeClock
from tests.scale.counting_sqlite import CountingSqlite
from tests.scale.filled_ledger import ALICE, TENANT, fill, fill_sqlite
from tests.scale.work import CALL_S, STATEMENT_S, Meter, TooMuchWorkError, Work, allowed, counted, growth


@pytest.fixture
def meter() -> Meter:
    return Meter(FakeClock())


def test_a_call_more_for_each_memory_is_growth(meter: Meter, tmp_path: Path) -> None:
    ledger = CountingSqlite(tmp_path / "ledger.db", meter)
    plain = fill(ledger, 200).plain
    work = []
    for number in (5, 10):
        with meter.measuring() as measured:
            for memory in plain[:number]:
                counted("ledger", ledger, meter).read(TENANT, [memory])
        work.append(measured)
    assert growth(*work)[0] == "ledger calls: 5 in the smaller ledger, 10 in the larger"
    assert "  of them ledger.read: 5 and 10" in growth(*work)
    assert growth(work[0], work[0]) == []
    ledger.close()


def test_rows_that_one_call_hides_are_growth(tmp_path: Path) -> None:
    work = []
    for size in (200, 800):
        meter = Meter(FakeClock())
        fill_sqlite(tmp_path / f"{size}.db", size)
        ledger = CountingSqlite(tmp_path / f"{size}.db", meter)
        with meter.measuring() as measured:
            counted("ledger", ledger, meter).tally(TENANT, limit=10_000)
        work.append(measured)
        ledger.close()
    small, large = work
    assert small["ledger calls"] == large["ledger calls"] == 1
    assert small["SQLite statements"] == large["SQLite statements"] > 0
    assert [line.partition(":")[0] for line in growth(small, large)] == ["SQLite steps"]


def test_a_statement_that_takes_too_many_steps_is_interrupted(meter: Meter, tmp_path: Path) -> None:
    fill_sqlite(tmp_path / "ledger.db", 400)
    ledger = CountingSqlite(tmp_path / "ledger.db", meter)
    with meter.measuring(Work({"SQLite steps": 500})), pytest.raises(LedgerError, match="interrupted"):
        ledger.list_memories(TENANT, ALICE.ids(), limit=400)
    assert meter.exceeded == "SQLite steps"
    ledger.close()


def test_a_call_too_many_is_refused(meter: Meter, tmp_path: Path) -> None:
    ledger = CountingSqlite(tmp_path / "ledger.db", meter)
    reading = counted("ledger", ledger, meter)
    with meter.measuring(Work({"ledger calls": 1})):
        reading.read(TENANT, ["nobody"])
        with pytest.raises(TooMuchWorkError, match="ledger calls"):
            reading.read(TENANT, ["nobody"])
    ledger.close()


def test_calls_and_statements_take_time_of_the_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    meter = Meter(clock)
    ledger = CountingSqlite(tmp_path / "ledger.db", meter)
    ledger.read(TENANT, ["nobody"])  # the file is opened
    with meter.measuring() as work:
        counted("ledger", ledger, meter).read(TENANT, ["nobody"])
    assert clock.monotonic() == pytest.approx(CALL_S + work["SQLite statements"] * STATEMENT_S)
    ledger.close()


def test_a_port_that_the_smaller_ledger_did_not_need_may_not_begin_to_be_used() -> None:
    assert growth(Work({"ledger calls": 3}), Work({"ledger calls": 3, "llm calls": 3}))
    assert not growth(Work({"ledger calls": 3}), Work({"ledger calls": 3, "llm calls": 1}))
    assert allowed(Work({"ledger calls": 100}))["ledger calls"] == 110
