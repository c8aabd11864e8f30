"""What concerns Milvus alone: its scores, its failures, several processes, and the number of its calls."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pymilvus import DataType, FieldSchema, MilvusClient, MilvusException

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.index_milvus import MilvusIndex, earlier_columns
from forgetless.adapters.index_milvus.lite_3 import FLUSHED_ROWS
from forgetless.adapters.index_milvus.schema import _schema
from forgetless.adapters.index_milvus.word_columns import WeightedWords
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.errors import IndexDamagedError, IndexRefusedError, IndexUnavailableError
from forgetless.domain.filters.ast import EVERYTHING, And, Compare, Field, Not, Operator, Or
from forgetless.domain.memory import Memory
from forgetless.domain.memory_fields import COLUMNS, COLUMNS_VERSION
from forgetless.domain.sparse_words import term_id
from forgetless.service.jobs.refused_rows import CONTROL
from forgetless.service.stores.check import StoreCheck
from forgetless.service.stores.report import AFRESH, Verdict
from local.milvus import LiteServer
from tests.contract.index.builders import DIMENSIONS, NORTH, asked, ids, memory, row
from tests.contract.index.conftest import NEWER, short_folder
from tests.contract.index.watched_clients import REFUSED, CountingClient, FailingChannel
from tests.e2e.house import free_ports
from tests.fakes.index import MemoryIndex

pytestmark = pytest.mark.slow


@pytest.fixture
def own_lite() -> Iterator[LiteServer]:
    """A server that a test may kill."""
    with tempfile.TemporaryDirectory(prefix="fl-") as folder:
        server = LiteServer(Path(folder) / "data", Path(folder) / "m.sock")
        server.start()
        server.ready()
        yield server
        server.stop()


def test_connections_are_pinged_no_more_often_than_milvus_lite_allows(
    own_lite: LiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def client(**arguments: Any) -> MilvusClient:
        given.append(arguments["grpc_options"])
        return MilvusClient(**arguments)

    monkeypatch.setattr("pymilvus.MilvusClient", client)
    MilvusIndex(own_lite.uri, collection="c", dimensions=DIMENSIONS, timeout_s=10).ping()
    # gRPC's servers end a connection that pings oftener than every five minutes, or without a call ("too_many_pings").
    assert given[0]["grpc.keepalive_time_ms"] > 300_000
    assert not given[0]["grpc.keepalive_permit_without_calls"]


def test_a_collection_of_earlier_columns_is_served_as_it_is(milvus_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = {0: tuple(column for column in COLUMNS[COLUMNS_VERSION] if column not in {"role", "created_at"})}
    monkeypatch.setattr(earlier_columns, "COLUMNS", {**COLUMNS, **earlier})
    index = MilvusIndex(milvus_uri, collection=f"c_{uuid.uuid4().hex}", dimensions=DIMENSIONS, columns=0, timeout_s=10)
    users, other = row(replace(memory("a"), role="user"), NORTH, "w"), row(memory("b"), NORTH, "w")
    index.insert([users, other])
    assert len(index.unchanged("acme", [users, other])) == 2
    is_users = Compare(Field("role"), Operator.EQ, "user")
    is_new = Compare(Field("created_at"), Operator.GT, "2030")
    everyone = {one.memory.id for one in (users, other)}
    for where in (
        is_users,
        Not(is_users),
        And((is_users, is_new)),
        Or((is_users, is_new)),
        Not(Or((is_users, is_new))),
    ):
        assert set(ids(index.search_vector("acme", NORTH, where, 9))) == everyone, "the evaluator decides"
    assert ids(index.search_vector("acme", NORTH, Compare(Field("id"), Operator.EQ, users.memory.id), 9)) == [
        users.memory.id
    ]
    index.drop_all()
    index.close()


@pytest.mark.parametrize("bad", [{"created_at": 5}, {"version": 2**70}, {"id": "line\nfeed"}])
def test_a_row_that_cannot_be_stored_is_refused_and_no_outage(milvus: MilvusIndex, bad: dict[str, Any]) -> None:
    good, other = row(memory("a"), NORTH, "w"), row(replace(memory("b"), **bad), NORTH, "w")
    with pytest.raises(IndexRefusedError):
        milvus.insert([good, other])
    milvus.insert([good])
    assert milvus.held("acme", [(one.memory.id, 1) for one in (good, other)]) == {(good.memory.id, 1)}
    milvus.insert([row(CONTROL, NORTH, "w")])
    milvus.drop("", [(CONTROL.id, CONTROL.version)])
    assert milvus.count() == 1


def test_both_indexes_give_the_same_scores(milvus: MilvusIndex) -> None:
    """Ranks are equal but for rows whose scores differ by less than float32 can tell."""
    dice = random.Random(7)
    words = [f"w{n}" for n in range(40)]
    rows = [
        row(memory(f"m{n}"), [dice.gauss(0, 1) for _ in range(DIMENSIONS)], " ".join(dice.sample(words, k=8)))
        for n in range(60)
    ]
    plain = MemoryIndex(dimensions=DIMENSIONS)
    for index in (plain, milvus):
        index.insert(rows)
    for _ in range(20):
        query = {term_id(word): dice.uniform(0.1, 7.0) for word in dice.sample(words, k=3)}
        vector = [dice.gauss(0, 1) for _ in range(DIMENSIONS)]
        for search, asked_for in (("search_words", query), ("search_vector", vector)):
            mine = getattr(plain, search)("acme", asked_for, EVERYTHING, 99)
            theirs = getattr(milvus, search)("acme", asked_for, EVERYTHING, 99)
            exact = {hit.memory_id: hit.score for hit in mine}
            assert {hit.memory_id: hit.score for hit in theirs} == pytest.approx(exact, abs=1e-4)
            assert [exact[hit.memory_id] for hit in theirs] == pytest.approx([hit.score for hit in mine], abs=1e-4)


def test_milvus_that_is_not_there_is_unavailable_within_the_timeout() -> None:
    index = MilvusIndex("unix:/nowhere/m.sock", collection="c", dimensions=DIMENSIONS, timeout_s=1)
    for call in (
        index.ping,
        lambda: index.insert([row(memory())]),
        lambda: index.search_vector("acme", NORTH, EVERYTHING, 1),
        lambda: index.search_words("acme", asked("tea"), EVERYTHING, 1),
        lambda: index.vectors("acme", [("one", 1)]),
        lambda: index.drop("acme", [("one", 1)]),
        lambda: index.drop_older("acme", [memory(version=2)]),
        lambda: index.drop_all("acme"),
        index.drop_all,
    ):
        with pytest.raises(IndexUnavailableError) as failure:
            call()
        assert "acme" not in failure.value.message
    index.close()


def test_a_killed_server_keeps_what_it_acknowledged_and_is_found_again(own_lite: LiteServer) -> None:
    index = MilvusIndex(own_lite.uri, collection="c", dimensions=DIMENSIONS)
    one = memory("one")
    index.insert([row(one, words="tea")])
    assert own_lite.pid is not None
    os.kill(own_lite.pid, 9)
    while own_lite.check():
        pass
    own_lite.ready()
    assert ids(index.search_words("acme", asked("tea"), EVERYTHING, 9)) == [one.id]
    assert index.vectors("acme", [(one.id, 1)]) == {(one.id, 1): NORTH}
    index.close()


def test_an_index_survives_that_another_drops_the_collection(new_milvus: Callable[[], MilvusIndex]) -> None:
    ours, theirs = new_milvus(), new_milvus()
    ours.insert([row(memory("one"))])
    theirs.drop_all()
    assert ids(ours.search_vector("acme", NORTH, EVERYTHING, 9)) == []
    theirs.drop_all()
    ours.insert([row(memory("two"))])
    assert len(ids(theirs.search_vector("acme", NORTH, EVERYTHING, 9))) == 1


def test_threads_that_insert_at_once_share_calls_and_a_refused_row_fails_alone(milvus: MilvusIndex) -> None:
    milvus.insert([row(memory("first"))])
    client = milvus._collection._client = CountingClient(milvus._collection._client)
    together = threading.Barrier(24)

    def insert(one: Memory) -> type[Exception] | None:
        together.wait()
        try:
            milvus.insert([row(one)])
        except IndexRefusedError as error:
            return type(error)
        return None

    good = [memory(f"m{number}") for number in range(24)]
    mixed = [*(memory(f"n{number}") for number in range(23)), replace(memory("bad"), version=2**70)]
    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(insert, good)) == [None] * 24
        calls = client.calls["_get_connection"]
        assert list(pool.map(insert, mixed)) == [None] * 23 + [IndexRefusedError]
    assert calls < len(good)
    # Not only the ids count: Milvus Lite keeps a row twice that is inserted twice.
    found = ids(milvus.search_vector("acme", NORTH, EVERYTHING, 99))
    assert sorted(found) == sorted(one.id for one in (memory("first"), *good, *mixed[:-1]))


def test_many_first_users_create_the_collection_once(new_milvus: Callable[[], MilvusIndex]) -> None:
    indexes = [new_milvus() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: indexes[n].insert([row(memory(f"m{n}"))]), range(6)))
    assert len(ids(indexes[0].search_vector("acme", NORTH, EVERYTHING, 9))) == 6


def test_a_collection_that_lost_its_creator_halfway_is_completed(milvus: MilvusIndex, milvus_uri: str) -> None:
    from pymilvus import MilvusClient  # noqa: PLC0415 - as a process that stops after the first of its steps

    milvus.insert([row(memory("one"), words="tea")])
    client = MilvusClient(uri=milvus_uri, timeout=30)
    client.release_collection(milvus.collection, timeout=30)
    client.drop_index(milvus.collection, "sparse", timeout=30)
    assert ids(milvus.search_words("acme", asked("tea"), EVERYTHING, 9)) == [memory("one").id]
    client.close()


def test_a_closed_index_leaves_the_others_connected(new_milvus: Callable[[], MilvusIndex]) -> None:
    first, second = new_milvus(), new_milvus()
    for index in (first, second):
        index.ping()
    first.close()
    second.ping()
    first.ping()


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a b", "a;b"])
def test_a_collection_name_that_milvus_refuses_is_refused_at_once(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        MilvusIndex("unix:/nowhere.sock", collection=name, dimensions=DIMENSIONS)


def test_making_an_index_imports_and_connects_nothing() -> None:
    code = (
        "import sys; from forgetless.adapters.index_milvus import MilvusIndex\n"
        "MilvusIndex('unix:/nowhere.sock', collection='c', dimensions=4)\n"
        "print({'pymilvus', 'grpc', 'numpy', 'pandas'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": "layers/core/python"}
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "set()\n"


def test_only_the_version_that_needs_it_is_told_to_flush(milvus: MilvusIndex) -> None:
    milvus.insert([row(memory("first"))])
    client = milvus._collection._client = CountingClient(milvus._collection._client)
    for portion in range(3):
        milvus.insert([row(memory(f"m{portion}-{n}")) for n in range(FLUSHED_ROWS // 3 + 1)])
    assert client.calls["flush"] == (1 if NEWER else 0)


class StartingClient:
    """A Milvus Lite that listens already and cannot hold rows for its first calls."""

    def __init__(self, client: Any, refusals: int) -> None:
        self._client, self.refusals = client, refusals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _get_connection(self) -> Any:
        return FailingChannel(self._client, REFUSED) if self.refusals else self._client._get_connection()

    def insert(self, *arguments: Any, **options: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise MilvusException(2000, 'Assert "init_flag_ == true"  => Mmap manager has not been init.')
        return self._client.insert(*arguments, **options)


def test_a_lite_that_is_still_starting_is_asked_again(milvus: MilvusIndex) -> None:
    milvus.insert([row(memory("first"))])
    milvus._collection._client = StartingClient(milvus._collection._client, refusals=2)
    milvus.insert([row(memory("second"))])
    assert milvus.count("acme") == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda fields: fields.pop("role"), "missing: role"),
        (lambda fields: fields.update(mood=DataType.VARCHAR), "unknown: mood"),
        (lambda fields: fields.update(version=DataType.INT32), "of another type: version"),
    ],
)
def test_a_collection_with_other_fields_is_refused_until_it_is_made_afresh(
    milvus_uri: str, tmp_path: Path, change: Callable[[dict[str, DataType]], object], named: str
) -> None:
    index = MilvusIndex(milvus_uri, collection=f"c_{uuid.uuid4().hex}", dimensions=DIMENSIONS, timeout_s=10)
    fields = {"role": DataType.VARCHAR, "version": DataType.INT64}
    change(fields)
    _create_with(milvus_uri, index.collection, fields)
    with pytest.raises(IndexDamagedError, match=f"{named}.*forgetless reindex --afresh"):
        index.insert([row(memory("a"))])
    with pytest.raises(IndexDamagedError, match=named):
        index.search_vector("acme", NORTH, EVERYTHING, 1)
    ledger = SqliteLedger(tmp_path / "ledger.db")
    check = StoreCheck(ledger=ledger, index=index, clock=SystemClock(), collection=index.collection)
    (finding,) = check.run().findings
    assert (finding.about, finding.remedy) == (Verdict.INDEX, AFRESH)
    assert named in finding.text
    index.drop_all()
    index.insert([row(memory("a"))])
    assert index.count() == 1
    index.drop_all()
    index.close()
    ledger.close()


def test_a_collection_for_vectors_of_another_length_is_refused(new_milvus: Callable[[], MilvusIndex]) -> None:
    index = new_milvus()
    index.insert([row(memory("a"))])
    other = MilvusIndex(index._collection._uri, collection=index.collection, dimensions=DIMENSIONS + 1, timeout_s=10)
    with pytest.raises(IndexDamagedError, match="of another type: dense"):
        other.count()
    other.close()


def _create_with(uri: str, collection: str, fields: dict[str, DataType]) -> None:
    """A collection like ours, but for the types of some fields; those that are not named are left out."""
    client = MilvusClient(uri=uri)
    ours, changed = _schema(client, DIMENSIONS, WeightedWords()), {"role", "version", *fields}
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    for field in ours.fields:
        if field.name not in changed:
            schema.add_field(field.name, field.dtype, **field.params, **_options(field))
    for name, kind in fields.items():
        schema.add_field(name, kind, max_length=64)
    client.create_collection(collection, schema=schema)
    client.close()


def _options(field: FieldSchema) -> dict[str, object]:
    options: dict[str, object] = {"is_primary": field.is_primary, "is_partition_key": field.is_partition_key}
    return options if field.element_type is None else {**options, "element_type": field.element_type}


@pytest.mark.skipif(NEWER, reason="concerns Milvus Lite 2.5.1 alone")
def test_lite_over_tcp_as_in_compose_is_searched_although_it_does_not_tell_its_version() -> None:
    (port,) = free_ports(1)
    with short_folder() as folder:
        server = LiteServer(folder / "data", folder / "m.sock", address=f"127.0.0.1:{port}")
        server.start()
        try:
            server.ready()
            index = MilvusIndex(server.uri, collection="over_tcp", dimensions=DIMENSIONS, timeout_s=10)
            one = memory("m1")
            index.insert([row(one)])
            assert ids(index.search_vector("acme", NORTH, EVERYTHING, 9)) == [one.id]
            index.close()
        finally:
            server.stop()
