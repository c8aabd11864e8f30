"""SQLite reads lists of memories and of jobs along an index: it sorts nothing and scans no table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BULK_JOB
from forgetless.domain.scope import Scope
from forgetless.domain.usage import UsageKind, Use
from tests.contract.ledger.making import a_job, a_memory, add, at

#: A step that reads every row of a table; an index that has only the rows in question may be read whole, and so may the
#: lanes of jobs, which are no table.
_WHOLE_TABLE = re.compile(r"SCAN (?!\(subquery|lanes\b)\w+(?! USING (?:COVERING )?INDEX)\b")
EVERY_ID = Scope("acme", user_id="anna", agent_id="bot", app_id="notes", run_id="talk")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(tmp_path / "ledger.db")) as ledger:
        ledger.append(add(*(a_memory("a", place, second=place, scope=EVERY_ID) for place in range(4))))
        for number in range(4):
            ledger.put_job(a_job(str(number)), ())
        yield ledger


def plans(ledger: SqliteLedger, ask: Callable[[], object]) -> list[str]:
    """How SQLite does each query of a question."""
    asked: list[str] = []
    ledger._connections.read(lambda db: db.set_trace_callback(asked.append))
    ask()
    ledger._connections.read(lambda db: db.set_trace_callback(None))
    queries = [query for query in asked if query.lstrip().startswith(("SELECT", "WITH"))]

    def explain(db: sqlite3.Connection) -> list[str]:
        return [
            "; ".join(str(step[3]) for step in db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())
            for query in queries
        ]

    return ledger._connections.read(explain)


def assert_in_order(found: list[str]) -> None:
    assert found
    for plan in found:
        assert "TEMP B-TREE" not in plan
        assert not _WHOLE_TABLE.search(plan)
    assert any("INDEX" in plan or "PRIMARY KEY" in plan for plan in found)


@pytest.mark.parametrize("superseded", [False, True])
@pytest.mark.parametrize(
    "names", [(), ("user_id",), ("agent_id",), ("app_id",), ("run_id",), ("user_id", "run_id")], ids="+".join
)
def test_a_list_of_memories_and_its_next_page(ledger: SqliteLedger, names: tuple[str, ...], superseded: bool) -> None:
    ids = {name: EVERY_ID.ids()[name] for name in names}
    page = ledger.list_memories("acme", ids, limit=2, superseded=superseded)
    assert page.cursor is not None
    for cursor in (None, page.cursor):
        assert_in_order(
            plans(
                ledger, lambda at=cursor: ledger.list_memories("acme", ids, limit=2, cursor=at, superseded=superseded)
            )
        )


def test_a_list_of_jobs_and_its_next_page(ledger: SqliteLedger) -> None:
    _, cursor = ledger.jobs("acme", limit=2)
    assert cursor is not None
    for place in (None, cursor):
        assert_in_order(plans(ledger, lambda at=place: ledger.jobs("acme", limit=2, cursor=at)))
        assert_in_order(plans(ledger, lambda at=place: ledger.documents("acme", BULK_JOB, limit=2, cursor=at)))
    assert_in_order(plans(ledger, lambda: ledger.count_jobs("acme", limit=9)))
    assert_in_order(plans(ledger, lambda: ledger.count_documents("acme", BULK_JOB, limit=9)))


def test_figures_of_usage(ledger: SqliteLedger) -> None:
    ledger.add_usage([Use("acme", f"k{number}", at(0)[:10], {UsageKind.ADDS: 1}) for number in range(4)])
    days = {"first": at(0)[:10], "last": at(0)[:10]}
    assert_in_order(plans(ledger, lambda: ledger.used("acme", ["k1"], now=at(0))))
    assert_in_order(plans(ledger, lambda: ledger.usage_of("acme", "k1", **days)))
    assert_in_order(plans(ledger, lambda: ledger.usage_by_key("acme", limit=2, **days)))


def test_what_a_sweep_asks_for(ledger: SqliteLedger) -> None:
    assert_in_order(plans(ledger, lambda: ledger.unindexed(before=at(9), limit=9)))
    assert_in_order(plans(ledger, lambda: ledger.unindexed(before=at(9), limit=9, tenant="acme")))
    assert_in_order(plans(ledger, lambda: ledger.due_documents(BULK_JOB, now=at(9), limit=9)))
    assert_in_order(plans(ledger, lambda: ledger.stuck_jobs(now=at(9), pending_before=at(9), limit=9)))
    assert_in_order(plans(ledger, lambda: ledger.stuck_in_turn(now=at(9), pending_before=at(9), limit=9, each=9)))
    assert_in_order(plans(ledger, lambda: ledger.backlog(jobs=9, counted=9)))
