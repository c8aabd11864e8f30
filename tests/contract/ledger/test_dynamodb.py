"""What only the DynamoDB ledger promises: its table, its schema's versions, no scans, and staged commits."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger, schema, staged_commit
from forgetless.adapters.ledger_dynamodb.attribute_values import from_wire, size_of, to_wire
from forgetless.adapters.ledger_dynamodb.client import Client
from forgetless.domain.errors import LedgerError, VersionConflictError
from forgetless.domain.jobs import JobState
from forgetless.domain.memory import Memory
from local.emulator.template.document import read_document
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
from tests.dynamo_server import DynamoServer, error

Open = Callable[[], DynamoLedger]

#: More than one transaction takes.
MANY = [a_memory("many", position) for position in range(34)]


@pytest.fixture
def ledger(dynamo: Open) -> Iterator[DynamoLedger]:
    ledger = dynamo()
    yield ledger
    ledger.close()


@pytest.fixture
def other(dynamo: Open) -> Iterator[DynamoLedger]:
    """The ledger as another process opens it."""
    ledger = dynamo()
    yield ledger
    ledger.close()


def items(ledger: DynamoLedger) -> list[dict[str, Any]]:
    """Everything in the table."""
    answer = ledger._client.call("scan", TableName=ledger._client.table)
    return [from_wire(item) for item in answer["Items"]]


def test_botocore_is_not_loaded_and_nothing_opened_before_the_first_call() -> None:
    script = (
        "import sys; from forgetless.adapters.ledger_dynamodb import DynamoLedger;"
        "DynamoLedger('t').close(); sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0


def test_values_survive_the_wire_and_are_never_measured_too_small() -> None:
    item = {"s": "ä", "b": b"\x00\xff", "n": 2**60, "none": None, "yes": True, "l": ["x", 1], "m": {"k": b"v"}}
    assert from_wire(to_wire(item)) == item
    assert size_of(item) >= len(json.dumps({key: str(value) for key, value in item.items()})) / 2


def test_every_item_is_small_and_its_keys_are_plain(ledger: DynamoLedger) -> None:
    odd = "nul \x00 lone \ud800 " * 99
    memory = a_memory("a", scope=type(ANNA)(odd, user_id=odd), text=odd * 100)
    ledger.append(add(memory), messages=[a_message("a", scope=memory.scope, content=odd * 300)])
    found = items(ledger)
    assert max(size_of(item) for item in found) < 400_000
    assert all((item["pk"] + item["sk"]).isprintable() and len(item["sk"]) < 200 for item in found)


def test_nothing_but_an_administrators_command_scans(ledger: DynamoLedger, dynamo_server: DynamoServer) -> None:
    memory = a_memory("a", context=(a_message("a").ref,))
    dynamo_server.calls.clear()
    ledger.append(add(memory), messages=[a_message("a")])
    ledger.list_memories("acme", {}, limit=9)
    entities_of(ledger, "acme")
    ledger.jobs("acme", limit=9)
    ledger.unindexed(before=at(9), limit=9)
    ledger.stuck_jobs(now=at(9), pending_before=at(9), limit=9)
    ledger.expire_messages(before=at(9), limit=9)
    ledger.erase_scope_messages("acme", {}, at=at(9))
    ledger.mark_unindexed("acme", at=at(9))
    ledger.tidy()
    called = {operation for operation, _ in dynamo_server.calls}
    assert "Scan" not in called
    ledger.mark_unindexed(at=at(9))
    assert "Scan" in {operation for operation, _ in dynamo_server.calls}


def test_reads_that_must_see_every_write_are_consistent(ledger: DynamoLedger, dynamo_server: DynamoServer) -> None:
    ledger.append(add(a_memory("a")), messages=[a_message("a")])
    dynamo_server.calls.clear()
    ledger.read("acme", ids([a_memory("a")]))
    ledger.list_memories("acme", {"user_id": "anna"}, limit=9)
    ledger.history("acme", a_memory("a").id)
    entities_of(ledger, "acme")
    ledger.jobs("acme", limit=9)
    ledger.recent_messages(ANNA, since="", before=at(9), limit=9)
    for operation, parameters in dynamo_server.calls:
        if operation == "BatchGetItem":
            assert all(batch["ConsistentRead"] for batch in parameters["RequestItems"].values())
        else:
            assert parameters["ConsistentRead"], (operation, parameters)
            assert "IndexName" not in parameters


def test_an_add_is_one_transaction(ledger: DynamoLedger, dynamo_server: DynamoServer) -> None:
    ledger.append(add(a_memory("a")), messages=[a_message("a")])
    dynamo_server.calls.clear()
    done = a_job("b", state=JobState.SUCCEEDED)
    ledger.append(add(a_memory("b", context=(a_message("a").ref,))), completing=done, messages=[a_message("b")])
    assert [name for name, _ in dynamo_server.calls] == ["BatchGetItem", "TransactWriteItems"]
    assert len(dynamo_server.calls[1][1]["TransactItems"]) == 10


class TestStagedCommits:
    """Appends of more than a hundred items: all or nothing, whenever the process dies."""

    def test_more_than_a_transaction_takes_is_stored_and_leaves_nothing_behind(self, ledger: DynamoLedger) -> None:
        ledger.append(add(*MANY), messages=[a_message("many", position) for position in range(34)])
        assert ledger.read("acme", ids(MANY)) == {memory.id: memory for memory in MANY}
        assert not [item for item in items(ledger) if item["pk"].startswith("X#") or "stage" in item]
        ledger.append([delete(memory) for memory in MANY])
        assert ledger.list_memories("acme", {}, limit=9, superseded=True).items == ()
        assert entities_of(ledger, "acme") == []

    def test_another_who_was_faster_leaves_nothing_of_ours(
        self, ledger: DynamoLedger, other: DynamoLedger, monkeypatch: Any
    ) -> None:
        old = a_memory("old")
        ledger.append(add(old))
        stages = ledger._units.stages
        commit = stages.commit

        def late(stage: str, writes: Any, **along: Any) -> None:
            other.append([update(replace(old, job_id=job_id("faster")), text="faster")])
            commit(stage, writes, **along)

        monkeypatch.setattr(stages, "commit", late)
        with pytest.raises(VersionConflictError):
            ledger.append([*add(*MANY), update(old, text="slower")])
        assert [memory.text for memory in ledger.list_memories("acme", {}, limit=9).items] == ["faster"]
        assert not [item for item in items(ledger) if item["pk"].startswith("X#") or "stage" in item]

    @pytest.mark.parametrize("writes", [1, 2, 3, 4, 6])
    def test_a_process_that_dies_at_any_write_leaves_all_or_nothing(
        self, ledger: DynamoLedger, other: DynamoLedger, dynamo_server: DynamoServer, monkeypatch: Any, writes: int
    ) -> None:
        monkeypatch.setattr(staged_commit, "STALLED_S", 0.05)
        kept = a_memory("kept")
        ledger.append(add(kept))
        changed = update(kept, text="changed")
        died = die_after(dynamo_server, writes)
        try:
            ledger.append([*add(*MANY), changed])
        except LedgerError:
            assert died.is_set()
        dynamo_server.rules.clear()
        seen = [memory.text for memory in other.list_memories("acme", {}, limit=99).items]
        assert len(seen) in {1, 35}
        assert ("changed" in seen) == (len(seen) == 35)
        other.tidy()
        assert len(other.list_memories("acme", {}, limit=99).items) == len(seen)
        assert not [item for item in items(ledger) if item["pk"].startswith("X#") or "stage" in item]
        other.append([*add(*MANY), changed])  # the retry, which is harmless when it was done
        assert len(other.list_memories("acme", {}, limit=99).items) == 35
        assert entities_of(other, "acme")[0].total_memories == 35

    def test_a_writer_waits_for_a_stage_and_drops_one_that_is_dead(
        self, ledger: DynamoLedger, other: DynamoLedger, dynamo_server: DynamoServer, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(staged_commit, "STALLED_S", 0.05)
        kept = a_memory("kept")
        ledger.append(add(kept))
        die_after(dynamo_server, 3)
        with pytest.raises(LedgerError):
            ledger.append([update(kept, text="never"), *add(*MANY)])
        dynamo_server.rules.clear()
        assert [item for item in items(ledger) if "stage" in item]
        other.append([update(kept, text="by another")])
        assert other.read("acme", [kept.id])[kept.id].text == "by another"
        assert other.list_memories("acme", {}, limit=9).items == (other.read("acme", [kept.id])[kept.id],)


def die_after(server: DynamoServer, writes: int) -> threading.Event:
    """Let the server answer nothing any more after so many writes, as if the caller were dead."""
    dead = threading.Event()
    done = 0

    def rule(operation: str, _parameters: Any) -> tuple[int, Any] | None:
        nonlocal done
        if operation in {"PutItem", "DeleteItem", "TransactWriteItems"}:
            done += 1
            if done > writes:
                dead.set()
        return error("AccessDeniedException") if dead.is_set() else None

    server.rules.append(rule)
    return dead


class TestSchema:
    """The table carries its version, and is brought from one to the next by an administrator."""

    def test_a_table_carries_its_version_from_the_first_write(self, ledger: DynamoLedger) -> None:
        ledger.ping()
        assert schema.version_of(ledger._client) is None
        ledger.append(add(a_memory("a")))
        assert schema.version_of(ledger._client) == len(schema.MIGRATIONS) + 1
        assert ledger.migrate() == 0

    def test_a_newer_table_that_needs_newer_code_is_refused(
        self, ledger: DynamoLedger, other: DynamoLedger, monkeypatch: Any
    ) -> None:
        ledger.append(add(a_memory("a")))
        monkeypatch.setattr(schema, "LEAST_VERSION", len(schema.MIGRATIONS) + 2)
        schema.migrate(ledger._client, (*schema.MIGRATIONS, lambda _client: None))
        for call in (other.ping, other.migrate):
            with pytest.raises(LedgerError, match="newer Forgetless"):
                call()

    def test_a_table_goes_from_one_version_to_the_next_and_may_be_cut_short(
        self, ledger: DynamoLedger, other: DynamoLedger, monkeypatch: Any
    ) -> None:
        ledger.append(add(a_memory("a"), a_memory("b")))
        runs = 0

        def number_heads(client: Client) -> None:
            nonlocal runs
            runs += 1
            for item in client.call("scan", TableName=client.table)["Items"]:
                if item["sk"]["S"] == "HEAD":
                    client.call("put_item", TableName=client.table, Item={**item, "numbered": {"BOOL": True}})
                if runs == 1:
                    raise LedgerError("the power went out")

        monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, number_heads))
        steps = (*schema.MIGRATIONS,)
        with pytest.raises(LedgerError, match="migrate"):
            schema.check(ledger._client, steps)
        with pytest.raises(LedgerError, match="power"):
            schema.migrate(ledger._client, steps)
        assert schema.migrate(ledger._client, steps) == 1
        assert schema.check(ledger._client, steps) == len(steps) + 1
        assert [item["numbered"] for item in items(ledger) if item["sk"] == "HEAD"] == [True, True]

    def test_steps_whose_mark_was_made_before_its_answer_was_lost_are_done(
        self, ledger: DynamoLedger, dynamo_server: DynamoServer
    ) -> None:
        """As after a second administrator who was faster."""
        ledger.append(add(a_memory("a")))
        dynamo_server.lose_answers = {"PutItem": 1}
        steps = (*schema.MIGRATIONS, lambda _client: None)
        assert schema.migrate(ledger._client, steps) == 1
        assert schema.check(ledger._client, steps) == len(steps) + 1

    def test_the_template_has_the_same_table(self) -> None:
        template = read_document(Path(__file__).parents[3] / "template.yaml")
        table = template.section("Resources")["Ledger"]["Properties"]
        for name, value in schema.DEFINITION.items():
            assert table[name] == value, name
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_a_memory_is_what_it_was_after_a_rebuild(ledger: DynamoLedger) -> None:
    memory: Memory = a_memory("a", text="x" * 200_000)
    ledger.append(add(memory))
    ledger.mark_indexed([memory])
    assert ledger.mark_unindexed(at=at(5)) == 1
    assert ledger.unindexed(before=at(6), limit=9) == [memory]
    assert ledger.history("acme", memory.id) == add(memory)
    assert ledger.job("acme", job_id("a")) is None
