"""Measures what each operation asks of DynamoDB (moto), queue, index, embedder, LLM and log: `make cost MEASURE=1`.

The calls are boto3's own, and the items those that the service writes. The result is `local/cost/operations.json`.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from fastapi.testclient import TestClient

from forgetless.adapters.index_milvus.rows import row_of
from forgetless.adapters.index_milvus.word_columns import SPARSE, WeightedWords
from forgetless.adapters.ledger_dynamodb import DynamoLedger, schema
from forgetless.adapters.metrics_emf import EmfMetrics
from forgetless.api.app import create_app
from forgetless.domain.filters.ast import Filter
from forgetless.domain.keys import ApiKey, Role, key_hash
from forgetless.domain.limits import JOB_S
from forgetless.domain.recipe import Words
from forgetless.domain.retention import DAY_S
from forgetless.ports.index import Content, Hit, IndexRow, PastRow
from forgetless.ports.llm import ChatMessage, Completion
from forgetless.ports.metrics import recording_metrics
from forgetless.ports.trace import TraceFilter
from forgetless.runtime.timed_ports import timed
from forgetless.service.services import Ports, Services
from local.cost.operations import STORED
from local.cost.request_meter import RequestMeter
from tests.dynamo_server import DynamoServer, serve_dynamodb
from tests.fakes.clock import FakeClock
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import MemoryIndex
from tests.fakes.queue import MemoryQueue

__all__ = ["Measuring", "measured"]

Key = tuple[str, int]

_KEY = "key-of-the-measurement"
_BOB = {"user_id": "bob"}
#: What the user has before anything is measured. Searches find ten of them, and an extraction is shown as many.
_BEFORE = 24
_TEXT = (
    "I have been thinking about number {0} of my plans: a week of hiking around Hue with my sister Lan in spring {0}."
)
_ANSWER = (
    "That sounds lovely. In spring the trails are dry, and a week leaves time for the old city and for a day at sea."
)
_FACT = "The user plans hike number {0} around Hue with the sister Lan in spring"
#: What a term of a sparse vector takes: its number and its weight.
_TERM_BYTES = 8
#: Counters lie in random shards. With the same choices before each step, an operation finds those that one like it has
#: made before, as in a service that has run for long.
_SHARDS = 7
#: What CloudWatch adds to each line of a log, when it counts the bytes.
_LINE_OVERHEAD = 26
#: What `inject_lambda_context` adds to each line of a function.
_CONTEXT = {
    "cold_start": False,
    "function_name": "forgetless-MemoriesFunction-0123456789ab",
    "function_memory_size": 1024,
    "function_arn": "arn:aws:lambda:us-east-1:123456789012:function:forgetless-MemoriesFunction-0123456789ab:live",
    "function_request_id": "01234567-0123-0123-0123-0123456789ab",
}


class CountedIndex(MemoryIndex):
    """An index that counts reads (each query for itself), rows and removals as Zilliz bills them."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = Counter[str]()

    def search_vector(self, tenant: str, vector: Sequence[float], where: Filter, limit: int) -> list[Hit]:
        """Also what `search_vectors` and `score_vector` do, once for each query."""
        self.counted["index_reads"] += 1
        return super().search_vector(tenant, vector, where, limit)

    def search_words(self, tenant: str, words: Words, where: Filter, limit: int) -> list[Hit]:
        """Also what `score_words` does."""
        self.counted["index_reads"] += 1
        return super().search_words(tenant, words, where, limit)

    def vectors(self, tenant: str, keys: Sequence[Key]) -> dict[Key, list[float]]:
        self.counted["index_reads"] += 1
        return super().vectors(tenant, keys)

    def held(self, tenant: str, keys: Sequence[Key]) -> set[Key]:
        self.counted["index_reads"] += 1
        return super().held(tenant, keys)

    def unchanged(self, tenant: str, rows: Sequence[IndexRow]) -> set[Key]:
        self.counted["index_reads"] += 1
        return super().unchanged(tenant, rows)

    def contents(self, tenant: str, keys: Sequence[Key]) -> dict[Key, Content]:
        self.counted["index_reads"] += 1
        return super().contents(tenant, keys)

    def insert_past(self, rows: Sequence[PastRow]) -> None:
        self.counted["index_rows"] += len(rows)
        self.counted["index_row_bytes"] += sum(_row_bytes(one.row) for one in rows)
        super().insert_past(rows)

    def drop_past(self, tenant: str, keys: Sequence[Key]) -> None:
        self.counted["index_removals"] += len(keys)
        super().drop_past(tenant, keys)

    def insert(self, rows: Sequence[Any]) -> None:
        self.counted["index_rows"] += len(rows)
        self.counted["index_row_bytes"] += sum(map(_row_bytes, rows))
        super().insert(rows)

    def drop(self, tenant: str, keys: Sequence[tuple[str, int]]) -> None:
        self.counted["index_removals"] += len(keys)
        super().drop(tenant, keys)

    def drop_older(self, tenant: str, memories: Sequence[Any]) -> None:
        self.counted["index_removals"] += len(memories)
        super().drop_older(tenant, memories)


def _row_bytes(row: IndexRow) -> int:
    """What a row takes besides its vector."""
    values = row_of(row, WeightedWords())
    terms = len(values[SPARSE])
    rest = {name: value for name, value in values.items() if name not in {"dense", SPARSE}}
    return len(json.dumps(rest, default=list).encode()) + terms * _TERM_BYTES


class CountedLlm:
    """An LLM that answers with so many new facts, and counts calls and characters."""

    def __init__(self) -> None:
        self.facts, self._number = 0, 0
        self.counted = Counter[str]()

    def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        schema_name: str | None = None,
        schema: Mapping[str, Any] | None = None,
        deadline_s: float,
    ) -> Completion:
        del schema_name, deadline_s
        made = [self._fact() for _ in range(self.facts)]
        reply = json.dumps({"facts": made})
        asked = sum(len(message.content) for message in messages) + len(json.dumps(schema or {}))
        self.counted.update(llm_calls=1, prompt_chars=asked, reply_chars=len(reply))
        return Completion(reply)

    def _fact(self) -> dict[str, Any]:
        self._number += 1
        return {"text": _FACT.format(self._number), "attributed_to": "user", "supersedes": [], "sources": [1]}

    def close(self) -> None:
        """Nothing to release."""


class LogBytes(logging.Handler):
    """Counts lines as a function writes them; `write` takes the lines of metrics."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        formatter = LambdaPowertoolsFormatter()
        formatter.append_keys(service="forgetless", **_CONTEXT)
        self.setFormatter(formatter)
        self.addFilter(TraceFilter())
        self.counted = Counter[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.write(self.format(record))

    def write(self, line: str) -> None:
        self.counted["log_bytes"] += len(line.encode()) + _LINE_OVERHEAD


class Measuring:
    """A service on a table of its own, with a user who has memories."""

    def __init__(self, server: DynamoServer) -> None:
        self._server, self._table = server, f"cost-{uuid.uuid4()}"
        server.admin.create_table(TableName=self._table, **schema.DEFINITION)
        self._clock, self._number = FakeClock(), 0
        ledger = DynamoLedger(
            self._table, endpoint_url=server.url, patience_s=100, succeeded_jobs_s=30 * DAY_S, clock=self._clock
        )
        ledger.put_key(ApiKey(key_hash(_KEY), "default", Role.ADMIN, self._clock.now()))
        self._meter = RequestMeter(self._look)
        self._meter.watch(ledger._client._dynamodb())  # the client that the ledger itself uses
        self._index, self._llm, self._log = CountedIndex(), CountedLlm(), LogBytes()
        self._embedder, self._queue = FakeEmbedder(), MemoryQueue(self._clock)
        self._services = Services(
            Ports(
                ledger=timed("ledger", ledger),
                index=timed("index", self._index),
                embedder=timed("embedder", self._embedder),
                queue=timed("queue", self._queue),
                clock=self._clock,
                llm=timed("llm", self._llm),
            )
        )
        #: What requests leave to be written together: the audit list, and counters of usage where there are any.
        self._noting = [part for name, part in vars(self._services).items() if name in {"audit", "meter"}]
        self._http = TestClient(create_app(lambda: self._services, inline=True))
        self._metrics = EmfMetrics(namespace="forgetless", service="forgetless", write=self._log.write)
        self._logger = logging.getLogger("forgetless")
        self._level = self._logger.level
        self._logger.addHandler(self._log)
        self._logger.setLevel(logging.INFO)

    def close(self) -> None:
        self._logger.removeHandler(self._log)
        self._logger.setLevel(self._level)
        self._services.close()
        self._server.admin.delete_table(TableName=self._table)

    def fill(self) -> None:
        """What comes before: memories of the user, and one job of each kind."""
        for first in range(0, _BEFORE, 12):
            said = [self._said(_TEXT.format(first + number)) for number in range(12)]
            random.seed(_SHARDS)
            self._ask("POST", "/memories", {"messages": said, "infer": False, **_BOB})
        self._accept()
        self._run_job(facts=1)

    def measure(self) -> dict[str, dict[str, float]]:
        """Every operation by its name, with what it takes."""
        idle = self._taken(self._idle_minute)  # before anything is stored
        self.fill()
        steps: dict[str, Callable[[], object]] = {
            "add_verbatim": self._add_verbatim,
            "add_accepted": self._accept,
            "ingest_without_facts": partial(self._run_job, facts=0),
            "add_accepted_again": self._accept,
            "ingest_with_two_facts": partial(self._run_job, facts=2),
            "search": lambda: self._ask("POST", "/search", {"query": "hiking in Hue", "filters": _BOB, "top_k": 10}),
            "list_page": lambda: self._ask("POST", "/v3/memories/", {"filters": _BOB, "page": 1, "page_size": 10}),
            "update": lambda: self._ask("PUT", f"/memories/{self._memory}", {"text": _FACT.format("new")}),
            "delete": lambda: self._ask("DELETE", f"/memories/{self._memory}"),
        }
        found = {name: self._taken(step) for name, step in steps.items()} | {"idle_minute": idle}
        del found["add_accepted_again"]
        self._taken(steps["add_accepted"])  # whose notes wait now
        return found | {"notes": self._taken(self._write_notes, before=lambda: None)}

    def _write_notes(self) -> None:
        for part in self._noting:
            part.flush()

    def _taken(self, step: Callable[[], object], before: Callable[[], None] | None = None) -> dict[str, float]:
        self._clock.advance(2)
        (before or self._write_notes)()
        self._metrics.flush()
        counters = (self._index.counted, self._llm.counted, self._log.counted)
        for counter in counters:
            counter.clear()
        self._embedder.calls.clear()
        self._meter.take()
        random.seed(_SHARDS)
        with recording_metrics(self._metrics):
            answer = step()
            self._metrics.flush()
        counted = Counter[str]()
        for counter in counters:
            counted.update(counter)
        counted["embedder_calls"] = len(self._embedder.calls)
        counted["embedded_texts"] = sum(len(texts) for texts, _ in self._embedder.calls)
        counted["answer_bytes"] = answer if isinstance(answer, int) else 0
        taken = {**counted, **self._meter.take()}
        return {name: taken.get(name, 0) for name in STORED}

    def _add_verbatim(self) -> int:
        said = [self._said(_TEXT.format("100"))]
        return self._ask("POST", "/memories", {"messages": said, "infer": False, **_BOB})

    def _accept(self) -> int:
        self._number += 1
        said = [self._said(_TEXT.format(200 + self._number)), {"role": "assistant", "content": _ANSWER}]
        return self._ask("POST", "/v3/memories/add/", {"messages": said, **_BOB})

    def _run_job(self, facts: int) -> None:
        self._llm.facts = facts
        (message,) = self._queue.receive()
        named = json.loads(message.body)
        self._services.ingest.run(named["tenant"], named["job_id"], seconds=JOB_S)
        self._queue.delete(message.receipt)

    def _idle_minute(self) -> None:
        self._services.sweep.sweep()
        self._services.deliveries.run()

    def _ask(self, method: str, path: str, body: Any = None) -> int:
        answer = self._http.request(method, path, json=body, headers={"X-API-Key": _KEY})
        assert answer.status_code == 200, answer.text
        if path == "/memories":
            self._memory = answer.json()["results"][0]["id"]
        return len(answer.content)

    def _said(self, text: str) -> dict[str, str]:
        return {"role": "user", "content": text}

    def _look(self, table: str, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self._server.admin.get_item(TableName=table, Key=key).get("Item")
        return found


def measured(server: DynamoServer) -> dict[str, dict[str, float]]:
    """What each operation takes now."""
    measuring = Measuring(server)
    try:
        return measuring.measure()
    finally:
        measuring.close()


def main() -> int:
    """Measure and write the file that the bill reads."""
    parser = argparse.ArgumentParser(prog="make cost MEASURE=1", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "local" / "cost" / "operations.json")
    options = parser.parse_args()
    with serve_dynamodb() as server:
        operations = measured(server)
    about = "Written by `make cost MEASURE=1` (tests/cost/measuring.py): what one operation takes, over moto."
    content = {"about": about, "measured": datetime.now(UTC).date().isoformat(), "operations": operations}
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"{options.out} is written; `make cost` uses it from now on")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
