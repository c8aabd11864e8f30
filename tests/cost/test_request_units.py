"""Sizes of items and units of requests, by DynamoDB's rules."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from local.cost.request_meter import RequestMeter
from local.cost.request_units import ITEM_OVERHEAD, index_write_units, item_size, read_units, stored_size, write_units


def item(size: int, **more: str) -> dict[str, Any]:
    """An item of so many bytes, and more attributes."""
    return {"pk": {"S": "a" * (size - 2)}, **{name: {"S": value} for name, value in more.items()}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "über"}, 5),
        ({"B": b"abc"}, 3),
        ({"N": "12345"}, 4),
        ({"N": "-1.5"}, 2),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"L": [{"S": "ab"}, {"N": "1"}]}, 3 + 3 + 3),
        ({"M": {"a": {"S": "b"}}}, 3 + 3),
        ({"SS": ["ab", "c"]}, 3),
    ],
)
def test_an_attribute_counts_its_name_and_its_value(value: dict[str, Any], size: int) -> None:
    assert item_size({"name": value}) == 4 + size


def test_reads_are_rounded_up_item_by_item_and_a_missing_item_counts() -> None:
    assert read_units([0, 1, 4096, 4097], consistent=True) == 5
    assert read_units([0, 1, 4096, 4097], consistent=False) == 2.5


def test_the_larger_of_both_items_is_written_and_a_transaction_doubles() -> None:
    assert write_units(None, item(1024), transaction=False) == 1
    assert write_units(item(1025), item(10), transaction=False) == 2
    assert write_units(item(1025), None, transaction=True) == 4
    assert write_units(None, None, transaction=False) == 1


def test_the_index_is_written_when_its_keys_change() -> None:
    plain, queued = item(10), item(10, gsi1pk="Q", gsi1sk="1")
    assert index_write_units(plain, plain) == index_write_units(queued, queued | {"body": {"S": "other"}}) == 0
    assert index_write_units(plain, queued) == index_write_units(queued, None) == 1
    assert index_write_units(queued, item(10, gsi1pk="Q", gsi1sk="2")) == 2


def test_storage_counts_the_overhead_of_items_and_of_entries() -> None:
    assert stored_size(None) == 0
    assert stored_size(item(10)) == 10 + ITEM_OVERHEAD
    queued = item(10, gsi1pk="Q", gsi1sk="1")
    assert stored_size(queued) == 2 * (item_size(queued) + ITEM_OVERHEAD)


def test_an_operation_without_a_known_price_is_no_silent_zero() -> None:
    client = boto3.client("dynamodb", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    RequestMeter(lambda _table, _key: None).watch(client)
    with Stubber(client) as stub:
        stub.add_response("list_tables", {"TableNames": []})
        with pytest.raises(ValueError, match=r"price of ListTables: add it to local/cost"):
            client.list_tables()
    client.close()
