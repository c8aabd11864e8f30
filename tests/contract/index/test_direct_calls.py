"""Searches and inserts go past pymilvus' client, and whatever does not succeed there goes through it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from grpc import StatusCode  # type: ignore[import-untyped]

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.domain.errors import IndexUnavailableError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.ports.index import IndexRow
from tests.contract.index.builders import DIMENSIONS, NORTH, asked, memory, row
from tests.contract.index.watched_clients import REFUSED, CountingClient, FailingChannel, LostCallError

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("outcome", [REFUSED, LostCallError(StatusCode.UNAVAILABLE)], ids=["refused", "no connection"])
def test_what_does_not_succeed_at_once_is_left_to_the_client(milvus: MilvusIndex, outcome: Any) -> None:
    milvus.insert([row(memory("first"), words="tea", signals=7)])
    client = milvus._collection._client = FailingChannel(milvus._collection._client, outcome)
    milvus.insert([row(memory("second"), words="tea", signals=7)])
    near = milvus.search_vector("acme", NORTH, EVERYTHING, 9)
    worded = milvus.search_words("acme", asked("tea"), EVERYTHING, 9)
    assert {(hit.memory_id, hit.signals) for hit in near} == {(memory(one).id, 7) for one in ("first", "second")}
    assert {hit.memory_id for hit in worded} == {hit.memory_id for hit in near}
    assert client.calls == {"insert": 1, "search": 2}


def test_a_call_whose_time_is_over_is_not_made_again(milvus: MilvusIndex) -> None:
    milvus.insert([row(memory("first"))])
    late = LostCallError(StatusCode.DEADLINE_EXCEEDED)
    client = milvus._collection._client = FailingChannel(milvus._collection._client, late)
    with pytest.raises(IndexUnavailableError, match="DEADLINE_EXCEEDED"):
        milvus.search_vector("acme", NORTH, EVERYTHING, 9)
    with pytest.raises(IndexUnavailableError, match="DEADLINE_EXCEEDED"):
        milvus.insert([row(memory("second"))])
    assert not client.calls


@pytest.mark.parametrize("recipe", [2, 3])
def test_a_search_and_an_insert_ask_the_client_for_its_channel_alone(milvus_uri: str, recipe: int) -> None:
    def one(name: str) -> IndexRow:
        words = name if recipe == 2 else asked(name)
        return IndexRow(memory(name, categories=("tea", "home"), metadata={"kind": 1}), NORTH, words)

    name = f"c_{uuid.uuid4().hex}"
    index = MilvusIndex(milvus_uri, collection=name, dimensions=DIMENSIONS, recipe=recipe, timeout_s=10)
    index.insert([one("first")])
    given = index._collection._client
    client = index._collection._client = CountingClient(given)
    index.insert([one("second"), one("third")])
    found = index.search_vectors("acme", [NORTH] * 10, EVERYTHING, 9)
    assert [len(hits) for hits in found] == [3] * 10
    assert client.calls == {"_get_connection": 2}
    index._collection._client = given
    # What the client writes and reads is the same.
    assert index.unchanged("acme", [one(name) for name in ("first", "second", "third")]) == {
        (memory(name).id, 1) for name in ("first", "second", "third")
    }
    index.drop_all()
    index.close()
