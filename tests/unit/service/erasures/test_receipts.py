"""Receipts of erasures: what was erased, without whose it was, and when it had left the files of the index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forgetless.cli.__main__ import main
from forgetless.domain.erasure_receipts import Receipt, receipt_of, scope_digests_of
from forgetless.domain.erasures import Target
from forgetless.domain.errors import IndexUnavailableError
from forgetless.service.jobs import erase
from forgetless.service.jobs.index_cleanings import IndexCleanings
from tests.unit.api.client import make_api
from tests.unit.service.world import World, make_world, only


class Files:
    """Who keeps the files of the index."""

    def __init__(self) -> None:
        self.at: str | None = None
        self.out = False

    def cleaned_at(self) -> str | None:
        if self.out:
            raise IndexUnavailableError("out")
        return self.at


class Kept:
    """A world, and the files of its index."""

    def __init__(self, world: World) -> None:
        self.world, self.files = world, Files()
        self.cleanings = IndexCleanings(ledger=world.ledger, files=self.files, clock=world.clock)

    def rewrite(self) -> str:
        """Rewrite the files, and look a minute later; returns the time."""
        self.world.clock.advance(1)
        self.files.at = self.world.clock.now()
        self.look()
        return self.files.at

    def look(self) -> None:
        self.world.clock.advance(60)
        self.cleanings.look()

    def erase(self, **ids: str) -> str:
        self.world.clock.advance(1)
        return self.world.services.changes.delete_scope("default", ids).event_id

    def receipt(self, event_id: str) -> Receipt:
        job = self.world.services.bulk.job("default", event_id)
        assert job is not None
        found = receipt_of(job, self.cleanings.all())
        assert found is not None
        return found


@pytest.fixture
def kept(world: World) -> Kept:
    return Kept(world)


def test_it_says_what_was_erased_and_not_whose_it_was(kept: Kept) -> None:
    kept.world.say("one", "two")
    receipt = kept.receipt(kept.erase(user_id="alice"))
    assert (receipt.kind, receipt.counts) == (("user",), {"memories": 2, "messages": 2})
    assert receipt.begun_at <= str(receipt.completed_at)
    assert receipt.index_clean_at is None
    assert "alice" not in str(receipt)
    key = kept.world.ledger.digest_key()
    assert list(receipt.scope) == scope_digests_of(key, "default", [Target({"user_id": "alice"})])
    assert list(receipt.scope) != scope_digests_of(key, "other", [Target({"user_id": "alice"})])


def test_of_a_whole_tenant_and_of_any_user(kept: Kept) -> None:
    kept.world.say("one")
    some = kept.world.services.changes.delete_kinds("default", ["user_id"], {"agent_id": "bot"})
    assert (kept.receipt(some.event_id).kind, kept.receipt(some.event_id).counts["memories"]) == (("agent", "user"), 0)
    assert kept.receipt(some.event_id).scope[0]["user_id"] == "*"
    everything = kept.receipt(kept.world.services.changes.reset("default").event_id)
    assert (everything.kind, everything.scope, everything.counts["memories"]) == (("tenant",), ({},), 1)


def test_a_job_that_goes_on_counts_all_messages(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", -1.0)
    monkeypatch.setattr(erase, "_STEP", 1)
    for number in range(3):
        kept.world.say(f"said {number}")
    event_id = kept.erase(user_id="alice")
    assert kept.receipt(event_id).completed_at is None
    while kept.world.services.bulk_worker.turn():
        kept.world.clock.advance(1)
    assert kept.receipt(event_id).counts == {"memories": 3, "messages": 3}
    assert kept.receipt(event_id).completed_at is not None


def test_the_event_and_the_list_of_events_show_the_same_receipt(kept: Kept) -> None:
    kept.world.say("one")
    event_id = kept.erase(user_id="alice")
    kept.look()
    rewritten = kept.rewrite()
    api = make_api(kept.world)
    kept.world.services.cleanings = kept.cleanings.all  # this world's services know no files
    alone = api.get(f"/v1/event/{event_id}/").json()
    (listed,) = api.get("/v1/events/?event_type=ERASE").json()["results"]
    assert alone == listed
    assert listed["metadata"]["receipt"]["index_clean_at"] == rewritten


def test_the_first_rewriting_after_it_is_noted_and_stays(kept: Kept) -> None:
    kept.world.say("one")
    kept.look()
    kept.rewrite()
    event_id = kept.erase(user_id="alice")
    kept.look()
    assert kept.receipt(event_id).index_clean_at is None
    first = kept.rewrite()
    assert kept.receipt(event_id).index_clean_at == first
    kept.rewrite()
    kept.look()
    assert kept.receipt(event_id).index_clean_at == first
    assert kept.receipt(kept.erase(user_id="bob")).index_clean_at is None


def test_a_rewriting_does_not_count_while_rows_wait_to_be_deleted(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    def out(tenant: str, memories: object) -> None:
        raise IndexUnavailableError(f"{tenant} {memories}")

    kept.world.say("one")
    kept.look()
    with monkeypatch.context() as patch:
        patch.setattr(kept.world.index, "drop_older", out)
        event_id = kept.erase(user_id="alice")
        assert kept.receipt(event_id).completed_at is not None
        kept.look()
        kept.rewrite()
        assert kept.receipt(event_id).index_clean_at is None
    kept.world.clock.advance(120)
    kept.world.services.sweep.sweep()
    kept.look()
    second = kept.rewrite()
    assert kept.receipt(event_id).index_clean_at == second


def test_a_key_limited_to_the_user_sees_it_and_another_does_not(kept: Kept) -> None:
    kept.world.say("one")
    services = kept.world.services
    event_id = services.limited_to(only("alice")).changes.delete_scope("default", {"user_id": "alice"}).event_id
    assert services.limited_to(only("alice")).bulk.job("default", event_id) is not None
    assert services.limited_to(only("alice", "bob")).bulk.job("default", event_id) is not None
    assert services.limited_to(only("bob")).bulk.job("default", event_id) is None
    everything = services.changes.reset("default").event_id
    assert services.limited_to(only("alice")).bulk.job("default", everything) is None


def test_a_rewriting_before_the_look_after_the_erasure_does_not_count(kept: Kept) -> None:
    kept.world.say("one")
    kept.look()
    event_id = kept.erase(user_id="alice")
    kept.rewrite()
    assert kept.receipt(event_id).index_clean_at is None, "nobody has looked whether all rows were deleted"
    assert kept.receipt(event_id).index_clean_at is None
    second = kept.rewrite()
    assert kept.receipt(event_id).index_clean_at == second


def test_sweep_looks_and_goes_on_when_nobody_answers(tmp_path: Path) -> None:
    world, files = make_world(tmp_path), Files()
    world.services.sweep._cleanings = IndexCleanings(ledger=world.ledger, files=files, clock=world.clock)
    world.services.sweep.sweep()
    files.out = True
    world.services.sweep.sweep()
    files.out, files.at = False, (world.clock.advance(1), world.clock.now())[1]
    world.services.sweep.sweep()
    assert [one.at for one in IndexCleanings(ledger=world.ledger, files=None, clock=world.clock).all()] == [files.at]
    assert IndexCleanings(ledger=world.ledger, files=None, clock=world.clock).look() == 0
    world.ledger.close()


def test_the_event_and_the_command_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world = make_world(tmp_path)
    api = make_api(world)
    api.say("one")
    event_id = api.delete("/memories", params={"user_id": "alice"}).json()["event_id"]
    shown: dict[str, Any] = api.get(f"/v1/event/{event_id}/").json()["metadata"]["receipt"]
    assert (shown["kind"], shown["counts"], shown["index_clean_at"]) == (["user"], {"memories": 1, "messages": 1}, None)
    listed = api.get("/v1/events/").json()["results"]
    assert [one["metadata"].get("receipt", {}).get("counts") for one in listed if one["id"] == event_id] == [
        shown["counts"]
    ]
    world.ledger.close()
    monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(tmp_path / "ledger.db"))
    assert main(["jobs", "receipt", event_id]) == 0
    said = capsys.readouterr().out
    assert '"messages": 1' in said
    assert "alice" not in said
    assert main(["jobs", "receipt", "00000000-0000-0000-0000-000000000000"]) != 0
