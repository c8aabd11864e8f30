"""Memories as mem0 writes them."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.memory import Memory
from forgetless.domain.scope import Scope
from forgetless.service.transfer.mem0_import import foreign_event

NOW = "2026-06-01T00:00:00.000000+00:00"
ID = "7f0c1d5e-1111-4222-8333-944445555666"

LISTED = {
    "id": ID,
    "memory": "Likes phở",
    "hash": "ddbc50ae10912adabbc14194cc7a439c",
    "metadata": {"topic": "food"},
    "score": None,
    "created_at": "2025-07-22T10:11:12.345678-07:00",
    "updated_at": "2025-07-23T00:00:00Z",
    "user_id": "mai",
    "run_id": "r1",
    "actor_id": "Mai",
    "role": "user",
    "attributed_to": "user",
    "expiration_date": "2027-01-01",
    "categories": ["food"],
}
POINT = {
    "id": ID,
    "vector": [0.1],
    "payload": {
        "data": "Likes phở",
        "hash": "ddbc50ae10912adabbc14194cc7a439c",
        "text_lemmatized": "like phở",
        "created_at": "2025-07-22T10:11:12.345678-07:00",
        "updated_at": "2025-07-23T00:00:00Z",
        "user_id": "mai",
        "run_id": "r1",
        "actor_id": "Mai",
        "role": "user",
        "attributed_to": "user",
        "expiration_date": "2027-01-01",
        "categories": ["food"],
        "topic": "food",
    },
}


@pytest.mark.parametrize("record", [LISTED, POINT])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory", "half \ud800 of it"),
        ("id", float("inf")),
        ("id", True),
        ("user_id", float("inf")),
        ("user_id", True),
        ("user_id", ["a"]),
        ("role", "\udc00"),
        ("categories", ["\ud800"]),
        ("metadata", {"a": [{"b\ud800": 1}]}),
    ],
)
def test_what_an_add_refuses_is_refused_and_named(record: dict[str, Any], field: str, value: Any) -> None:
    if field == "id" or "payload" not in record:
        odd = {**record, field: value}
    else:
        place = "data" if field == "memory" else field
        odd = {**record, "payload": {**record["payload"], place: value}}
    with pytest.raises(InvalidRequestError, match=f"^({field}|data): "):
        read(odd)


def read(record: dict[str, Any]) -> Memory:
    return foreign_event("acme", record, now=NOW, most_chars=100).memory


@pytest.mark.parametrize("record", [LISTED, POINT])
def test_lists_and_payloads_say_the_same(record: dict[str, Any]) -> None:
    memory = read(record)
    assert (memory.id, memory.version, memory.text) == (ID, 1, "Likes phở")
    assert memory.scope == Scope("acme", user_id="mai", run_id="r1")
    assert memory.metadata == {"topic": "food"}
    assert (memory.created_at, memory.updated_at) == (
        "2025-07-22T17:11:12.345678+00:00",
        "2025-07-23T00:00:00.000000+00:00",
    )
    assert (memory.role, memory.actor_id, memory.attributed_to) == ("user", "Mai", "user")
    assert (memory.expiration_date, memory.categories) == ("2027-01-01", ("food",))


def test_the_hash_stays() -> None:
    assert read(LISTED).hash == LISTED["hash"]


def test_the_same_record_gives_the_same_event() -> None:
    assert foreign_event("acme", LISTED, now=NOW, most_chars=100) == foreign_event(
        "acme", LISTED, now="2027" + NOW[4:], most_chars=100
    )


def test_ids_that_are_no_uuid_become_one_and_the_same() -> None:
    one, again, other = (read({"id": id_, "memory": "x", "user_id": "u"}).id for id_ in (7, "7", 8))
    assert one == again != other


def test_without_times_it_is_now() -> None:
    assert read({"id": ID, "memory": "x", "user_id": "u"}).created_at == NOW
    assert read({"id": ID, "memory": "x", "user_id": "u", "created_at": "2025-01-01"}).updated_at.startswith("2025")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"id": ID, "user_id": "u"}, "memory"),
        ({"id": ID, "memory": "x"}, "user_id"),
        ({"memory": "x", "user_id": "u"}, "id"),
        ({"id": ID, "memory": "x", "user_id": "u", "created_at": "yesterday"}, "created_at"),
        ({"id": ID, "memory": "x", "user_id": "two\twords"}, "user_id"),
        ({"id": ID, "memory": "x", "user_id": "u" * 256}, "user_id"),
        ({"id": ID, "memory": "x", "user_id": "u", "role": 1}, "role"),
        ({"id": ID, "memory": "x", "user_id": "u", "categories": "food"}, "categories"),
        ({"id": ID, "memory": "x", "user_id": "u", "expiration_date": "soon"}, "expiration_date"),
        ({"id": ID, "memory": "x", "user_id": "u", "metadata": {"k": "v" * 70000}}, "metadata"),
        ({"id": ID, "payload": {"user_id": "u"}}, "payload.data"),
        ({"id": ID, "memory": "x" * 101, "user_id": "u"}, "101 characters; at most 100"),
    ],
)
def test_errors_name_what_is_missing(record: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        read(record)


@pytest.mark.parametrize(("given", "expected"), [(True, True), (False, False), (None, False)])
def test_what_cannot_be_changed_stays_so(given: bool | None, expected: bool) -> None:
    assert read({**LISTED, "immutable": given}).immutable is expected
    assert read({**POINT, "payload": {**POINT["payload"], "immutable": True}}).metadata["immutable"] is True
    with pytest.raises(InvalidRequestError, match="immutable"):
        read({**LISTED, "immutable": "yes"})
