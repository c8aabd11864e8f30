"""A part that is down: what the client is told, and that nothing acknowledged is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from forgetless.adapters.llm_http import HttpLlm
from forgetless.domain.errors import EmbedderError, QueueError
from forgetless.domain.jobs import JobState
from forgetless.ports.llm import ChatMessage
from tests.full_disk import full_disk
from tests.unit.api.client import Api
from tests.unit.api.conftest import NewApi
from tests.unit.servers import Answer, in_turn, serve
from tests.unit.service.world import facts

ROOT = Path(__file__).parents[3]
ADD = {"messages": [{"role": "user", "content": "I like tea"}], "user_id": "alice"}
VERBATIM = {**ADD, "infer": False}


def jobs(api: Api) -> list[JobState]:
    return [job.state for job in api.world.ledger.jobs("default", limit=10)[0]]


@pytest.mark.parametrize("function", ["memories", "search", "ingest", "sweep", "mcp", "webhooks"])
def test_a_missing_variable_stops_the_function_at_init_with_its_name(function: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FORGETLESS_LEDGER": "dynamodb",
        "FORGETLESS_LEDGER_TABLE": "",
        "FORGETLESS_ERASURES_TABLE": "erasures",
        "FORGETLESS_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs.fifo",
        "FORGETLESS_BULK_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/bulk",
        "FORGETLESS_MILVUS_URI": "http://127.0.0.1:1",
    }
    command = [sys.executable, str(ROOT / "functions" / function / "app.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "set FORGETLESS_LEDGER_TABLE, FORGETLESS_EMBEDDER_URL:" in done.stderr


def test_milvus_down_is_503_for_a_search_and_an_add_that_is_indexed_later(api: Api) -> None:
    api.world.index.available = False
    search = api.post("/search", {"query": "tea", "filters": {"user_id": "alice"}})
    assert (search.status_code, search.json()["code"]) == (503, "vector_store_unavailable")
    assert int(search.headers["retry-after"]) > 0
    add = api.post("/memories", VERBATIM)
    assert (add.status_code, add.json()["indexed"]) == (200, False)
    assert api.texts() == ["I like tea"]
    api.world.clock.advance(60)
    assert api.world.services.sweep.sweep().indexed == 0
    api.world.index.available = True
    assert api.world.services.sweep.sweep().indexed == 1
    assert api.found("tea") == ["I like tea"]


@pytest.mark.parametrize("body", [ADD, VERBATIM])
def test_an_embedder_that_is_down_is_503_and_stores_nothing(new_api: NewApi, body: dict[str, object]) -> None:
    api = new_api(lambda _messages: facts("Alice likes tea"))
    api.world.embedder.failure = EmbedderError("the embedder does not answer", retry_after=3)
    for path, asked in (("/memories", body), ("/search", {"query": "tea", "filters": {"user_id": "alice"}})):
        answer = api.post(path, asked)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
        assert answer.json()["code"] == "embedder_unavailable"
    assert api.texts() == []
    assert JobState.PENDING not in jobs(api)
    api.world.embedder.failure = None
    assert api.post("/memories", body).status_code == 200
    assert len(api.texts()) == 1


def test_an_llms_429_is_503_with_its_retry_after_and_the_same_key_may_try_again(new_api: NewApi) -> None:
    overloaded = Answer(429, {"error": {"message": "slow down"}}, {"retry-after": "17"})
    good = Answer(body={"choices": [{"message": {"content": facts("Alice likes tea")}}]})
    with serve(in_turn(overloaded, good)) as server:
        llm = HttpLlm(server.url, model="m", api_key="k")
        deadline_s = 5.0  # below the 17 s that the LLM asks for: it is not asked again

        def reply(messages: Sequence[ChatMessage]) -> str:
            return llm.complete(messages, deadline_s=deadline_s)

        api = new_api(reply)
        first = api.post("/memories", ADD, headers={"Idempotency-Key": "k"})
        assert (first.status_code, first.headers["retry-after"]) == (503, "17")
        assert (first.json()["code"], jobs(api), api.texts()) == ("provider_unavailable", [JobState.FAILED], [])
        again = api.post("/memories", ADD, headers={"Idempotency-Key": "k"})
        llm.close()
    assert again.status_code == 200
    assert (jobs(api), api.texts()) == ([JobState.SUCCEEDED], ["Alice likes tea"])


def test_a_slow_llm_while_sqs_is_down_is_504_and_done_by_sweep(new_api: NewApi) -> None:
    answers: list[str] = []

    def reply(_messages: Sequence[ChatMessage]) -> str:
        if not answers:
            raise TimeoutError
        return answers[0]

    api = new_api(reply)
    api.world.queue.failure = QueueError("down")
    answer = api.post("/memories", ADD)
    assert (answer.status_code, jobs(api)) == (504, [JobState.PENDING])
    job_id = answer.json()["event_id"]
    answers.append(facts("Alice likes tea"))
    api.world.queue.failure = None
    api.world.clock.advance(180)
    assert api.world.services.sweep.sweep().requeued == 1
    api.world.services.ingest.run("default", job_id, seconds=60)
    assert (jobs(api), api.texts()) == ([JobState.SUCCEEDED], ["Alice likes tea"])


def test_a_full_disk_is_503_and_what_was_acknowledged_stays(api: Api) -> None:
    api.say("tea")
    large = {**VERBATIM, "messages": [{"role": "user", "content": "x" * 60_000} for _ in range(40)]}
    with full_disk(1_500_000):
        refused = api.post("/memories", large)
    assert (refused.status_code, refused.json()["code"]) == (503, "datastore_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert api.texts() == ["tea"]
    assert api.post("/memories", VERBATIM).status_code == 200
    assert api.texts() == ["I like tea", "tea"]


def test_health_says_503_from_a_failed_write_until_a_write_succeeds(api: Api, tmp_path: Path) -> None:
    api.world.services.health._kept_s = 0
    api.say("tea")
    folder = tmp_path / "0"
    size = (folder / "ledger.db-wal").stat().st_size
    with full_disk(size):
        assert api.get("/health").status_code == 200, "nothing has been written yet, so nothing is known"
        assert api.post("/memories", VERBATIM).status_code == 503
        for _ in range(2):
            sick = api.get("/health")
            assert (sick.status_code, sick.json()["status"]) == (503, "down")
            assert sick.json()["parts"]["ledger"].startswith("the ledger ledger.db failed")
            assert sick.json()["parts"]["index"] == "ok"
            assert api.texts() == ["tea"], "what can be read is read"
    well = api.get("/health")
    assert (well.status_code, well.json()["parts"]["ledger"]) == (200, "ok")
    assert [file.name for file in folder.iterdir() if "failed" in file.name] == []
