"""Every function does its work over tables and queues that refuse what its policy does not allow, from a cold start."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.domain.errors import LlmUnavailableError
from forgetless.domain.generations import Phase
from forgetless.domain.keys import Role
from forgetless.service.jobs.delete_tenant import start_deletion
from tests.dynamo_server import DynamoServer
from tests.function_rights import FUNCTIONS, Rights
from tests.unit.api.client import ADMIN, put_key
from tests.unit.cold_functions import House, open_house
from tests.unit.service.generations.place import NEW, OLD

_SAID = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice"}
#: The S256 of a verifier of 43 v.
_CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"


@pytest.fixture
def house(
    tmp_path: Path, dynamo: Callable[[], DynamoLedger], dynamo_server: DynamoServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    with open_house(tmp_path, dynamo, dynamo_server, monkeypatch) as house:
        yield house


def test_a_right_that_is_missing_is_noticed(house: House) -> None:
    rights = Rights("SearchFunction", {house.table: "Ledger"})
    house.server.rules.append(rights.rule)
    with pytest.raises(Exception, match="AccessDenied"):
        put_key(house.world, "another", "default", Role.READ)
    assert rights.refused
    assert not rights.allow("sqs:SendMessage", "IngestQueue")


def test_memories_reads_writes_erases_and_sends(house: House) -> None:
    [one] = house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})["results"]
    house.ask("memories", "POST", "/memories", _SAID)
    house.ask("memories", "POST", "/v3/memories/add/", _SAID)
    assert house.queue.receive()
    for path in (f"/memories/{one['id']}", f"/memories/{one['id']}/history", "/memories?user_id=alice", "/entities"):
        house.ask("memories", "GET", path)
    house.ask("memories", "PUT", f"/memories/{one['id']}", {"text": "I like coffee"})
    house.ask("memories", "POST", "/api-keys", {"label": "mine", "role": "read"})
    for path in ("/api-keys", "/health"):
        house.ask("memories", "GET", path)
    house.ask("memories", "DELETE", f"/memories/{one['id']}")
    house.ask("memories", "DELETE", "/memories?user_id=alice")
    house.ask("memories", "POST", "/reset")


def test_search_reads_and_notes_that_a_key_is_used(house: House) -> None:
    house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})
    query = {"query": "tea", "filters": {"user_id": "alice"}, "threshold": 0}
    for path in ("/search", "/v1/memories/search/", "/v2/memories/search/", "/v3/memories/search/"):
        house.world.clock.advance(100_000)
        assert house.ask("search", "POST", path, query)


@pytest.mark.parametrize(
    "name", ["add_memory", "search_memories", "get_memories", "list_entities", "delete_all_memories"]
)
def test_mcp_reads_writes_and_erases(house: House, name: str) -> None:
    asked = {
        "add_memory": {"text": "I like tea", "user_id": "alice"},
        "search_memories": {"query": "tea", "user_id": "alice"},
        "list_entities": {},
    }
    house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})
    params = {"name": name, "arguments": asked.get(name, {"user_id": "alice"})}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = house.ask("mcp", "POST", "/mcp", call, accept="application/json, text/event-stream")
    assert answer["result"].get("isError") is not True, answer


def test_mcp_logs_hosts_in(house: House) -> None:
    body = {"redirect_uris": ["https://claude.ai/cb"], "token_endpoint_auth_method": "none"}
    client = house.ask("mcp", "POST", "/oauth/register", body)["client_id"]
    asked = {"client_id": client, "response_type": "code", "code_challenge": _CHALLENGE}

    def form(path: str, fields: Mapping[str, str]) -> Any:
        raw, media = urlencode(fields).encode(), {"content-type": "application/x-www-form-urlencoded"}
        return house.send("mcp", "POST", path, raw, media)

    def carried(answer: Any, name: str) -> str:
        return parse_qs(urlsplit(answer["headers"]["location"]).query)[name][0]

    page = house.send("mcp", "GET", f"/oauth/authorize?{urlencode(asked)}", b"", {})
    sent = form("/oauth/login", {"request": carried(page, "request"), "key": ADMIN})
    code = {"grant_type": "authorization_code", "code": carried(sent, "code"), "code_verifier": "v" * 43}
    tokens = json.loads(form("/oauth/token", {"client_id": client, **code})["body"])
    renewed = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": client}
    tokens = json.loads(form("/oauth/token", renewed)["body"])
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"authorization": f"Bearer {tokens['access_token']}", "accept": "application/json, text/event-stream"}
    assert house.ask("mcp", "POST", "/mcp", call, **headers)["result"]["tools"]
    ended = {"token": tokens["refresh_token"], "client_id": client}
    assert form("/oauth/revoke", ended)["statusCode"] == 200
    assert form("/oauth/token", {**renewed, "refresh_token": tokens["refresh_token"]})["statusCode"] == 400


def test_ingest_runs_a_job_and_hides_one_that_the_llm_holds_up(house: House) -> None:
    for fault in (None, LlmUnavailableError("the LLM is down")):
        house.llm_fault = fault
        house.ask("memories", "POST", "/v3/memories/add/", {**_SAID, "user_id": f"user of {fault}"})
        [message] = house.queue.receive()
        failed = house.work("ingest", message.receipt, message.body)
        assert len(failed) == (fault is not None)
        if fault is None:
            house.queue.delete(message.receipt)
    assert message.receipt in house.queue.hidden


def test_bulk_erases_and_removes_a_tenant(house: House) -> None:
    house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})
    services = house.services()
    start_deletion(house.world.ledger, services.bulk, "default", now=house.world.clock.now())
    house.work_off_bulk_jobs()
    assert house.world.texts() == []


def test_bulk_fills_another_generation_and_sweep_keeps_the_old_one(house: House) -> None:
    [changed] = house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})["results"]
    house.ask("memories", "PUT", f"/memories/{changed['id']}", {"text": "It was changed."})
    house.place.indexes[OLD.collection].drop_past("default", [(changed["id"], 1)])
    # The job waits until no function of the version before can run any more.
    for _ in range(3):
        house.call("sweep", {})
        house.work_off_bulk_jobs()
        house.world.clock.advance(1000)
    assert house.place.past(OLD) == [changed["memory"]]
    assert house.place.kept().record.now().past == (OLD.collection,)
    services = house.services()
    assert services.generations is not None
    services.generations.upkeep.begin(switching=True)
    for _ in range(9):
        house.work_off_bulk_jobs()
        house.world.clock.advance(300)
        house.call("sweep", {})
    assert house.place.kept().record.now().phase is Phase.OLD
    [one] = house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})["results"]
    house.ask("memories", "DELETE", f"/memories/{one['id']}")
    house.world.clock.advance(300)
    house.call("sweep", {})
    assert house.place.rows(OLD) == house.place.rows(NEW)
    assert house.place.past(OLD) == house.place.past(NEW) == [changed["memory"]]
    assert house.place.kept().record.now().past_is_filled
    house.ask("memories", "PUT", f"/memories/{changed['id']}", {"text": "It was changed again."})
    house.world.ledger.mark_unindexed(at=house.world.clock.now())
    for _ in range(2):  # the serving one first
        house.world.clock.advance(300)
        house.call("sweep", {})
    assert house.place.past(OLD) == house.place.past(NEW) == [changed["memory"], "It was changed."]


def test_sweep_brings_back_and_webhooks_delivers(house: House) -> None:
    hook = {"name": "mine", "url": "https://example.com/", "event_types": ["memory_add"]}
    project = house.ask("memories", "GET", "/v1/ping/")["project_id"]
    house.ask("memories", "POST", f"/api/v1/webhooks/projects/{project}/", hook)
    house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})
    house.ask("memories", "POST", "/v3/memories/add/", _SAID)
    house.world.clock.advance(3600)
    house.call("sweep", {})
    assert house.call("webhooks", {})["delivered"] >= 1


def test_every_function_is_run_here() -> None:
    source = "".join(Path(__file__).with_name(name).read_text() for name in (Path(__file__).name, "cold_functions.py"))
    assert [name for name in FUNCTIONS if f'"{name.removesuffix("Function").lower()}"' not in source] == []
