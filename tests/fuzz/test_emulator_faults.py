"""What the fuzzer found in the emulator: calls of the queue with members of other types, and other protocols."""

from __future__ import annotations

import random
from typing import Any

import pytest

from local.emulator.runtime_api.server import RuntimeApi, _Connection
from local.emulator.sqs.errors import SerializationError
from local.emulator.sqs.members import checked_members
from tests.fuzz.emulator_fuzz import Environment, Wire


@pytest.mark.parametrize(
    "members",
    [
        {"QueueName": 1},
        {"MessageBody": ["x"]},
        {"DelaySeconds": "1"},
        {"VisibilityTimeout": True},
        {"AttributeNames": [1]},
        {"Attributes": [["FifoQueue", "true"]]},
        {"Attributes": {"Policy": {}}},
        {"Entries": "1"},
        {"Entries": [[]]},
        {"Entries": [{"Id": "1", "MessageBody": {}}]},
        {"MessageAttributes": {"a": "b"}},
        {"MessageAttributes": {"a": {"DataType": 1}}},
        {"MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": "x"}}},
    ],
)
def test_a_member_of_another_type_is_refused_by_its_name(members: dict[str, Any]) -> None:
    [name] = members
    name = "(Entries|MessageBody)" if name == "Entries" else name
    with pytest.raises(SerializationError, match=f"The parameter {name} has the wrong type"):
        checked_members(members)


def test_what_is_null_is_not_given() -> None:
    given = {"MessageBody": "x", "DelaySeconds": None, "Entries": [{"Id": "1", "MessageGroupId": None}]}
    assert checked_members(given) == {"MessageBody": "x", "Entries": [{"Id": "1"}]}


@pytest.mark.parametrize(
    "line", ["CONNECT localhost:1 HTTP/1.1", "GET /x HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c"]
)
def test_a_call_that_asks_for_another_protocol_is_answered_and_so_is_the_next(line: str) -> None:
    wire, api = Wire(), RuntimeApi(Environment(random.Random(1)))
    connection = _Connection(Environment(random.Random(1)), api)
    connection.connection_made(wire)
    for _ in range(2):
        connection.data_received(f"{line}\r\nHost: evil.example\r\n\r\n".encode())
    assert wire.sent.count(b"HTTP/1.1 421") == 2
