"""How the DynamoDB ledger treats throttling, conflicts, lost answers, stale indexes and expired credentials."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from forgetless.adapters.ledger_codec import dump_memory
from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys
from forgetless.adapters.ledger_dynamodb.attribute_values import to_wire
from forgetless.adapters.ledger_dynamodb.failures import classify
from forgetless.domain.erasures import ErasureState
from forgetless.domain.errors import LedgerError
from tests.contract.ledger.making import a_job, a_memory, add, at, entities_of, job_id
from tests.dynamo_server import DynamoServer, Rule, error

Open = Callable[[], DynamoLedger]
Answer = tuple[int, Any]


@pytest.fixture
def ledger(dynamo: Open) -> Iterator[DynamoLedger]:
    ledger = dynamo()
    ledger.append(add(a_memory("first")))
    yield ledger
    ledger.close()


def times(count: int, answer: Answer, *operations: str) -> Rule:
    """Refuse so many calls of these operations."""
    left = [answer] * count
    return lambda operation, _: left.pop() if operation in operations and left else None


def cancelled(*codes: str) -> Answer:
    reasons = [{"Code": code, "Message": code} for code in codes]
    return error("TransactionCanceledException", CancellationReasons=reasons)


@pytest.mark.parametrize(
    ("answer", "operation"),
    [
        (error("ProvisionedThroughputExceededException"), "BatchGetItem"),
        (error("ThrottlingException"), "TransactWriteItems"),
        (error("RequestLimitExceeded"), "BatchGetItem"),
        (error("InternalServerError", 500), "TransactWriteItems"),
        (cancelled("None", "ThrottlingError"), "TransactWriteItems"),
        (cancelled("TransactionConflict", "None"), "TransactWriteItems"),
        (cancelled("ConditionalCheckFailed"), "TransactWriteItems"),
        (error("TransactionInProgressException"), "TransactWriteItems"),
    ],
)
def test_what_passes_is_tried_again(
    ledger: DynamoLedger, dynamo_server: DynamoServer, answer: Answer, operation: str
) -> None:
    dynamo_server.rules.append(times(3, answer, operation))
    ledger.append(add(a_memory("a")))
    assert len(ledger.list_memories("acme", {}, limit=9).items) == 2


def test_items_that_a_batch_leaves_out_are_asked_for_again(ledger: DynamoLedger, dynamo_server: DynamoServer) -> None:
    left = [True, True]

    def leave_out(operation: str, parameters: dict[str, Any]) -> Answer | None:
        if operation != "BatchGetItem" or not left:
            return None
        left.pop()
        return 200, {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"]}

    dynamo_server.rules.append(leave_out)
    memory = a_memory("first")
    assert ledger.read("acme", [memory.id]) == {memory.id: memory}


def test_nothing_counts_that_was_read_before_the_state_of_erasures(
    ledger: DynamoLedger, dynamo_server: DynamoServer
) -> None:
    """A throttled batch leaves out the state. Before it is asked for again, the memory is removed."""
    memory, table = a_memory("gone"), ledger._client.table
    removed = to_wire(item_keys.head("acme", memory.id)._asdict()) | {
        name: {"B": base64.b64encode(value).decode()}
        for name, value in {"tenant": b"acme", "body": dump_memory(memory)}.items()
    }
    state = to_wire(item_keys.erasures("acme")._asdict())

    def without_the_state(operation: str, parameters: dict[str, Any]) -> Answer | None:
        if operation != "BatchGetItem" or state not in parameters["RequestItems"][table]["Keys"]:
            return None
        dynamo_server.rules.remove(without_the_state)
        return 200, {"Responses": {table: [removed]}, "UnprocessedKeys": {table: {"Keys": [state]}}}

    dynamo_server.rules.append(without_the_state)
    with ledger.erasures_beside("acme") as beside:
        found = ledger.read("acme", [memory.id])
    assert (found, beside.state, dynamo_server.rules) == ({}, ErasureState(), [])


def test_the_state_comes_with_the_reads_of_its_own_thread_alone(ledger: DynamoLedger) -> None:
    with ledger.erasures_beside("acme") as beside:
        reader = threading.Thread(target=ledger.read, args=("acme", ["unknown"]))
        reader.start()
        reader.join()
        assert beside.state is None


def test_the_state_comes_in_the_first_of_several_batches(ledger: DynamoLedger, dynamo_server: DynamoServer) -> None:
    dynamo_server.calls.clear()
    with ledger.erasures_beside("acme") as beside:
        ledger.read("acme", [a_memory(str(number)).id for number in range(150)])
    batches = [parameters["RequestItems"][ledger._client.table]["Keys"] for _, parameters in dynamo_server.calls]
    assert [len(keys) for keys in batches] == [100, 51]
    assert batches[0][0] == to_wire(item_keys.erasures("acme")._asdict())
    assert beside.state == ErasureState()


@pytest.mark.parametrize(
    ("answer", "retry_after"),
    [
        (error("ProvisionedThroughputExceededException"), 5),
        (cancelled("ThrottlingError"), 5),
        (error("ServiceUnavailable", 503), 2),
        (cancelled("TransactionConflict"), 2),
    ],
)
def test_what_does_not_pass_is_given_up_in_time(
    ledger: DynamoLedger, dynamo_server: DynamoServer, answer: Answer, retry_after: int
) -> None:
    ledger._client.patience_s = 0.3
    dynamo_server.rules.append(lambda operation, _: answer if operation == "TransactWriteItems" else None)
    with pytest.raises(LedgerError) as failed:
        ledger.append(add(a_memory("a")))
    assert failed.value.retry_after == retry_after
    dynamo_server.rules.clear()
    assert len(ledger.list_memories("acme", {}, limit=9).items) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredTokenException", "credentials"),
        ("UnrecognizedClientException", "credentials"),
        ("AccessDeniedException", "credentials"),
        ("ResourceNotFoundException", "FORGETLESS_LEDGER_TABLE"),
        ("ValidationException", "refused"),
    ],
)
def test_what_waiting_does_not_heal_is_told_at_once(
    ledger: DynamoLedger, dynamo_server: DynamoServer, code: str, said: str
) -> None:
    dynamo_server.rules.append(lambda *_: error(code))
    dynamo_server.calls.clear()
    with pytest.raises(LedgerError, match=said):
        ledger.read("acme", ["x"])
    assert len(dynamo_server.calls) == 1


def test_a_write_whose_answer_was_lost_is_not_done_twice(ledger: DynamoLedger, dynamo_server: DynamoServer) -> None:
    """The server does it, the answer is an error 500, and the client sends it again."""
    dynamo_server.lose_answers = {"PutItem": 1, "TransactWriteItems": 1}
    assert ledger.put_job(a_job("a"), []) == a_job("a")
    assert ledger.acquire_lease("scope", owner="me", now=at(0), until=at(5))
    assert dynamo_server.lose_answers == {"PutItem": 0, "TransactWriteItems": 0}
    assert not ledger.acquire_lease("scope", owner="them", now=at(1), until=at(5))
    dynamo_server.lose_answers = {"PutItem": 1}
    claimed = ledger.claim_job("acme", job_id("a"), owner="me", now=at(1), until=at(5))
    assert claimed is not None
    assert claimed.attempts == 1
    assert ledger.job("acme", job_id("a")) == claimed


def test_a_lost_answer_to_an_append_counts_once(ledger: DynamoLedger, dynamo_server: DynamoServer) -> None:
    dynamo_server.lose_answers = {"TransactWriteItems": 1}
    ledger.append(add(a_memory("a")))
    assert dynamo_server.lose_answers == {"TransactWriteItems": 0}
    assert len(ledger.history("acme", a_memory("a").id)) == 1
    assert entities_of(ledger, "acme")[0].total_memories == 2


def test_a_stale_index_shows_what_is_still_true_and_hides_nothing_for_good(
    ledger: DynamoLedger, dynamo_server: DynamoServer
) -> None:
    """What sweep takes from the index is looked up in the table; what the index does not have yet comes later."""
    first, second = a_memory("first"), a_memory("second", second=1)
    ledger.put_job(a_job("a"), [])
    dynamo_server.freeze_indexes(ledger._client.table)
    ledger.append(add(second))
    ledger.mark_indexed([first])
    ledger.claim_job("acme", job_id("a"), owner="me", now=at(1), until=at(99))
    assert ledger.unindexed(before=at(9), limit=9) == []
    assert ledger.stuck_jobs(now=at(9), pending_before=at(9), limit=9) == []
    assert len(ledger.list_memories("acme", {}, limit=9).items) == 2
    dynamo_server.rules.clear()
    assert ledger.unindexed(before=at(9), limit=9) == [second]
    assert [job.id for job in ledger.stuck_jobs(now=at(99), pending_before=at(9), limit=9)] == [job_id("a")]


def test_a_server_that_is_not_there_is_a_ledger_error() -> None:
    with socket.socket() as taken:  # bound, so that nobody else gets the port, and not listening
        taken.bind(("127.0.0.1", 0))
        ledger = DynamoLedger("t", endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}", patience_s=0.2)
        with pytest.raises(LedgerError, match="does not answer"):
            ledger.ping()
        ledger.close()


def test_no_credentials_are_a_ledger_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    ledger = DynamoLedger("t")
    with pytest.raises(LedgerError, match="NoCredentials"):
        ledger.ping()
    ledger.close()


def test_the_endpoint_of_the_environment_is_used(
    dynamo_server: DynamoServer, ledger: DynamoLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamo_server.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    same = DynamoLedger(ledger._client.table)
    assert len(same.list_memories("acme", {}, limit=9).items) == 1
    same.close()


def test_every_error_that_the_service_declares_is_told_as_ours() -> None:
    model = boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x").meta.service_model
    codes = {shape.name for name in ("TransactWriteItems", "BatchGetItem", "PutItem", "Query")
             for shape in model.operation_model(name).error_shapes}  # fmt: skip
    assert len(codes) > 5
    for code in codes:
        failure = classify(ClientError({"Error": {"Code": code}}, "PutItem"), "t")
        assert isinstance(failure, LedgerError) or "Contended" in type(failure).__name__, code


def test_threads_meet_in_one_item_and_all_get_through(ledger: DynamoLedger) -> None:
    """Their conditions fail again and again; each tries until it is through."""
    barrier = threading.Barrier(4)
    failures: list[Exception] = []

    def work(number: int) -> None:
        barrier.wait(30)
        try:
            for step in range(5):
                ledger.append(add(a_memory(f"t{number}", step)))
        except LedgerError as error_:
            failures.append(error_)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not failures
    assert entities_of(ledger, "acme")[0].total_memories == 21
