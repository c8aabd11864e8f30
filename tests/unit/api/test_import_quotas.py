"""The adds of an imported file run here, so they count as adds of the key that imports, whatever the file says."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx2
import pytest

from forgetless.ports.request_usage import note_tokens
from forgetless.service.transfer.event_import import BATCH
from tests.unit.api.client import ADMIN, MEMBER, Api
from tests.unit.api.conftest import NewApi
from tests.unit.api.test_quotas import figures, limit
from tests.unit.service.world import facts

_HEADER = {"format": "forgetless-events", "version": 1}
_LONG_AGO = "2026-01-02T03:04:05.000000+00:00"
_LINES = f"/import-jobs/{uuid.uuid5(uuid.NAMESPACE_DNS, 'import')}/lines"


@pytest.fixture
def api(new_api: NewApi) -> Api:
    def reply(_messages: object) -> str:
        note_tokens(9)
        return facts("Alice likes tea")

    return new_api(reply, inline=False)


def an_add(number: int, *, state: str = "PENDING", **request: Any) -> dict[str, Any]:
    """The line of an add that says so of itself."""
    return {
        "type": "job",
        "id": str(uuid.UUID(int=number + 1)),
        "scope": {"user_id": f"user {number}"},
        "state": state,
        "created_at": _LONG_AGO,
        "updated_at": _LONG_AGO,
        "request": request,
        "attempts": 0,
        "messages": [{"position": 0, "role": "user", "content": "I like tea", "created_at": _LONG_AGO}],
    }


def put(api: Api, *lines: dict[str, Any], again: bool = False) -> httpx2.Response:
    """Send the lines of a file, after the header if they are those of an export; its import begins here, or again."""
    api.post("/import-jobs", {"id": _LINES.split("/")[2], "afresh": again})
    header = [_HEADER] if "type" in lines[0] else []
    content = b"".join(json.dumps(line).encode() + b"\n" for line in (*header, *lines))
    return api.call("POST", f"{_LINES}?line=1", content=content)


def run(api: Api, *numbers: int) -> None:
    for number in numbers:
        api.world.services.ingest.run("default", str(uuid.UUID(int=number + 1)), seconds=60)


def stored(api: Api) -> list[bool]:
    """Of each of the first adds, whether it is here."""
    return [api.world.ledger.job("default", str(uuid.UUID(int=number + 1))) is not None for number in range(4)]


def test_each_counts_as_an_add_of_the_importing_key_on_this_day(api: Api) -> None:
    other, key = limit(api, MEMBER), limit(api, ADMIN, adds_per_day=2)
    forged = {"source_key": other.id, "retried": {"key": other.id, "at": _LONG_AGO}}
    assert put(api, an_add(0, **forged), an_add(1, **forged)).json()["jobs"] == 2
    run(api, 0, 1)
    used = figures(api, key.id)
    assert (used["adds"], used["llm_tokens"]) == (2, 18)
    assert figures(api, other.id) == {}
    # A repeat finds them here: it neither counts nor is it refused.
    assert put(api, an_add(0, **forged), an_add(1, **forged), again=True).status_code == 200
    assert figures(api, key.id)["adds"] == 2


def test_what_the_quota_of_adds_does_not_allow_waits_in_the_file(api: Api) -> None:
    key = limit(api, adds_per_day=1)
    adds = [an_add(number) for number in range(3)]
    refused = put(api, *adds)
    assert refused.status_code == 429
    assert "1 adds per 1 day" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert stored(api) == [True, False, False, False]
    api.world.clock.advance(86400)
    assert put(api, *adds).status_code == 429, "one more each day"
    assert stored(api) == [True, True, False, False]
    api.world.clock.advance(86400)
    done = put(api, *adds)
    assert (done.status_code, done.json()["line"], done.json()["jobs"]) == (200, 5, 3)
    assert figures(api, key.id)["adds"] == 1, "of this day"


@pytest.mark.parametrize(("quota", "status"), [("llm_tokens_per_day", 429), ("stored_memories", 413)])
@pytest.mark.parametrize("tenant", [False, True])
def test_the_other_quotas_of_an_add_hold_for_it_too(api: Api, quota: str, status: int, tenant: bool) -> None:
    limit(api, ADMIN, tenant=tenant, **{quota: 0})
    assert put(api, an_add(0), an_add(1)).status_code == status
    assert not any(stored(api))
    limit(api, ADMIN, tenant=tenant)
    api.world.clock.advance(30)
    assert put(api, an_add(0), an_add(1)).json()["jobs"] == 2


def test_memories_are_counted_again_after_each_batch(api: Api) -> None:
    limit(api, stored_memories=10)
    lines = [{"id": str(number), "memory": f"fact {number}", "user_id": "alice"} for number in range(3 * BATCH)]
    refused = put(api, *lines)
    assert refused.status_code == 413
    assert "stored_memories of 10" in refused.json()["detail"]
    assert len(api.world.texts()) == BATCH
    limit(api)
    api.world.clock.advance(30)
    assert put(api, *lines).json()["memories"] == 3 * BATCH


def superseded(number: int) -> list[dict[str, Any]]:
    """The two lines of a memory that another one, which is not in the file, has superseded."""
    id_, job = str(uuid.UUID(int=number + 100)), str(uuid.UUID(int=number + 500))
    memory = {"id": id_, "version": 1, "scope": {"user_id": "alice"}, "text": f"fact {number}", "job_id": job}
    memory |= {"created_at": _LONG_AGO, "updated_at": _LONG_AGO, "event_id": f"{job}:0"}
    ended = {**memory, "version": 2, "superseded_by": str(uuid.UUID(int=9)), "event_id": f"{job}:1"}
    return [{"type": "event", "kind": kind, "memory": one} for kind, one in (("ADD", memory), ("UPDATE", ended))]


def test_a_superseded_memory_counts_as_an_add_because_no_other_quota_sees_it(api: Api) -> None:
    key = limit(api, adds_per_day=2, stored_memories=10)
    lines = [line for number in range(3) for line in superseded(number)]
    refused = put(api, *lines)
    assert (refused.status_code, "2 adds per 1 day" in refused.json()["detail"]) == (429, True)
    assert figures(api, key.id)["adds"] == 2
    api.world.clock.advance(86400)
    done = put(api, *lines)
    assert (done.status_code, done.json()["memories"]) == (200, 3)
    assert figures(api, key.id)["adds"] == 1, "of this day: the others are here already"


def test_superseding_what_was_imported_live_counts_as_well(api: Api) -> None:
    key = limit(api, stored_memories=10)
    added, ended = superseded(0)
    assert put(api, added).json()["memories"] == 1
    assert figures(api, key.id).get("adds", 0) == 0
    assert put(api, added, ended, again=True).json()["events"] == 2
    assert figures(api, key.id)["adds"] == 1


def test_one_that_failed_counts_too_because_it_can_be_started_again(api: Api) -> None:
    key = limit(api, adds_per_day=1, llm_tokens_per_day=0)
    failed = [an_add(number, state="FAILED") for number in range(2)]
    assert put(api, *failed).status_code == 429
    assert stored(api) == [True, False, False, False]
    assert figures(api, key.id)["adds"] == 1
    retry = f"/v1/event/{uuid.UUID(int=1)}/retry/"
    assert api.post(retry, {}).status_code == 429, "it needs the LLM's tokens, which an import of it does not"


def test_what_has_succeeded_counts_for_nothing(api: Api) -> None:
    key = limit(api, adds_per_day=0, llm_tokens_per_day=0)
    assert put(api, *(an_add(number, state="SUCCEEDED") for number in range(3))).json()["jobs"] == 3
    assert "adds" not in figures(api, key.id)
