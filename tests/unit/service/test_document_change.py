"""Changing documents that others change too: nothing is lost, and a writer that cannot get through is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from forgetless.domain.documents import Document
from forgetless.domain.errors import ConflictError, NotFoundError
from forgetless.domain.limits import MOST_WEBHOOKS
from forgetless.domain.schema_exports import EXPORT
from forgetless.service.document_change import change_document, put_within
from forgetless.service.jobs.erase_exports import has_exports
from forgetless.service.projects.settings import MOST_PROJECTS, project_id
from forgetless.service.reading.job_lists import count_any_jobs
from tests.unit.service.world import World

KEY = ("default", "project", "a")


def a_document(id_: str = "a", **body: Any) -> Document:
    return Document("default", "project", id_, body, "2026-01-01T00:00:00.000000+00:00")


class Others:
    """Writers that are first `times` times, between our look and our write."""

    def __init__(self, world: World, times: int) -> None:
        self.world = world
        self.times = times

    def add_key(self, held: Document | None) -> Mapping[str, Any]:
        assert held is not None
        if self.times:
            self.times -= 1
            theirs = {**held.body, f"theirs {self.times}": True}
            assert self.world.ledger.put_document(replace(held, body=theirs, version=held.version + 1))
        return {**held.body, "mine": True}


def test_a_change_is_made_upon_what_others_wrote_meanwhile(world: World) -> None:
    world.ledger.put_document(a_document())
    changed = change_document(world.ledger, KEY, Others(world, 7).add_key, clock=world.clock)
    assert changed == world.ledger.document(*KEY)
    assert changed is not None
    assert len(changed.body) == 8
    assert len(set(world.clock.slept)) == 7  # with jitter: they must not meet again and again


def test_who_never_gets_through_hears_of_a_conflict_and_has_changed_nothing(world: World) -> None:
    world.ledger.put_document(a_document())
    with pytest.raises(ConflictError, match="project"):
        change_document(world.ledger, KEY, Others(world, 9999).add_key, clock=world.clock)
    document = world.ledger.document(*KEY)
    assert document is not None
    assert "mine" not in document.body


def test_what_is_to_stay_is_not_written(world: World) -> None:
    assert change_document(world.ledger, KEY, lambda _: None, clock=world.clock) is None
    world.ledger.put_document(a_document())
    assert change_document(world.ledger, KEY, lambda _: None, clock=world.clock) == a_document()


def test_a_document_of_a_kind_that_is_full_or_of_an_id_that_is_taken_is_refused(world: World) -> None:
    put_within(world.ledger, a_document("a"), most=2)
    with pytest.raises(ConflictError, match="this id"):
        put_within(world.ledger, a_document("a"), most=2)
    put_within(world.ledger, a_document("b"), most=2)
    with pytest.raises(ConflictError, match="2 projects"):
        put_within(world.ledger, a_document("c"), most=2)
    assert [one.id for one in world.ledger.documents("default", "project", limit=9)[0]] == ["b", "a"]


def test_to_count_the_documents_of_a_kind_none_of_them_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.ledger.put_document(replace(a_document("e"), kind=EXPORT))
    put_within(world.ledger, a_document("a"), most=2)

    def unwanted(*_: Any, **__: Any) -> Any:
        raise AssertionError("documents were read")

    monkeypatch.setattr(type(world.ledger), "documents", unwanted)
    put_within(world.ledger, a_document("b"), most=2)
    with pytest.raises(ConflictError, match="2 projects"):
        put_within(world.ledger, a_document("c"), most=2)
    assert has_exports(world.ledger, "default")
    assert count_any_jobs(world.ledger, "default", limit=9) == 0


def test_projects_and_webhooks_have_their_limits(world: World) -> None:
    services = world.services
    for number in range(MOST_PROJECTS):
        services.projects.create("default", f"p{number}", {})
    for _ in range(MOST_WEBHOOKS):
        services.webhooks.create("default", "p", name="n", url="https://x", event_types=(), is_active=True)
    with pytest.raises(ConflictError, match=f"{MOST_PROJECTS} projects"):
        services.projects.create("default", "one more", {})
    with pytest.raises(ConflictError, match=f"{MOST_WEBHOOKS} webhooks"):
        services.webhooks.create("default", "p", name="n", url="https://x", event_types=(), is_active=True)
    assert len(services.webhooks.list("default", "p")) == MOST_WEBHOOKS


def test_a_project_that_was_deleted_does_not_come_back_by_a_change(world: World) -> None:
    projects = world.services.projects
    projects.create("default", "a", {"name": "x"})
    projects.delete("default", "a")
    for change in (
        lambda: projects.update("default", "a", {"name": "y"}),
        lambda: projects.set_member("default", "a", "e@example.com", "READER"),
    ):
        with pytest.raises(NotFoundError):
            change()
    assert world.ledger.documents("default", "project", limit=9) == ([], None)
    projects.update("default", project_id("default"), {"name": "own"})
    assert projects.settings("default") == {"name": "own"}
