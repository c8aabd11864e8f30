"""A process that dies at any call of an erasure, in the request or in its bulk job: another one finishes it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.adapters.erasure_log_file import FileErasureLog
from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.domain.erasure_log import LoggedErasure
from forgetless.domain.scope import Scope
from forgetless.ports.erasure_log import ErasureLog
from forgetless.ports.ledger import Ledger
from forgetless.service.jobs import erase
from tests.fakes.mortal_ledger import KilledError, MortalLedger
from tests.unit.service.world import ALICE, World, make_world

BOB = Scope("default", user_id="bob")
TEXTS = {"kept of bob", "new of alice"}


class MortalLog:
    """A log of erasures whose process dies at a call, too: its calls are counted with those of the ledger."""

    def __init__(self, log: ErasureLog, ledger: MortalLedger) -> None:
        self._log = log
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return self._ledger._mortal(getattr(self._log, name))


def erase_all(world: World) -> None:
    """Erase a user, and let the worker do what is left."""
    world.services.changes.delete_scope("default", {"user_id": "alice"})
    while world.services.bulk_worker.turn():
        world.clock.advance(1)


def prepared(folder: Path) -> tuple[World, MortalLedger]:
    folder.mkdir()
    mortal = MortalLedger(SqliteLedger(folder / "ledger.db"))
    log = MortalLog(FileErasureLog(folder / "ledger.db-erasures"), mortal)
    world = make_world(folder, ledger=cast("Ledger", mortal), erasure_log=cast("ErasureLog", log))
    for place in range(3):
        world.say(f"said {place}", scope=replace(ALICE, run_id="r") if place else ALICE)
    world.say("kept of bob", scope=BOB)
    mortal.calls = 0
    return world, mortal


@pytest.mark.parametrize("in_request", [True, False], ids=["request", "bulk"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_another_process_finishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_request: bool, after: bool
) -> None:
    if not in_request:
        monkeypatch.setattr(erase, "ERASE_IN_REQUEST_S", -1.0)
        monkeypatch.setattr(erase, "_STEP", 1)
    for deadly in count():
        world, mortal = prepared(tmp_path / str(deadly))
        mortal.deadly, mortal.after = deadly, after
        try:
            erase_all(world)
        except KilledError:
            died = True
        else:
            died = False
        mortal.deadly = None
        begun = world.ledger.erasure_state("default").last > 0
        assert (world.texts() == []) == begun, "it is in effect as soon as the marker is there, and not before"
        if begun:
            world.say("new of alice")
            _check_finished(world)
        world.ledger.close()
        if not died:
            assert begun
            return


def _check_finished(world: World) -> None:
    """Everything of the erasure is removed and nothing else, and it is in the log."""
    for _ in range(3):
        world.clock.advance(600)
        world.services.sweep.sweep()
        while world.services.bulk_worker.turn():
            world.clock.advance(1)
    page = world.ledger.list_memories("default", {}, limit=99, superseded=True)
    assert {memory.text for memory in page.items} == TEXTS
    messages, _ = world.ledger.scope_messages("default", {}, limit=99)
    assert {message.content for message in messages} == TEXTS
    assert {id_ for id_, _ in world.index.keys("default", limit=99)} == {memory.id for memory in page.items}
    assert world.ledger.erasure_state("default").hiding == 0
    assert world.ledger.open_erasures(limit=9, each=9) == []
    assert world.erasure_log is not None
    assert {line.number for line in world.erasure_log.lines() if isinstance(line, LoggedErasure)} == {1}
    assert {entity.id: entity.total_memories for entity in world.services.reads.entities("default", size=9).items} == {
        "alice": 1,
        "bob": 1,
    }
