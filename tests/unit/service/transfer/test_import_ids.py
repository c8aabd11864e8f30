"""Identifiers in imports: those of mem0 are new, and those of an export are what was stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forgetless.service.transfer.event_import import EventImport
from tests.unit.service.world import World, make_world

AT = "2026-01-01T00:00:00.000000+00:00"
HEADER = {"format": "forgetless-events", "version": 1}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path)
    yield world
    world.ledger.close()


def line(user: str) -> dict[str, Any]:
    memory = {"id": "m", "version": 1, "scope": {"user_id": user}, "text": "tea", "job_id": "j"}
    return {"type": "event", "kind": "ADD", "memory": {**memory, "created_at": AT, "updated_at": AT}}


def taken(world: World, *records: dict[str, Any]) -> tuple[list[str], int]:
    """The users that have memories now, and how many records were refused."""
    report = EventImport(ledger=world.ledger, clock=world.clock).take("default", list(enumerate(records, start=1)))
    return [one.id for one in world.ledger.entities("default", limit=9).items], report.refused


@pytest.mark.parametrize(
    ("given", "stored"), [("jose\u0301", "jos\u00e9"), (" jos\u00e9 ", "jos\u00e9"), ("Jane Doe", "Jane Doe")]
)
def test_ids_of_mem0_are_brought_to_normal_form(world: World, given: str, stored: str) -> None:
    assert taken(world, {"id": "1", "memory": "tea", "user_id": given}) == ([stored], 0)


@pytest.mark.parametrize(("given", "stored"), [("two  words", "two  words"), (42, "42")])
def test_ids_that_the_platform_can_write_are_taken(world: World, given: Any, stored: str) -> None:
    assert taken(world, {"id": "1", "memory": "tea", "user_id": given}) == ([stored], 0)


@pytest.mark.parametrize("given", ["a\u200bb", "a\x1bb", "a\tb", "*"])
def test_ids_of_mem0_that_an_add_refuses_are_refused(world: World, given: str) -> None:
    assert taken(world, {"id": "1", "memory": "tea", "user_id": given}) == ([], 1)


@pytest.mark.parametrize("given", ["jose\u0301", "alice\u200b", "two words"])
def test_an_export_is_taken_with_the_spelling_that_was_stored(world: World, given: str) -> None:
    assert taken(world, HEADER, line(given)) == ([given], 0)


@pytest.mark.parametrize("given", ["a\x1bb", "a\nb", "\ud800", "*", " a", "x" * 256])
def test_a_line_with_an_id_that_no_request_can_name_is_refused(world: World, given: str) -> None:
    assert taken(world, HEADER, line(given)) == ([], 1)
