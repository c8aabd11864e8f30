"""Every function does its work over tables and queues that refuse what its policy does not allow, from a cold start."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.adapters.ledger_dynamodb.erasure_log import LOG_DEFINITION, DynamoErasureLog
from forgetless.domain.bulk_jobs import BulkJob
from forgetless.domain.errors import LlmUnavailableError
from forgetless.domain.generations import Phase
from forgetless.domain.jobs import Job
from forgetless.domain.keys import Role
from forgetless.ports.clock import Clock
from forgetless.ports.llm import ChatMessage
from forgetless.runtime import composition
from forgetless.service.jobs.delete_tenant import start_deletion
from forgetless.service.services import Ports, Services
from local.emulator.gateway.event import ApiPlace, HttpRequest, build_event
from local.emulator.gateway.routes import Match
from local.emulator.specs import RouteSpec
from tests.dynamo_server import DynamoServer
from tests.fakes.bulk_queue import MemoryBulkQueue
from tests.fakes.lambda_context import FakeContext
from tests.fakes.queue import MemoryQueue
from tests.faults.tasks import handler_of
from tests.function_rights import FUNCTIONS, Rights
from tests.unit.api.client import ADMIN, put_key
from tests.unit.servers import event_loop
from tests.unit.service.generations.place import NEW, OLD, Place
from tests.unit.service.world import facts, make_world

_SAID = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice"}
#: The S256 of a verifier of 43 v.
_CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"
_PLACE = ApiPlace("api", "$default", "localhost")
_ROUTE = Match(RouteSpec(method="ANY", path="$default", function="f", authorizer=None, time_limit=30))


class _Sender:
    """A receiver of webhooks that takes everything."""

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        del url, headers, body, deadline_s
        return 200


class _GuardedQueue(MemoryQueue):
    """The queue of adds, which refuses what the running function may not do."""

    rights: Rights | None = None

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.hidden: list[str] = []

    def send(self, job: Job, *, attempt: str) -> None:
        assert self.rights is None or self.rights.allow("sqs:SendMessage", "IngestQueue")
        super().send(job, attempt=attempt)

    def hide(self, receipt: str, *, seconds: float) -> None:
        assert self.rights is None or self.rights.allow("sqs:ChangeMessageVisibility", "IngestQueue")
        super().hide(receipt, seconds=seconds)
        self.hidden.append(receipt)


class _GuardedBulkQueue(MemoryBulkQueue):
    """The same of the queue of bulk jobs."""

    rights: Rights | None = None

    def send(self, job: BulkJob, *, delay_s: float = 0.0, waits: int = 0) -> None:
        assert self.rights is None or self.rights.allow("sqs:SendMessage", "BulkQueue")
        super().send(job, delay_s=delay_s, waits=waits)


class House:
    """Cold functions: each call has new services, and a right to nothing but what its policy says."""

    def __init__(self, folder: Path, ledger: DynamoLedger, server: DynamoServer, patch: pytest.MonkeyPatch) -> None:
        self.world, self.server, self._patch = make_world(folder, self._reply, ledger=ledger), server, patch
        self.log = f"erasures-{uuid.uuid4()}"
        self.opened: list[DynamoLedger] = []
        self.llm_fault: Exception | None = None
        self.queue, self.bulk_queue = _GuardedQueue(self.world.clock), _GuardedBulkQueue(self.world.clock)
        self.table = ledger._client.table
        self.place = Place(ledger, self.world.clock, by_itself=False)

    def _reply(self, _messages: Sequence[ChatMessage]) -> str:
        if self.llm_fault is not None:
            raise self.llm_fault
        return facts("Alice likes tea")

    def services(self) -> Services:
        """New ones, as a new environment makes them."""
        world = self.world
        ledger = DynamoLedger(self.table, endpoint_url=self.server.url)
        self.opened.append(ledger)
        log = DynamoErasureLog(self.log, endpoint_url=self.server.url)
        self.place.ledger = ledger
        kept = self.place.kept()
        mine = kept.openings.of(kept.mine)
        first = (ledger, mine.index, mine.embedder, self.queue, world.clock, world.llm, self.bulk_queue)
        return Services(Ports(*first, webhooks=_Sender(), erasure_log=log), rebuilds_lost_index=False, kept=kept)

    def call(self, name: str, event: Any) -> Any:
        """Invoke the function with an event, and fail if it was refused anything."""
        rights = Rights(f"{name.capitalize()}Function", {self.table: "Ledger", self.log: "Erasures"})
        services = self.services()
        self._patch.setattr(composition, "services", lambda: services)
        self.server.rules.append(rights.rule)
        self.queue.rights = self.bulk_queue.rights = rights
        try:
            answer = handler_of(name, services)(event, FakeContext())
        finally:
            self.server.rules.remove(rights.rule)
            self.queue.rights = self.bulk_queue.rights = None
        assert rights.refused == []
        return answer

    def ask(self, name: str, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send a request to a function behind the API; the body of its answer."""
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.send(name, method, path, raw, {"x-api-key": ADMIN, "content-type": "application/json", **headers})
        assert answer["statusCode"] < 300, (method, path, answer)
        return json.loads(answer["body"]) if answer["body"] else None

    def send(self, name: str, method: str, path: str, raw: bytes, headers: Mapping[str, str]) -> Any:
        """Send these bytes to a function behind the API; its answer to the gateway."""
        path, _, query = path.partition("?")
        sent = [("host", "localhost"), *headers.items()]
        request = HttpRequest(method, path, query, sent, raw, "127.0.0.1")
        return self.call(name, build_event(request, _ROUTE, _PLACE, "id"))

    def work(self, name: str, receipt: str, body: Any) -> list[Any]:
        """Give the function a message of its queue; the failures that it reports."""
        record = {
            "messageId": "1",
            "receiptHandle": receipt,
            "body": body,
            "attributes": {"MessageGroupId": "group"},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
        }
        failures: list[Any] = self.call(name, {"Records": [record]})["batchItemFailures"]
        return failures

    def work_off_bulk_jobs(self) -> None:
        """Run bulk until its queue is empty."""
        while (message := self.bulk_queue.receive()) is not None:
            body = {name: getattr(message, name) for name in ("tenant", "job_id", "version", "waits")}
            assert self.work("bulk", message.receipt, json.dumps(body)) == []
            self.bulk_queue.delete(message.receipt)


@pytest.fixture
def house(
    tmp_path: Path, dynamo: Callable[[], DynamoLedger], dynamo_server: DynamoServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    house = House(tmp_path, dynamo(), dynamo_server, monkeypatch)
    dynamo_server.admin.create_table(TableName=house.log, **LOG_DEFINITION)
    put_key(house.world, ADMIN, "default", Role.ADMIN)
    with event_loop():
        yield house
    for ledger in house.opened:
        ledger.close()
    dynamo_server.admin.delete_table(TableName=house.log)
    house.world.ledger.close()


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
    house.ask("memories", "POST", "/memories", {**_SAID, "infer": False})
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
    source = Path(__file__).read_text()
    assert [name for name in FUNCTIONS if f'"{name.removesuffix("Function").lower()}"' not in source] == []
