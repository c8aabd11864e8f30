"""Feedback goes in one step with its memory: a kill at any call, or feedback at that moment, leaves none."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.documents import Document
from forgetless.domain.errors import NotFoundError
from forgetless.domain.memory import Event, EventKind
from forgetless.ports.ledger import Ledger
from tests.contract.ledger.making import files_holding
from tests.fakes.mortal_ledger import KilledError, MortalLedger
from tests.unit.service.world import World, make_world

WORD = "needlestem"
Delete = Callable[[World, list[str]], Any]

WAYS: dict[str, Delete] = {
    "one": lambda world, ids: world.services.changes.delete("default", ids[0]),
    "user": lambda world, _: world.services.changes.delete_scope("default", {"user_id": "alice"}),
}


def rate(world: World, id_: str) -> None:
    world.services.feedback.give("default", id_, "NEGATIVE", f"{WORD} about alice")


def settle(world: World) -> None:
    for _ in range(3):
        world.clock.advance(1300)
        world.services.sweep.sweep()
        while world.services.bulk_worker.turn():
            world.clock.advance(1)


def check(world: World, folder: Path) -> None:
    """After any deletion, an erasure of the user leaves no word of the feedback."""
    for document in world.ledger.documents("default", "feedback", limit=9)[0]:
        assert not world.ledger.read("default", [document.id])[document.id].deleted
    world.services.changes.delete_scope("default", {"user_id": "alice"})
    settle(world)
    assert world.ledger.documents("default", "feedback", limit=9) == ([], None)
    assert world.ledger.scrub_erased()
    assert files_holding(folder, WORD) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_call_leaves_no_feedback_of_a_deleted_memory(tmp_path: Path, way: str, after: bool) -> None:
    for deadly in count():
        folder = tmp_path / str(deadly)
        folder.mkdir()
        mortal = MortalLedger(SqliteLedger(folder / "ledger.db"))
        world = make_world(folder, ledger=cast("Ledger", mortal))
        ids = [world.say(f"said {place}").results[0].id for place in range(2)]
        for id_ in ids:
            rate(world, id_)
        mortal.calls, mortal.deadly, mortal.after = 0, deadly, after
        died = False
        try:
            WAYS[way](world, ids)
        except KilledError:
            died = True
        mortal.deadly = None
        check(world, folder)
        world.ledger.close()
        if not died:
            return


@pytest.mark.parametrize("way", WAYS)
def test_feedback_just_before_the_deletion_goes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    world = make_world(tmp_path)
    ids = [world.say("said").results[0].id]
    append, left = world.ledger.append, [ids[0]]

    def late(events: list[Event], **more: Any) -> None:
        if events and events[0].kind is EventKind.DELETE and left:
            # It has read the memory already when an erasure hides it.
            body = {"feedback": "NEGATIVE", "feedback_reason": f"{WORD} about alice"}
            assert world.ledger.put_document(Document("default", "feedback", left.pop(), body, world.clock.now()))
        append(events, **more)

    monkeypatch.setattr(world.ledger, "append", late)
    WAYS[way](world, ids)
    assert not left
    check(world, tmp_path)


def test_feedback_just_after_the_deletion_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(tmp_path)
    ids = [world.say("said").results[0].id]
    put, left = world.ledger.put_document, [ids]

    def late(document: Document) -> bool:
        if document.kind == "feedback" and left:
            WAYS["one"](world, left.pop())
        return put(document)

    monkeypatch.setattr(world.ledger, "put_document", late)
    with pytest.raises(NotFoundError):
        rate(world, ids[0])
    assert not left
    check(world, tmp_path)
