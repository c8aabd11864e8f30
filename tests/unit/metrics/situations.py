"""Situations that make the service record its metrics: each metric has at least one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgetless.adapters.llm_http import HttpLlm
from forgetless.adapters.queue_none import NoQueue
from forgetless.domain.bulk_jobs import BulkJob, BulkKind
from forgetless.domain.errors import InvalidRequestError, LlmUnavailableError
from forgetless.domain.jobs import JobState
from forgetless.domain.quotas import DefaultQuotas, Quotas
from forgetless.ports.ledger import Ledger
from forgetless.runtime.metrics import metered
from forgetless.runtime.timed_ports import timed
from forgetless.service.jobs.bulk import BulkService, Progress
from forgetless.service.jobs.ingest import JobHeldError
from forgetless.service.services import Services
from tests.unit.api.client import make_api
from tests.unit.servers import Answer, serve
from tests.unit.service.webhooks.post import make
from tests.unit.service.world import ALICE, World, facts, make_world

__all__ = ["SITUATIONS"]


def requests_and_a_refused_one(folder: Path) -> None:
    """Requests of all kinds through the API, with a limit that ends them."""
    world = make_world(folder)
    world.services = Services(_ports(world), quotas=DefaultQuotas(key=Quotas.of({"requests_per_minute": 3})))
    api = make_api(world)
    api.say("I like tea.")
    assert [api.get("/nothing").status_code, api.get("/memories").status_code] == [404, 200]
    assert api.get("/memories?user_id=alice").status_code == 429


def a_guesser(folder: Path) -> None:
    """Somebody who tries keys."""
    world = make_world(folder)
    world.services = Services(_ports(world), guesses_per_minute=1)
    api = make_api(world)
    answers = [api.get("/memories?user_id=a", key=f"no key {number}").status_code for number in range(3)]
    assert answers[-1] == 429


def a_cold_start(_: Path) -> None:
    """Two events of one environment."""
    handler = metered("search")(lambda event, context: event)
    assert [handler(number, None) for number in range(2)] == [0, 1]


def a_widened_search(folder: Path) -> None:
    """The index gives rows that the ledger refuses, so the search looks again."""
    world = make_world(folder)
    world.index.filters = False
    world.say(*(f"note {number}" for number in range(300)))
    world.say("note special", scope=replace(ALICE, run_id="z"))
    assert len(world.find("note", scope=replace(ALICE, run_id="z"), top_k=1)) == 1


def an_extraction(folder: Path) -> None:
    """An LLM finds two facts; the queue takes no job."""
    reply = facts("She likes tea", "She lives in Lisbon")
    body = {"choices": [{"message": {"content": reply}}], "usage": {"prompt_tokens": 90, "completion_tokens": 7}}
    with serve(lambda _: Answer(body=body)) as server:
        world = make_world(folder)
        llm = timed("llm", HttpLlm(server.url, model="m"))
        world.services = Services(replace(_ports(world), llm=llm, queue=timed("queue", NoQueue())))
        world.say("I like tea and live in Lisbon.", infer=True)
        world.say("I like coffee.", infer=True, queued=True)
        llm.close()


def a_wrong_key(folder: Path) -> None:
    """The provider refuses our key: the add is held, and fails after a day."""
    world = make_world(folder, _failing(LlmUnavailableError("the LLM answered with status 500", status=500)))
    world.services = Services(_ports(world))
    world.say("I like tea.", infer=True, queued=True)
    (job,) = world.ledger.jobs("default", limit=1)[0]
    for wait in (0, 90_000):
        world.clock.advance(wait)
        with suppress(JobHeldError):
            world.services.ingest.run("default", job.id, seconds=60)
        world.services.sweep.sweep()
    found = world.ledger.job("default", job.id)
    assert found is not None
    assert found.state is JobState.FAILED


def a_backlog(folder: Path) -> None:
    """One add is held, another one has failed, and a memory waits for the index."""
    world = make_world(folder, _failing(LlmUnavailableError("no connection")))
    world.say("I like tea.", infer=True, queued=True)
    with suppress(LlmUnavailableError):
        world.say("I like coffee.", infer=True)
    (queued,) = [job for job in world.ledger.jobs("default", limit=9)[0] if job.state is JobState.PENDING]
    with suppress(JobHeldError):
        world.services.ingest.run("default", queued.id, seconds=60)
    world.say("I like water.")
    world.ledger.mark_unindexed("default", at=world.clock.now())
    world.clock.advance(30)
    world.services.sweep.sweep()


def a_webhook_that_is_gone(folder: Path) -> None:
    """One receiver takes a message, then it answers 410."""
    post = make(make_world(folder))
    post.hook()
    for answer in (200, 410):
        post.receiver.answers = [answer]
        post.world.say("I like tea.")
        post.run(after=1)


def a_bulk_job_that_fails(folder: Path) -> None:
    """A bulk job whose request makes no sense."""
    world = make_world(folder)
    bulk = BulkService(ledger=world.ledger, queue=None, clock=world.clock, works={BulkKind.RETENTION: _Nonsense()})
    job = bulk.start("default", BulkKind.RETENTION, {})
    bulk.run("default", job.id, job.version, seconds=1)


class _Nonsense:
    def portion(self, job: BulkJob, *, deadline: float) -> Progress:
        raise InvalidRequestError("this can never be done")


def _failing(error: Exception) -> Callable[[Any], str]:
    def reply(_: Any) -> str:
        raise error

    return reply


def _ports(world: World) -> Any:
    """The world's ports, timed as in a running service."""
    ports = world.services._ports
    ledger: Ledger = timed("ledger", world.ledger)
    return replace(
        ports,
        ledger=ledger,
        index=timed("index", world.index),
        embedder=timed("embedder", world.embedder),
        queue=timed("queue", world.queue),
        llm=None if world.llm is None else timed("llm", world.llm),
    )


SITUATIONS = (
    requests_and_a_refused_one,
    a_guesser,
    a_cold_start,
    a_widened_search,
    an_extraction,
    a_wrong_key,
    a_webhook_that_is_gone,
    a_bulk_job_that_fails,
    a_backlog,
)
