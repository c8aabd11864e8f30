"""What an operator meets on AWS, played over a table of moto: what event, health, log and alarms say of each fault."""

from __future__ import annotations

import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_dynamodb import DynamoLedger
from forgetless.domain.errors import EmbedderError, ProviderAuthError, ProviderRequestError, QueueError
from forgetless.domain.keys import Role
from forgetless.domain.slots import Slots
from forgetless.domain.times import later
from forgetless.ports.metrics import record_metrics_in
from forgetless.ports.trace import TraceFilter
from forgetless.runtime.metrics import begin_metrics
from forgetless.runtime.settings import load_settings
from forgetless.service.access.tenant_quotas import TenantQuotas
from tests.dynamo_server import DynamoServer, error
from tests.unit.api.client import ADMIN, put_key
from tests.unit.cold_functions import House, open_house
from tests.unit.metrics.alarm_player import OWN, STACK, Figures, rings
from tests.unit.service.generations.place import OLD

ACME = "key-of-acme-that-somebody-runs-away-with"
_SAID = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice"}
_VERBATIM = {**_SAID, "infer": False}
_SEARCH = {"query": "tea", "filters": {"user_id": "alice"}}


@dataclass
class Play:
    """Functions with their log, and the figures that they print."""

    house: House
    log: io.StringIO
    printed: pytest.CaptureFixture[str]
    figures: Figures = field(default_factory=Figures)
    minute: int = 0

    def ask(self, name: str, path: str, body: Any, key: str = ADMIN) -> tuple[int, Any]:
        """Send a request to a function; status and body of its answer."""
        headers = {"x-api-key": key, "content-type": "application/json"}
        method = "GET" if body is None else "POST"
        answer = self.house.send(name, method, path, b"" if body is None else json.dumps(body).encode(), headers)
        return answer["statusCode"], json.loads(answer["body"])

    def add(self, *, key: str = ADMIN) -> Any:
        """An add for the LLM that waits in the queue, and the ingest function; the event as it then stands."""
        status, said = self.ask("memories", "/v3/memories/add/", _SAID, key)
        assert status == 200, said
        for message in self.house.queue.receive():
            if not self.house.work("ingest", message.receipt, message.body):
                self.house.queue.delete(message.receipt)
        return self.ask("memories", f"/v1/event/{said['event_id']}/", None, key)[1]

    def health(self) -> Any:
        """What an administrator is told."""
        return self.ask("memories", "/health", None)[1]

    def end_minute(self) -> None:
        """A minute goes by; what was printed in it is read as CloudWatch would read it."""
        self.figures.read(self.printed.readouterr().out.splitlines(), minute=self.minute)
        self.minute += 1
        self.house.world.clock.advance(60)

    def told(self) -> list[dict[str, Any]]:
        """The lines of the log above the access log."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["level"] in {"WARNING", "ERROR"}]


@pytest.fixture
def play(
    tmp_path: Path,
    dynamo: Callable[[], DynamoLedger],
    dynamo_server: DynamoServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Play]:
    monkeypatch.setenv("FORGETLESS_METRICS", "emf")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", STACK)
    package, out = logging.getLogger("forgetless"), io.StringIO()
    before = (package.level, list(package.handlers), package.propagate)
    with open_house(tmp_path, dynamo, dynamo_server, monkeypatch) as house:
        put_key(house.world, ACME, "acme", Role.WRITE)
        house.patience_s, house.llm_waits = 0.0, 1
        house.ask("memories", "GET", "/v1/ping/")  # a function is loaded, and sets the log up
        source = Logger(service=f"play-{uuid.uuid4()}", stream=out)
        for handler in source.handlers:
            handler.addFilter(TraceFilter())
        copy_config_to_registered_loggers(source, include={"forgetless"})
        capsys.readouterr()
        yield Play(house, out, capsys)
        dynamo_server.rules.clear()
    package.setLevel(before[0])
    package.handlers[:], package.propagate = before[1:]
    monkeypatch.undo()
    begin_metrics(load_settings())
    record_metrics_in(None)


@dataclass(frozen=True)
class Sign:
    """What a situation shows: the alarms that ring, the parts that health names, lines of the log, and a throttle."""

    alarms: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    log: Sequence[str] = ()
    limit: str | None = None


def a_wrong_llm_key(play: Play) -> Sign:
    play.house.llm_fault = ProviderAuthError("the LLM answered with status 401: check OPENAI_API_KEY")
    event = play.add()
    assert (event["status"], bool(event["next_try_at"])) == ("PENDING", True)
    assert "OPENAI_API_KEY" in event["error"]
    return Sign({"LlmFaultsAlarm"}, {"llm"}, ["the LLM fails", "an add is held"])


def a_slow_llm(play: Play) -> Sign:
    play.house.llm_fault = TimeoutError("the LLM did not answer in time")
    status, said = play.ask("memories", "/memories", _SAID)
    assert (status, said["code"], bool(said["event_id"])) == (504, "deadline_exceeded", True)
    return Sign({"LlmFaultsAlarm"}, {"llm"}, ["the LLM fails", "deadline_exceeded answered with 504"])


def a_poisoned_message(play: Play) -> Sign:
    play.house.llm_fault = ProviderRequestError("the LLM answered with status 400 (content_filter)", status=400)
    event = play.add()
    assert (event["status"], event.get("next_try_at")) == ("FAILED", None)
    assert "content_filter" in event["error"]
    return Sign({"AddsFailedAlarm"}, set(), ["an add failed"])


def a_dead_embedder(play: Play) -> Sign:
    play.house.place.embedders[OLD.collection].failure = EmbedderError("the embedder did not answer in time")
    assert play.ask("search", "/search", _SEARCH)[0] == 503
    assert play.ask("memories", "/memories", _VERBATIM)[0] == 503
    return Sign({"EmbedderFaultsAlarm"}, {"embedder"}, ["embedder_unavailable answered with 503"])


def a_dead_milvus(play: Play) -> Sign:
    play.house.place.indexes[OLD.collection].available = False
    assert play.ask("search", "/search", _SEARCH)[0] == 503
    status, said = play.ask("memories", "/memories", _VERBATIM)
    assert (status, said["indexed"]) == (200, False)
    return Sign({"IndexFaultsAlarm"}, {"index"}, ["vector_store_unavailable answered with 503", "index is behind"])


def a_dead_ledger(play: Play) -> Sign:
    play.house.warm = play.house.services()
    play.house.server.rules.insert(0, lambda *_: error("InternalServerError", 500))
    assert play.ask("memories", "/memories", _VERBATIM)[0] == 503
    return Sign({"LedgerFaultsAlarm"}, {"ledger"}, ["datastore_unavailable answered with 503"])


def a_dead_queue(play: Play) -> Sign:
    play.house.queue.failure = QueueError("the queue does not answer")
    status, said = play.ask("memories", "/v3/memories/add/", _SAID)
    assert (status, said["status"]) == (200, "PENDING")
    return Sign({"QueueFaultsAlarm"}, set(), ["an add was not sent to its queue"])


def a_full_store(play: Play) -> Sign:
    ledger = play.house.world.ledger
    TenantQuotas(ledger=ledger, clock=SystemClock()).set("acme", ["stored_memories=0"])
    status, said = play.ask("memories", "/memories", _VERBATIM, ACME)
    assert (status, "stored_memories" in said["detail"]) == (413, True)
    return Sign(limit="memories")


def a_key_over_its_requests(play: Play) -> Sign:
    TenantQuotas(ledger=play.house.world.ledger, clock=SystemClock()).set("acme", ["requests_per_minute=0"])
    status, said = play.ask("search", "/search", _SEARCH, ACME)
    assert (status, "requests_per_minute" in said["detail"]) == (429, True)
    return Sign(limit="requests")


def a_tenant_that_fills_the_llm(play: Play) -> Sign:
    ledger, now = play.house.world.ledger, play.house.world.clock.now()
    assert ledger.take_slot(Slots("acme", 1, "another request", now, later(now, 40)))
    status, said = play.ask("memories", "/memories", _SAID, ACME)
    assert (status, "1 requests of this tenant" in said["detail"]) == (504, True)
    return Sign(log=["deadline_exceeded answered with 504"], limit="llm_waits")


SITUATIONS = (
    a_wrong_llm_key,
    a_slow_llm,
    a_poisoned_message,
    a_dead_embedder,
    a_dead_milvus,
    a_dead_ledger,
    a_dead_queue,
    a_full_store,
    a_key_over_its_requests,
    a_tenant_that_fills_the_llm,
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_a_fault_is_seen_in_log_health_and_alarms(play: Play, situation: Callable[[Play], Sign]) -> None:
    for _ in range(2):
        sign = situation(play)
        play.end_minute()
    assert rings(play.figures) == sign.alarms
    assert sign.limit is None or play.figures.total("Throttles", limit=sign.limit) == 2
    health = play.health()
    assert {name for name, said in health.get("parts", {"ledger": "down"}).items() if said != "ok"} == sign.parts
    told = play.told()
    for message in sign.log:
        (line, *_) = [one for one in told if message in one["message"]]
        assert line["reason"]
        # Whose request it was is not known before the ledger has answered.
        assert line.get("tenant") in {"default", "acme"} or sign.parts == {"ledger"}


def test_every_alarm_of_a_part_is_played() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in OWN if name.endswith("FaultsAlarm") and name not in source] == []


def test_a_fault_that_is_over_in_a_minute_rings_no_alarm(play: Play) -> None:
    play.house.place.embedders[OLD.collection].failure = EmbedderError("the embedder did not answer in time")
    assert play.ask("search", "/search", _SEARCH)[0] == 503
    play.end_minute()
    assert rings(play.figures) == set()
