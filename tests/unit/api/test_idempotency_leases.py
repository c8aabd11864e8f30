"""Requests whose process was killed: how long a repeat waits, and that everything is done once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any

import httpx2
import pytest

from forgetless.domain.errors import LlmUnavailableError
from forgetless.domain.jobs import JobState
from forgetless.domain.times import later
from forgetless.ports.ledger import Ledger
from forgetless.ports.llm import ChatMessage
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import ALICE, facts

SAID = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice"}
VERBATIM = {**SAID, "infer": False}
SCOPE_LEASE = f"scope:{ALICE.writer_key()}"


class KilledError(BaseException):
    """The end of the process: not an Exception, so nothing in the service may catch it."""


def dying() -> Any:
    """What a client sees of a process that ends: the test client's thread is cancelled, or its portal is closed."""
    return pytest.raises((KilledError, CancelledError, RuntimeError), check=_is_the_end)


def _is_the_end(error: BaseException) -> bool:
    return not isinstance(error, RuntimeError) or "portal is not running" in str(error)


@pytest.fixture(params=["sqlite", "dynamodb"])
def open_ledger(request: pytest.FixtureRequest) -> Callable[[], Ledger | None]:
    if request.param == "sqlite":
        return lambda: None
    opener: Callable[[], Ledger] = request.getfixturevalue("dynamo")
    return opener


def killed_first(text: str) -> Callable[[Sequence[ChatMessage]], str]:
    """An LLM in whose hands the first request dies."""
    calls: list[None] = []

    def reply(_messages: Sequence[ChatMessage]) -> str:
        calls.append(None)
        if len(calls) == 1:
            raise KilledError
        return facts(text)

    return reply


def add(api: Api, body: Any, path: str = "/memories") -> httpx2.Response:
    return api.post(path, body, headers={"Idempotency-Key": "k1"})


def killed(api: Api, body: Any, path: str = "/memories") -> None:
    with dying():
        add(api, body, path)


def wait_of(answer: httpx2.Response) -> int:
    assert answer.status_code == 409, answer.text
    assert "in progress" in answer.json()["detail"]
    return int(answer.headers["retry-after"])


def test_an_add_killed_in_the_llms_hands_waits_for_the_end_of_its_claim_and_no_longer(new_api: NewApi) -> None:
    api = new_api(killed_first("Alice likes tea"))
    began = api.world.clock.now()
    killed(api, SAID)
    # A process that is killed cleans nothing up: the lease of its scope stays as well.
    assert api.world.ledger.acquire_lease(SCOPE_LEASE, owner="dead", now=began, until=later(began, 40))
    assert wait_of(add(api, SAID)) == 40
    api.world.clock.advance(10.5)
    assert wait_of(add(api, SAID)) == 30, "29.5 s are told as whole seconds, and never too few"
    api.world.clock.advance(29)
    assert wait_of(add(api, SAID)) == 1
    api.world.clock.advance(1)
    assert add(api, SAID).status_code == 200
    assert api.texts() == ["Alice likes tea"]
    assert add(api, SAID).headers["idempotency-replayed"] == "true"


def test_another_body_is_422_also_while_the_first_runs(new_api: NewApi) -> None:
    api = new_api(killed_first("Alice likes tea"))
    killed(api, SAID)
    for _ in range(2):
        assert add(api, {**SAID, "user_id": "bob"}).status_code == 422
        api.world.clock.advance(41)


def test_an_add_killed_before_anybody_claimed_its_job_may_go_on_at_once(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts("Alice likes tea"))
    api.world.queue.failure = KilledError()  # type: ignore[assignment]
    killed(api, SAID, "/v3/memories/add/")
    api.world.queue.failure = None
    again = add(api, SAID, "/v3/memories/add/")
    assert (again.status_code, again.json()["status"]) == (200, "PENDING")
    (job,) = api.world.ledger.jobs("default", limit=9)[0]
    assert again.json()["event_id"] == job.id
    (message,) = api.world.queue.receive()
    api.world.services.ingest.run("default", job.id, seconds=60, receipt=message.receipt)
    assert api.texts() == ["Alice likes tea"]


def test_an_add_killed_after_it_was_stored_is_answered_at_once(api: Api) -> None:
    def die() -> None:
        raise KilledError

    api.world.index.before_insert = die
    killed(api, VERBATIM)
    stored = api.get("/memories?user_id=alice").json()["results"]
    again = add(api, VERBATIM)
    assert (again.status_code, again.json()["indexed"]) == (200, False), "the index was not written"
    assert [one["id"] for one in again.json()["results"]] == [one["id"] for one in stored]
    assert api.texts() == ["I like tea"]


@pytest.mark.parametrize("change", [VERBATIM, None], ids=["verbatim add", "update"])
def test_what_has_no_job_waits_for_the_records_own_lease(api: Api, change: Any) -> None:
    [memory_id] = api.say("coffee")
    api.world.embedder.failure = KilledError()  # type: ignore[assignment]
    headers = {"Idempotency-Key": "k1"}

    def ask() -> httpx2.Response:
        if change is not None:
            return add(api, change)
        return api.put(f"/memories/{memory_id}", {"text": "cocoa"}, headers=headers)

    with dying():
        ask()
    api.world.embedder.failure = None
    assert wait_of(ask()) == 60
    api.world.clock.advance(59.5)
    assert wait_of(ask()) == 1
    api.world.clock.advance(1)
    assert ask().status_code == 200


def test_a_repeat_beside_a_first_request_that_lives_has_one_effect(new_api: NewApi) -> None:
    """The first one has no claim yet, so the repeat goes on, overtakes it and answers; then the first goes on."""
    answers: list[httpx2.Response] = []
    api = new_api([facts("Alice likes tea"), facts("Alice likes tea twice")])
    acquire = api.world.ledger.acquire_lease

    def acquire_late(name: str, *, owner: str, now: str, until: str) -> bool:
        if not answers:
            answers.append(httpx2.Response(0))
            answers[0] = add(api, SAID)
        return acquire(name, owner=owner, now=now, until=until)

    api.world.ledger.acquire_lease = acquire_late  # type: ignore[method-assign]
    first = add(api, SAID)
    assert (first.status_code, answers[0].status_code) == (200, 200)
    assert first.json()["results"] == answers[0].json()["results"]
    assert api.texts() == ["Alice likes tea"]
    assert add(api, SAID).headers["idempotency-replayed"] == "true"


def test_a_first_request_that_fails_late_does_not_release_the_key_of_the_repeat(new_api: NewApi) -> None:
    """The first request fails while the repeat, which has taken the key over, is still running."""
    api = new_api(lambda _messages: facts("Alice likes tea"))
    acquire = api.world.ledger.acquire_lease
    waits: list[int] = []

    def fail_first(name: str, *, owner: str, now: str, until: str) -> bool:
        if not waits:
            waits.append(0)
            again = add(api, SAID)  # goes on, as nobody has the claim
            assert again.status_code == 200
            raise LlmUnavailableError("the first request ends here")
        return acquire(name, owner=owner, now=now, until=until)

    api.world.ledger.acquire_lease = fail_first  # type: ignore[method-assign]
    assert add(api, SAID).status_code == 503
    assert add(api, SAID).headers["idempotency-replayed"] == "true"
    assert api.texts() == ["Alice likes tea"]


def test_a_job_that_another_worker_has_is_409_until_its_claim_ends(new_api: NewApi) -> None:
    def reply(_messages: Sequence[ChatMessage]) -> str:
        raise TimeoutError

    api = new_api(reply)
    assert add(api, SAID).status_code == 504
    (job,) = api.world.ledger.jobs("default", limit=9)[0]
    clock = api.world.clock
    until = "2026-01-01T00:01:30.000000+00:00"
    assert clock.now() < "2026-01-01T00:00:01"
    api.world.ledger.claim_job("default", job.id, owner="worker", now="2026-01-01T00:00:00.000000+00:00", until=until)
    clock.set("2026-01-01T00:01:10.000000+00:00")
    again = add(api, SAID)
    assert (again.status_code, again.headers["retry-after"]) == (409, "20")
    assert "another worker is running this job" in again.json()["detail"]
    clock.set(until)
    assert api.world.ledger.job("default", job.id).state is JobState.RUNNING  # type: ignore[union-attr]
    assert add(api, SAID).status_code == 504, "it has the claim, and the LLM is as slow as before"


def test_an_add_whose_turn_does_not_come_says_when_the_other_ones_lease_ends(new_api: NewApi) -> None:
    api = new_api(lambda _messages: facts("Alice likes tea"))
    now = api.world.clock.now()
    until = "2026-01-01T00:01:30.000000+00:00"
    assert api.world.ledger.acquire_lease(SCOPE_LEASE, owner="another add", now=now, until=until)
    answer = add(api, SAID)
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
    # 90 s but the 25 s that it waited in random steps, each of which the fake clock rounds.
    assert answer.headers["retry-after"] in {"65", "66"}
    assert "another add" in answer.json()["detail"]
    assert "LLM" not in answer.json()["detail"]
    api.world.clock.set(until)
    assert add(api, SAID).status_code == 200
    assert api.texts() == ["Alice likes tea"]
