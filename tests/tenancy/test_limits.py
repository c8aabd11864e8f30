"""The ledger and the index as a limited key sees them, for what no route shows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest

from forgetless.api.caller import Caller
from forgetless.domain.bulk_jobs import BulkKind
from forgetless.domain.documents import Document
from forgetless.domain.erasures import ErasureState
from forgetless.domain.errors import ForbiddenError, NotFoundError
from forgetless.domain.filters.ast import EVERYTHING
from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.memory import Event, EventKind
from forgetless.domain.recipes import CURRENT
from forgetless.domain.scope import Scope
from forgetless.ports.index import Index, RequestIndex
from forgetless.ports.ledger import Inspection, KeyStore, Ledger, Maintenance, OperatorLedger
from forgetless.ports.request_ledger import RequestLedger
from forgetless.service.access.limited_index import LimitedIndex
from forgetless.service.access.limited_ledger import LimitedLedger
from forgetless.service.jobs.bulk import BulkService
from forgetless.service.request_services import RequestPorts, RequestServices
from tests.unit.service.world import World, make_world, only

BOB = Scope("default", user_id="bob", agent_id="bot")
ANNA = Scope("default", user_id="anna", agent_id="bot")
AT = "2027-01-01T00:00:00.000000+00:00"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path)
    yield world
    world.ledger.close()


@pytest.fixture
def limited(world: World) -> RequestLedger:
    """Anna's view."""
    return LimitedLedger(world.ledger, only("anna"))


def test_an_earlier_version_is_read_of_its_users_memories_alone(world: World, limited: RequestLedger) -> None:
    (theirs,) = world.say("tea of bob", scope=BOB).results
    (mine,) = world.say("tea of anna", scope=ANNA).results
    assert limited.versions("default", [(theirs.id, 1), (mine.id, 1)]).keys() == {(mine.id, 1)}


def test_both_retrievers_of_the_index_look_at_its_users_alone(world: World) -> None:
    index = LimitedIndex(world.index, only("anna"))
    (theirs,) = world.say("tea of bob", scope=BOB).results
    (mine,) = world.say("tea of anna", scope=ANNA).results
    vector = world.index.vectors("default", [(theirs.id, 1)])[theirs.id, 1]
    assert [hit.memory_id for hit in index.search_vector("default", vector, EVERYTHING, 9)] == [mine.id]
    words = CURRENT.query_words("tea")
    assert [hit.memory_id for hit in index.search_words("default", words, EVERYTHING, 9)] == [mine.id]
    found = index.search_vectors("default", [vector, vector], EVERYTHING, 9)
    assert [[hit.memory_id for hit in hits] for hits in found] == [[mine.id], [mine.id]]


def test_memories_of_others_are_not_read_beside_the_erasures(world: World, limited: RequestLedger) -> None:
    (theirs,) = world.say("tea of bob", scope=BOB).results
    (mine,) = world.say("tea of anna", scope=ANNA).results
    with limited.erasures_beside("default") as beside:
        found = limited.read("default", [theirs.id, mine.id])
    assert (set(found), beside.state) == ({mine.id}, ErasureState())


def test_raw_messages_of_others_are_neither_read_nor_erased(world: World, limited: RequestLedger) -> None:
    job = world.say("bob's words", scope=BOB).job
    (message,) = world.ledger.job_messages("default", job.id)
    assert limited.job_messages("default", job.id) == []
    assert limited.messages_of_jobs("default", [job.id]) == ({}, 1)
    assert limited.read_messages("default", [message.ref]) == {}
    assert limited.erase_messages("default", [message.ref], at=AT) == 0
    assert limited.erase_scope_messages("default", {}, at=AT) == 0
    assert limited.erase_scope_messages("default", {"user_id": "bob"}, at=AT) == 0
    with pytest.raises(ForbiddenError):
        limited.recent_messages(BOB, since="", before=AT, limit=9)
    assert world.ledger.job_messages("default", job.id) == [message]


def test_messages_of_others_stay_when_its_own_memories_are_deleted(world: World, limited: RequestLedger) -> None:
    theirs, mine = world.say("bob's words", scope=BOB), world.say("anna's words", scope=ANNA)
    refs = [message.ref for job in (theirs.job, mine.job) for message in world.ledger.job_messages("default", job.id)]
    memory = world.ledger.read("default", [mine.results[0].id])[mine.results[0].id]
    limited.append([Event(EventKind.DELETE, memory.tombstone(AT, event_id="e"))], erasing=refs)
    assert set(world.ledger.read_messages("default", refs)) == {refs[0]}


def test_links_to_memories_of_others_are_not_followed(world: World, limited: RequestLedger) -> None:
    (theirs,) = world.say("tea of bob", scope=BOB).results
    (mine,) = world.say("tea of anna", scope=ANNA).results
    memory = world.ledger.read("default", [theirs.id])[theirs.id]
    world.ledger.append([Event(EventKind.UPDATE, memory.next_version(AT, event_id="e", superseded_by=mine.id))])
    assert world.ledger.superseded_ids("default", mine.id, limit=9) == [theirs.id]
    assert limited.superseded_ids("default", mine.id, limit=9) == []


def test_its_own_messages_are_erased(world: World, limited: RequestLedger) -> None:
    job = world.say("anna's words", scope=ANNA).job
    assert len(limited.job_messages("default", job.id)) == 1
    assert len(limited.messages_of_jobs("default", [job.id])[0][job.id]) == 1
    assert limited.erase_scope_messages("default", {"agent_id": "bot"}, at=AT) == 1
    assert world.ledger.job_messages("default", job.id) == []


def test_jobs_of_others_do_not_exist(world: World, limited: RequestLedger) -> None:
    theirs, mine = world.say("bob's", scope=BOB).job, world.say("anna's", scope=ANNA).job
    assert limited.jobs("default", limit=9) == ([world.ledger.job("default", mine.id)], None)
    assert limited.job("default", theirs.id) is None
    assert limited.claim_job("default", theirs.id, owner="me", now=AT, until=AT) is None
    with pytest.raises(ForbiddenError, match="user_id"):
        limited.update_job(theirs, held=theirs)
    with pytest.raises(ForbiddenError, match="user_id"):
        limited.update_job(mine, held=theirs)
    with pytest.raises(ForbiddenError, match="user_id"):
        limited.put_job(theirs, [])


def test_pages_are_full_though_others_stand_between(world: World) -> None:
    limited = LimitedLedger(world.ledger, only("anna", "carol"))
    for number in range(4):
        world.say(f"anna {number}", scope=ANNA)
        world.say(f"bob {number}", scope=BOB)
    first = limited.list_memories("default", {"agent_id": "bot"}, limit=3)
    assert [memory.text for memory in first.items] == ["anna 3", "anna 2", "anna 1"]
    second = limited.list_memories("default", {"agent_id": "bot"}, limit=3, cursor=first.cursor)
    assert [memory.text for memory in second.items] == ["anna 0"]


def test_of_documents_only_shared_kinds_are_read_and_none_written(world: World, limited: RequestLedger) -> None:
    for kind in ("project", "export"):
        world.ledger.put_document(Document("default", kind, "one", {"a": 1}, AT))
    assert limited.document("default", "project", "one") is not None
    assert len(limited.documents("default", "project", limit=9)[0]) == 1
    assert limited.document("default", "export", "one") is None
    assert limited.documents("default", "export", limit=9) == ([], None)
    assert limited.count_documents("default", "project", limit=9) == 1
    assert limited.count_documents("default", "export", limit=9) == 0
    with pytest.raises(ForbiddenError):
        limited.put_document(Document("default", "export", "two", {}, AT))
    with pytest.raises(ForbiddenError):
        limited.delete_document("default", "export", "one")


def test_documents_of_memories_follow_the_memory(world: World, limited: RequestLedger) -> None:
    theirs, mine = (world.say("tea", scope=scope).results[0].id for scope in (BOB, ANNA))
    for number, memory in enumerate((mine, theirs, theirs.replace("-", ""))):
        at = AT.replace("00:00:00", f"00:00:0{number}")
        world.ledger.put_document(Document("default", "feedback", memory, {"feedback": "POSITIVE"}, at))
    assert limited.document("default", "feedback", theirs) is None
    assert [one.id for one in limited.documents("default", "feedback", limit=1)[0]] == [mine]
    assert limited.count_documents("default", "feedback", limit=9) == 1
    with pytest.raises(ForbiddenError):
        limited.put_document(Document("default", "feedback", theirs, {}, AT, version=2))
    with pytest.raises(ForbiddenError):
        limited.delete_document("default", "feedback", theirs)
    assert limited.put_document(Document("default", "feedback", mine, {}, AT, version=2))
    memory = world.ledger.read("default", [mine])[mine]
    world.ledger.append([Event(EventKind.DELETE, memory.tombstone(AT, event_id="deletion"))])
    assert world.ledger.document("default", "feedback", mine) is None
    with pytest.raises(ForbiddenError):
        limited.delete_document("default", "feedback", mine)


@pytest.mark.parametrize(
    ("limited", "narrow", "whole"), [(LimitedLedger, RequestLedger, Ledger), (LimitedIndex, RequestIndex, Index)]
)
def test_what_only_operators_do_is_not_in_the_type_of_a_limited_store(limited: type, narrow: type, whole: type) -> None:
    for_operators = _methods(whole) - _methods(narrow)
    assert {"ping", "close"} < for_operators
    assert _methods(limited) == _methods(narrow)


def test_what_serves_requests_takes_the_narrow_types_alone(world: World) -> None:
    """mypy holds each use case to its types; this holds all of them to the narrow ones."""
    hints = get_type_hints(RequestPorts)
    assert (hints["ledger"], hints["index"]) == (RequestLedger, RequestIndex)
    served = vars(world.services.limited_to(only("anna"))).values()
    services = [service for service in served if type(service).__module__.startswith("forgetless.service.")]
    assert len(services) > 10
    for service in services:
        taken = get_type_hints(type(service).__init__).values()
        assert not {Ledger, OperatorLedger, KeyStore, Inspection, Maintenance, Index} & set(taken), service


def test_a_limited_key_gets_403_for_what_is_for_operators(world: World) -> None:
    key = ApiKey("hash", "default", Role.ADMIN, AT, users=("anna",))
    with pytest.raises(ForbiddenError, match="limited to certain users"):
        _ = Caller(lambda: world.services, key).all_services
    assert Caller(lambda: world.services, replace(key, users=())).all_services is world.services
    assert type(Caller(lambda: world.services, key).services) is RequestServices


def test_services_are_made_once_for_each_set_of_users(world: World) -> None:
    services = world.services
    assert services.limited_to(only("anna")) is services.limited_to(only("anna"))
    assert services.limited_to(only("anna")) is not services.limited_to(only("bob"))


def test_of_many_sets_of_users_the_one_not_asked_for_longest_goes_first(world: World) -> None:
    services = world.services
    anna, bob = services.limited_to(only("anna")), services.limited_to(only("bob"))
    for number in range(255):
        services.limited_to(only(str(number)))
        assert services.limited_to(only("anna")) is anna
    assert services.limited_to(only("bob")) is not bob
    assert len(services._limited) <= 256


def test_threads_that_ask_for_many_sets_of_users_at_once_all_get_theirs(world: World) -> None:
    wanted = [only(str(number % 400)) for number in range(1200)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(world.services.limited_to, wanted))
    assert all(type(services) is RequestServices for services in found)
    assert len(world.services._limited) <= 256


def _methods(type_: type) -> set[str]:
    return {name for name in dir(type_) if not name.startswith("_")}


def test_bulk_jobs_are_seen_and_changed_only_if_they_are_about_its_users(world: World, limited: RequestLedger) -> None:
    bulk = world.services.bulk
    own = BulkService(ledger=limited, queue=None, clock=world.clock)
    mine = own.start("default", BulkKind.ERASE, {"ids": {"user_id": "anna"}})
    theirs = bulk.start("default", BulkKind.ERASE, {"ids": {"user_id": "bob"}})
    everyones = bulk.start("default", BulkKind.REINDEX, {})
    assert own.job("default", mine.id) == mine
    assert own.jobs("default", limit=9) == ([mine], None)
    for job in (theirs, everyones):
        assert own.job("default", job.id) is None
        with pytest.raises(NotFoundError):
            own.cancel("default", job.id)
        with pytest.raises(ForbiddenError, match="user_id"):
            own.start("default", BulkKind.REINDEX, job.request)
        # Not even by giving the other's job a request about its own user.
        with pytest.raises(ForbiddenError, match="user_id"):
            limited.put_document(replace(job, request=mine.request, version=2).document())
    with pytest.raises(ForbiddenError):
        limited.delete_document("default", "bulk-job", mine.id)
