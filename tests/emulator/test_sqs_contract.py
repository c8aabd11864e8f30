"""What clients of SQS rely on, tested on our server and, for comparison, on moto's."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from tests.emulator.fidelity import documented, own

EMPTY = "Resources: {}"
Make = Callable[..., str]


def client_of(url: str) -> Any:
    return boto3.client(
        "sqs", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["ours", "moto"])
def sqs(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "moto":
        with contextlib.closing(client_of(request.getfixturevalue("moto_url"))) as client:
            yield client
    else:
        yield request.getfixturevalue("start")(EMPTY).sqs()


@pytest.fixture
def make(sqs: Any) -> Make:
    def create(fifo: bool = False, **attributes: Any) -> str:
        name = f"q{uuid.uuid4().hex}" + (".fifo" if fifo else "")
        texts = {key: str(value) for key, value in attributes.items()} | ({"FifoQueue": "true"} if fifo else {})
        url: str = sqs.create_queue(QueueName=name, Attributes=texts)["QueueUrl"]
        return url

    return create


def bodies(sqs: Any, url: str, count: int = 10, **options: Any) -> list[str]:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=count, **options)
    return [message["Body"] for message in found.get("Messages", [])]


def one(sqs: Any, url: str, **options: Any) -> dict[str, Any]:
    message: dict[str, Any] = sqs.receive_message(QueueUrl=url, **options)["Messages"][0]
    return message


def arn(sqs: Any, url: str) -> str:
    text: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return text


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


@documented("SQS: APIReference, and moto as oracle")
def test_what_is_sent_is_received_with_its_digest_and_attributes(sqs: Any, make: Make) -> None:
    url = make()
    attributes = {"kind": {"DataType": "String", "StringValue": "x"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody="grüße", MessageAttributes=attributes)
    got = one(sqs, url, MessageAttributeNames=["All"], AttributeNames=["All"])
    assert (got["Body"], got["MessageId"]) == ("grüße", sent["MessageId"])
    assert got["MD5OfBody"] == sent["MD5OfMessageBody"]
    assert got["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert got["MessageAttributes"]["kind"]["StringValue"] == "x"
    assert got["Attributes"]["ApproximateReceiveCount"] == "1"


@documented("SQS: APIReference, and moto as oracle")
def test_a_received_message_is_hidden_and_shows_again(sqs: Any, make: Make) -> None:
    url = make(VisibilityTimeout=600)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    got = one(sqs, url)
    assert bodies(sqs, url) == []
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=1)
    again = one(sqs, url, WaitTimeSeconds=20, AttributeNames=["ApproximateReceiveCount"])
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"


@documented("SQS: APIReference, and moto as oracle")
def test_a_deleted_message_never_comes_back(sqs: Any, make: Make) -> None:
    url = make()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    handle = one(sqs, url, VisibilityTimeout=600)["ReceiptHandle"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"


@documented("SQS: APIReference, and moto as oracle")
def test_visibility_zero_shows_a_message_at_once(sqs: Any, make: Make) -> None:
    url = make()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    handle = one(sqs, url)["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
    assert bodies(sqs, url) == ["a"]


@documented("SQS: APIReference, and moto as oracle")
def test_a_long_poll_ends_when_a_message_arrives(sqs: Any, make: Make) -> None:
    url = make()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bodies, sqs, url, WaitTimeSeconds=20)
        sqs.send_message(QueueUrl=url, MessageBody="a")
        assert waiting.result() == ["a"]


@documented("SQS: APIReference, and moto as oracle")
def test_a_delayed_message_shows_later(sqs: Any, make: Make) -> None:
    url = make()
    sqs.send_message(QueueUrl=url, MessageBody="late", DelaySeconds=900)
    assert bodies(sqs, url) == []
    sqs.send_message(QueueUrl=url, MessageBody="soon", DelaySeconds=1)
    assert bodies(sqs, url, WaitTimeSeconds=20) == ["soon"]


@documented("SQS: APIReference, and moto as oracle")
def test_a_batch_reports_each_entry(sqs: Any, make: Make) -> None:
    url = make()
    entries = [{"Id": str(n), "MessageBody": f"m{n}"} for n in range(10)]
    assert len(sqs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in found) == [f"m{n}" for n in range(10)]
    handles = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(found)]
    hidden = [entry | {"VisibilityTimeout": 60} for entry in handles]
    assert len(sqs.change_message_visibility_batch(QueueUrl=url, Entries=hidden)["Successful"]) == 10
    assert len(sqs.delete_message_batch(QueueUrl=url, Entries=handles)["Successful"]) == 10


@documented("SQS: APIReference, and moto as oracle")
def test_the_third_receive_goes_to_the_dead_letters(sqs: Any, make: Make) -> None:
    dead = make()
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": 2})
    url = make(VisibilityTimeout=0, RedrivePolicy=policy)
    sqs.send_message(QueueUrl=url, MessageBody="a")
    assert [bodies(sqs, url) for _ in range(3)] == [["a"], ["a"], []]
    assert bodies(sqs, dead) == ["a"]


@documented("SQS: APIReference, and moto as oracle")
def test_a_group_keeps_its_order_and_waits_for_what_is_in_flight(sqs: Any, make: Make) -> None:
    url = make(fifo=True, ContentBasedDeduplication="true")
    for body in ("a1", "a2", "b1"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body[0])
    first = one(sqs, url)
    assert first["Body"] == "a1"
    assert bodies(sqs, url) == ["b1"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert bodies(sqs, url) == ["a2"]


@documented("SQS: APIReference, and moto as oracle")
def test_one_receive_may_take_several_of_a_group_in_order(sqs: Any, make: Make) -> None:
    url = make(fifo=True)
    for number in range(4):
        sqs.send_message(QueueUrl=url, MessageBody=str(number), MessageGroupId="g", MessageDeduplicationId=str(number))
    assert bodies(sqs, url) == ["0", "1", "2", "3"]


@documented("SQS: APIReference, and moto as oracle")
def test_a_repeated_send_is_stored_once(sqs: Any, make: Make) -> None:
    url = make(fifo=True)
    message = {"QueueUrl": url, "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    for body in ("a", "b"):
        sqs.send_message(MessageBody=body, **message)
    assert bodies(sqs, url) == ["a"]


@documented("SQS: APIReference, and moto as oracle")
def test_content_tells_repeated_sends_when_the_queue_says_so(sqs: Any, make: Make) -> None:
    url = make(fifo=True, ContentBasedDeduplication="true")
    for body in ("a", "a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    assert bodies(sqs, url) == ["a", "b"]


@documented("SQS: APIReference, and moto as oracle")
def test_counts_tell_what_is_visible_and_in_flight(sqs: Any, make: Make) -> None:
    url = make()
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    one(sqs, url)
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == "1"
    assert counts["ApproximateNumberOfMessagesNotVisible"] == "1"


@documented("SQS: APIReference, and moto as oracle")
def test_purge_empties_a_queue(sqs: Any, make: Make) -> None:
    url = make()
    sqs.send_message(QueueUrl=url, MessageBody="a")
    sqs.purge_queue(QueueUrl=url)
    assert bodies(sqs, url) == []


@documented("SQS: APIReference, and moto as oracle")
def test_queues_are_found_by_name_and_prefix(sqs: Any, make: Make) -> None:
    url = make()
    name = url.rsplit("/", 1)[-1]
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    assert sqs.list_queues(QueueNamePrefix=name)["QueueUrls"] == [url]
    assert sqs.create_queue(QueueName=name)["QueueUrl"] == url


@documented("SQS: APIReference, and moto as oracle")
def test_a_queue_that_is_not_there_has_an_error_of_its_own(sqs: Any, make: Make) -> None:
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.send_message(QueueUrl=make() + "x", MessageBody="a")


@pytest.mark.parametrize(
    ("options", "code"),
    [({}, "MissingParameter"), ({"MessageGroupId": "g"}, "InvalidParameterValue")],
    ids=["no group", "no deduplication id"],
)
@documented("SQS: APIReference, and moto as oracle")
def test_a_fifo_queue_needs_group_and_deduplication(sqs: Any, make: Make, options: dict[str, str], code: str) -> None:
    url = make(fifo=True)
    assert refused(lambda: sqs.send_message(QueueUrl=url, MessageBody="a", **options)) == code


@documented("SQS: APIReference, and moto as oracle")
def test_a_message_of_more_than_a_megabyte_is_refused(sqs: Any, make: Make) -> None:
    url = make()
    assert sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_576)["MessageId"]
    assert refused(lambda: sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_577)) == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(n), "MessageBody": "a"} for n in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "1", "MessageBody": "a"}] * 2, "BatchEntryIdsNotDistinct"),
    ],
    ids=["empty", "eleven", "one id twice"],
)
@documented("SQS: APIReference, and moto as oracle")
def test_a_malformed_batch_is_refused_whole(sqs: Any, make: Make, entries: list[Any], code: str) -> None:
    url = make()
    assert refused(lambda: sqs.send_message_batch(QueueUrl=url, Entries=entries)).endswith(code)
    assert bodies(sqs, url) == []


@documented("SQS: APIReference, and moto as oracle")
def test_a_foreign_receipt_handle_is_refused(sqs: Any, make: Make) -> None:
    url = make()
    assert refused(lambda: sqs.delete_message(QueueUrl=url, ReceiptHandle="nonsense")) == "ReceiptHandleIsInvalid"


@documented("SQS: APIReference, and moto as oracle")
def test_more_than_ten_messages_at_once_are_refused(sqs: Any, make: Make) -> None:
    url = make()
    assert refused(lambda: bodies(sqs, url, 11)) == "InvalidParameterValue"


@own("state folder")
def test_messages_in_flight_and_deduplication_survive_a_restart(start: Any, tmp_path: Path) -> None:
    running = start(EMPTY)
    url = running.sqs().create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    message = {"MessageBody": "a", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    first = running.sqs().send_message(QueueUrl=url, **message)
    running.stop()
    sqs = start(EMPTY).sqs()
    url = sqs.get_queue_url(QueueName="q.fifo")["QueueUrl"]
    assert sqs.send_message(QueueUrl=url, **message)["MessageId"] == first["MessageId"]
    assert bodies(sqs, url) == ["a"]
