"""A process that dies at any call of a delete by filter, in the request or in its job: nothing is left half done."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.bulk_jobs import BulkKind
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs import delete_matching, removal
from forgetless.service.writing.erase_memories import FilteredDelete
from tests.fakes.mortal_ledger import KilledError, MortalLedger
from tests.unit.service.webhooks.post import Post, make
from tests.unit.service.world import World, make_world

ASKED = FilteredDelete("default", {"user_id": "alice"}, (), {"metadata": {"topic": "tea"}})
KEPT = ["said 3", "said 1"]


def prepared(folder: Path, *, hooked: bool) -> tuple[World, MortalLedger, Post]:
    """Five memories, three of them about tea, and a webhook if asked."""
    folder.mkdir()
    mortal = MortalLedger(SqliteLedger(folder / "ledger.db"))
    world = make_world(folder, ledger=cast("Ledger", mortal))
    for place in range(5):
        world.say(f"said {place}", metadata={"topic": "milk" if place % 2 else "tea"})
    post = make(world)
    if hooked:
        post.hook(event_types=("memory_delete",))
    mortal.calls = 0
    return world, mortal, post


def finish(world: World) -> None:
    while world.services.bulk_worker.turn():
        world.clock.advance(1)


@pytest.mark.parametrize("most", [None, 2, 3], ids=["no webhook", "one delivery", "one by one"])
@pytest.mark.parametrize("in_request", [True, False], ids=["request", "bulk"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_it_is_finished_or_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_request: bool, after: bool, most: int | None
) -> None:
    if most is not None:
        monkeypatch.setattr(removal, "MOST_ANNOUNCED", most)
    monkeypatch.setattr(removal, "STEP", 2)
    if not in_request:
        monkeypatch.setattr(delete_matching, "ERASE_IN_REQUEST_S", -1.0)
    for deadly in count():
        world, mortal, post = prepared(tmp_path / str(deadly), hooked=most is not None)
        mortal.deadly, mortal.after = deadly, after
        answered = died = False
        try:
            world.services.changes.delete_matching(ASKED)
            answered = True
            finish(world)
        except KilledError:
            died = True
        mortal.deadly = None
        if not answered:  # its client knows nothing, and asks again
            world.services.changes.delete_matching(ASKED)
        _check_finished(world)
        _check_told(post, most, died=died)
        world.ledger.close()
        if not died:
            return


def _check_finished(world: World) -> None:
    for _ in range(3):
        world.clock.advance(600)
        world.services.sweep.sweep()
        finish(world)
    assert world.texts() == KEPT
    page = world.ledger.list_memories("default", {}, limit=99, superseded=True)
    messages, _ = world.ledger.scope_messages("default", {}, limit=99)
    assert sorted(message.content for message in messages) == sorted(KEPT)
    assert {id_ for id_, _ in world.index.keys("default", limit=99)} == {memory.id for memory in page.items}
    jobs, _ = world.services.bulk.jobs("default", limit=9)
    assert jobs
    assert {(job.kind, job.finished, job.error) for job in jobs} == {(BulkKind.DELETE, True, None)}
    assert all(job.done <= 3 for job in jobs)


def _check_told(post: Post, most: int | None, *, died: bool) -> None:
    while post.deliveries.run().delivered:
        pass
    told = post.receiver.details()
    if most is None:
        assert told == []
    elif not died:
        assert len(told) == (1 if most == 2 else 3)
        assert most == 3 or told[0]["count"] == 3
    elif most == 3:
        # At least once, and sometimes twice.
        assert len({one["id"] for one in told}) == 3
