"""What stays of a request with an Idempotency-Key confirms no guess at its text; an upgrade keeps what had begun."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from forgetless.api.idempotency import fingerprint
from forgetless.domain.jobs import job_id_for
from forgetless.domain.times import later
from forgetless.ports.request_ledger import IdempotencyRecord
from forgetless.service.access import idempotency
from forgetless.service.writing.erase_memories import request_event_id
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.service.world import facts

SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "epilepsy"}], "user_id": "alice", "infer": False}
NEW: dict[str, Any] = {"text": "an aura before each attack"}
ADD = "POST /memories k1"


def add(api: Api, **more: Any) -> httpx2.Response:
    return api.post("/memories", SAID | more, headers={"Idempotency-Key": "k1"})


def change(api: Api, memory_id: str, body: dict[str, Any] = NEW, *, key: str = "k1") -> httpx2.Response:
    return api.put(f"/memories/{memory_id}", body, headers={"Idempotency-Key": key})


def guessed(name: str, body: dict[str, Any]) -> str:
    """What whoever guesses the key of a client and its body can compute."""
    return f"{name} {fingerprint(json.dumps(body).encode())}"


@contextmanager
def the_version_before() -> Iterator[None]:
    """It stored digests without a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idempotency, "keyed_digest", lambda _key, _what, digest: digest)
        yield


def test_no_id_and_no_record_confirms_a_guess(api: Api) -> None:
    added = add(api).json()["results"][0]
    change(api, added["id"])
    ledger = api.world.ledger
    held = ledger.read("default", [added["id"]])[added["id"]]
    assert held.text == NEW["text"]
    assert held.job_id != job_id_for("default", guessed(ADD, SAID))
    name = f"PUT /memories/{added['id']} k1"
    assert held.event_id != request_event_id(f"{guessed(name, NEW)}\x000", added["id"])
    with the_version_before():
        known = api.post("/memories", SAID, headers={"Idempotency-Key": "k2"}).json()["results"][0]["id"]
        change(api, known, key="k2")
    # Before, it could be computed.
    other = ledger.read("default", [known])[known]
    assert other.job_id == job_id_for("default", guessed("POST /memories k2", SAID))
    assert other.event_id == request_event_id(f"{guessed(f'PUT /memories/{known} k2', NEW)}\x000", known)
    now = api.world.clock.now()
    asked = IdempotencyRecord("another", lease_until=now)
    for place, body in ((ADD, SAID), (name, NEW)):
        standing = ledger.begin_request("default", place, asked, now=now, expires_at=later(now, 60))
        assert standing is not None
        assert standing.fingerprint != fingerprint(json.dumps(body).encode())


def test_an_answer_that_the_version_before_stored_is_repeated(api: Api) -> None:
    with the_version_before():
        first = add(api)
        memory_id = first.json()["results"][0]["id"]
        changed = change(api, memory_id)
    for before, again in ((first, add(api)), (changed, change(api, memory_id))):
        assert (again.content, again.headers["idempotency-replayed"]) == (before.content, "true")
    assert add(api, agent_id="bot").status_code == 422
    assert change(api, memory_id, {"text": "another"}).status_code == 422
    api.world.clock.advance(2 * 86_400)
    assert change(api, memory_id, {"text": "another"}).status_code == 200


def test_an_add_that_the_version_before_left_behind_is_the_same_add_when_it_comes_again(new_api: NewApi) -> None:
    replies = iter([None, facts("Alice likes tea")])

    def reply(_messages: object) -> str:
        text = next(replies)
        if text is None:
            raise TimeoutError
        return text

    api = new_api(reply)
    with the_version_before():
        first = add(api, infer=True)
    second = add(api, infer=True)
    assert (first.status_code, second.status_code) == (504, 200)
    assert second.json()["event_id"] == first.json()["event_id"]
    assert api.texts() == ["Alice likes tea"]
    again = add(api, infer=True)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
