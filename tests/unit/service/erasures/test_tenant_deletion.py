"""The deletion of a tenant: nothing of it is left, others keep theirs, and a new tenant of its name gets nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import cast

import pytest

from forgetless.adapters.erasure_log_file import FileErasureLog
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.audit import AUDIT
from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.erasure_log import LoggedErasure, LoggedRestore, logged
from forgetless.domain.erasure_receipts import receipt_of
from forgetless.domain.errors import (
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    LedgerError,
    NotFoundError,
)
from forgetless.domain.jobs import JobState
from forgetless.domain.keys import Role
from forgetless.domain.scope import Scope
from forgetless.domain.tenants import LATE_S
from forgetless.domain.times import seconds_between
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs import erase
from forgetless.service.jobs.delete_tenant import NOBODY
from forgetless.service.jobs.erasure_replay import ErasureReplay, tenants_of
from tests.contract.ledger.making import keys_of
from tests.fakes.mortal_ledger import KilledError, MortalLedger
from tests.unit.api.client import STRANGER, Api, make_api
from tests.unit.service.world import World, make_world

OTHERS = Scope("other", user_id="alice")


def fill(api: Api, *, key: str = STRANGER) -> None:
    """Memories, a project, a webhook, feedback, an export and an answer that is kept, of the tenant of the key."""
    ids = api.say("rockets", "trams", key=key)
    call = {"key": key}
    project = api.get("/v1/ping/", **call).json()["project_id"]
    hook = {"name": "h", "url": "https://example.com/h", "event_types": ["memory_delete"]}
    assert api.post(f"/api/v1/webhooks/projects/{project}/", hook, **call).status_code < 300
    assert api.post("/v1/feedback/", {"memory_id": ids[0], "feedback": "POSITIVE"}, **call).status_code < 300
    settings = {"custom_instructions": "only rockets"}
    org = api.get("/v1/ping/", **call).json()["org_id"]
    assert api.call("PATCH", f"/api/v1/orgs/organizations/{org}/projects/{project}/", json=settings, key=key).is_success
    body = {"messages": [{"role": "user", "content": "boats"}], "user_id": "alice", "infer": False}
    assert api.post("/memories", body, headers={"Idempotency-Key": "k"}, **call).is_success


def finish(world: World, *, seconds: float = LATE_S + 200, rounds: int = 5) -> None:
    """Let the workers, sweep and time pass."""
    for _ in range(rounds):
        while world.services.bulk_worker.turn():
            world.clock.advance(1)
        world.services.sweep.sweep()
        world.clock.advance(seconds / 3)


def job_of(world: World, job_id: str) -> BulkJob:
    job = world.services.bulk.job(NOBODY, job_id)
    assert job is not None
    return job


def rows_of(world: World, tenant: str) -> int:
    """How many records SQLite has of the tenant."""
    ledger = cast("SqliteLedger", world.ledger)
    names = ("memories", "events", "messages", "jobs", "documents", "requests", "totals", "erasures", "erasure_states")

    def counted(name: str) -> int:
        query = f"SELECT count(*) FROM {name} WHERE tenant = ?"
        return int(ledger._connections.read(lambda db: db.execute(query, (tenant.encode(),)).fetchone()[0]))

    return sum(map(counted, names))


@pytest.fixture
def api(tmp_path: Path) -> Api:
    log = FileErasureLog(tmp_path / "ledger.db-erasures")
    return make_api(make_world(tmp_path, erasure_log=log))


def test_it_refuses_all_requests_at_once_and_leaves_nothing(api: Api) -> None:
    world = api.world
    fill(api)
    api.say("mine")
    job = world.services.tenant_deletions.begin("other")
    assert api.get("/memories?user_id=alice", key=STRANGER).json()["results"] == [], "a process that knew the key"
    late = {"messages": [{"role": "user", "content": "late"}], "user_id": "eve", "infer": False}
    refused = api.post("/memories", late, key=STRANGER)
    assert (refused.status_code, "being deleted" in refused.text) == (403, True)
    world.clock.advance(31)
    assert api.get("/memories?user_id=alice", key=STRANGER).status_code == 401
    world.services.bulk_worker.turn()
    waits = job_of(world, job.id)
    assert waits.finished is False, "it waits for writers that did not know"
    assert waits.due_at is not None
    assert seconds_between(world.clock.now(), waits.due_at) > 800
    assert world.index.count("other") == 0
    finish(world)
    ended = job_of(world, job.id)
    assert (ended.state, ended.done, ended.error) == (JobState.SUCCEEDED, 3, None)
    assert rows_of(world, "other") == 0
    assert keys_of(world.ledger, "other") == []
    assert "other" not in json.dumps(ended.document().body)
    assert api.texts() == ["mine"]


def test_the_receipt_counts_and_names_nobody_and_the_audit_list_stays(api: Api) -> None:
    world = api.world
    fill(api)
    world.services.audit.flush()
    kept = len(world.services.audit.page("other", limit=99).entries)
    job = world.services.tenant_deletions.begin("other")
    finish(world)
    receipt = receipt_of(job_of(world, job.id), ())
    assert receipt is not None
    assert (receipt.kind, list(receipt.scope[0])) == (("tenant",), ["tenant"])
    assert {name: receipt.counts[name] for name in ("memories", "messages", "keys")} == {
        "memories": 3, "messages": 3, "keys": 1,
    }  # fmt: skip
    assert receipt.counts["records"] > 5
    assert "other" not in json.dumps(receipt.record())
    entries = world.services.audit.page(job.id, limit=99).entries
    assert len(entries) == kept + 1 > 1
    assert {entry.route for entry in entries} >= {"POST /memories", "forgetless tenants delete"}
    assert "alice" not in json.dumps([entry.record() for entry in entries])
    assert world.ledger.documents("other", AUDIT, limit=9)[0] == []


def test_a_new_tenant_of_the_name_gets_nothing_of_the_old_one(api: Api) -> None:
    world = api.world
    fill(api)
    keys = world.services.keys
    old = world.services.changes.delete_scope("other", {"user_id": "nobody"})
    assert old.event_id
    world.services.tenant_deletions.begin("other")
    with pytest.raises(ConflictError, match="being deleted"):
        keys.create("other", label="new", role=Role.ADMIN)
    with pytest.raises(ConflictError, match="being deleted"):
        keys.register("other", "x" * 40, role=Role.ADMIN, label="new")
    finish(world)
    _, secret = keys.create("other", label="new", role=Role.ADMIN)
    assert world.ledger.erasure_state("other").last >= 2, "no line of the log about the old tenant concerns it"
    with pytest.raises(AuthenticationError):
        keys.authenticate(STRANGER)
    assert [status.key.label for status in keys.each("other")] == ["new"]
    assert api.get("/memories?user_id=alice", key=secret).json()["results"] == []
    assert api.found("rockets", key=secret) == []
    entries = world.services.audit.page("other", limit=99).entries
    assert {entry.key_id for entry in entries} == {next(keys.each("other")).key.id}
    assert world.ledger.documents("other", "webhook", limit=9)[0] == []
    ping = api.get("/v1/ping/", key=secret).json()
    path = f"/api/v1/orgs/organizations/{ping['org_id']}/projects/{ping['project_id']}/"
    assert not api.get(path, key=secret).json().get("custom_instructions")
    assert api.get("/v1/events/", key=secret).json()["results"] == []
    body = {"messages": [{"role": "user", "content": "boats"}], "user_id": "alice", "infer": False}
    again = api.post("/memories", body, key=secret, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.headers.get("Idempotency-Replayed")) == (200, None)
    world.clock.advance(2000)
    finish(world)
    assert api.texts("user_id=alice", key=secret) == ["boats"]


def test_a_repeat_goes_on_with_the_same_job_and_unknown_names_are_refused(api: Api) -> None:
    deletions = api.world.services.tenant_deletions
    with pytest.raises(NotFoundError, match="no tenant 'nobody'"):
        deletions.begin("nobody")
    with pytest.raises(InvalidRequestError, match="operators"):
        deletions.begin("default")
    job = deletions.begin("other")
    assert deletions.begin("other").id == job.id
    with pytest.raises(ConflictError, match="cannot be cancelled"):
        api.world.services.bulk.cancel(NOBODY, job.id)
    finish(api.world)
    with pytest.raises(NotFoundError):
        deletions.begin("other")


def test_what_a_late_writer_left_goes_in_a_later_pass(api: Api) -> None:
    world = api.world
    fill(api)
    job = world.services.tenant_deletions.begin("other")
    world.services.bulk_worker.turn()
    project = api.get("/v1/ping/", key=STRANGER).json()
    hook = {"name": "late", "url": "https://example.com/late", "event_types": ["memory_add"]}
    path = f"/api/v1/webhooks/projects/{project['project_id']}/"
    assert api.post(path, hook, key=STRANGER).status_code < 300, "this process still takes the key"
    world.services.audit.flush()
    assert rows_of(world, "other") > 0
    finish(world)
    assert job_of(world, job.id).finished
    assert rows_of(world, "other") == 0


def test_a_worker_that_was_stopped_touches_nothing_of_the_next_tenant(api: Api) -> None:
    world = api.world
    fill(api)
    deletions = world.services.tenant_deletions
    begun = deletions.begin("other")
    claimed = job_of(world, begun.id)
    finish(world)
    _, secret = world.services.keys.create("other", label="new", role=Role.ADMIN)
    api.say("new", key=secret)
    for step in ("close", "keys", "erase", "index", "audit", "records", "forget"):
        cursor = {**(claimed.cursor or {}), "step": step}
        stale = replace(claimed, cursor=cursor)
        try:
            deletions.portion(stale, deadline=world.clock.monotonic() + 5)
        except (ConflictError, LedgerError):
            continue
    assert api.texts("user_id=alice", key=secret) == ["new"]
    assert world.index.count("other") == 1
    assert not world.ledger.erasure_state("other").closed


def test_another_process_finishes_it_wherever_one_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "_STEP", 2)
    for deadly in count():
        folder = tmp_path / str(deadly)
        folder.mkdir()
        mortal = MortalLedger(SqliteLedger(folder / "ledger.db"))
        log = FileErasureLog(folder / "ledger.db-erasures")
        world = make_world(folder, ledger=cast("Ledger", mortal), erasure_log=log)
        secret = world.services.keys.create("other", label="one", role=Role.WRITE)[1]
        world.say("rockets", "trams", scope=OTHERS)
        world.say("mine")
        mortal.calls, mortal.deadly, mortal.after = 0, deadly, True
        try:
            world.services.tenant_deletions.begin("other")
            for _ in range(3):
                while world.services.bulk_worker.turn():
                    pass
                world.clock.advance(LATE_S)
        except KilledError:
            died = True
        else:
            died = False
        mortal.deadly = None
        if world.services.bulk.jobs(NOBODY, limit=9)[0]:
            finish(world, seconds=6000, rounds=3)
            (job,) = world.services.bulk.jobs(NOBODY, limit=9)[0]
            assert (job.finished, job.error, world.texts()) == (True, None, ["mine"])
            assert (rows_of(world, "other"), world.index.count("other")) == (0, 0)
            with pytest.raises(AuthenticationError):
                world.services.keys.authenticate(secret)
            assert {line.closes for line in log.lines() if isinstance(line, LoggedErasure)} == {True}
        world.ledger.close()
        if not died:
            return


def test_a_restored_copy_loses_the_tenant_with_its_keys(tmp_path: Path) -> None:
    world, copied = make_world(tmp_path / "a"), make_world(tmp_path / "b")
    log = FileErasureLog(tmp_path / "log")
    for one in (world, copied):  # the copy has the same name
        one.ledger.set_incarnation("first")
        one.services.keys.create("other", label="one", role=Role.WRITE)
        one.services.keys.create("empty", label="two", role=Role.WRITE)
        one.say("rockets", scope=OTHERS)
        one.say("mine")
    closing = [world.ledger.close_tenant(tenant, at=world.clock.now()) for tenant in ("other", "empty")]

    for erasure in closing:
        log.write(logged(log.key(), "first", erasure))
    replay = ErasureReplay(ledger=copied.ledger, log=log, clock=copied.clock)
    report = replay.run(tenants_of(copied.ledger), include_erased=False, tell=lambda done, all_: None)
    assert (report.lines, report.targets) == (2, 2)
    assert any(isinstance(line, LoggedRestore) for line in log.lines())
    assert keys_of(copied.ledger, "other") == keys_of(copied.ledger, "empty") == []
    assert copied.texts(OTHERS) == []
    finish(copied)
    assert (rows_of(copied, "other"), rows_of(copied, "empty"), copied.texts()) == (0, 0, ["mine"])
