"""DynamoDB of a world: moto in a process of its own, one request at a time, with faults before and after requests.

`python -m tests.histories.dynamo --table NAME --seed N` prints a line with its address when it is ready. The
faults are set by a request for an operation that DynamoDB does not have.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

import httpx

from forgetless.adapters.ledger_dynamodb import schema
from forgetless.adapters.ledger_dynamodb.erasure_log import LOG_DEFINITION
from tests.dynamo_server import DynamoServer, error, serve_dynamodb

__all__ = ["Disorder", "disturb"]

_TELL = "ForgetlessTests.Disturb"


@dataclass(frozen=True, slots=True)
class Disorder:
    """The probabilities of faults of a request, and its additional delay."""

    #: Refused, nothing done.
    throttled: float = 0.0
    #: A failure, nothing done.
    failed: float = 0.0
    #: Done, and a failure for an answer.
    lost: float = 0.0
    slow_s: float = 0.0


def disturb(url: str, disorder: Disorder) -> None:
    """Set the faults of the server at `url` from now on."""
    body = {name: getattr(disorder, name) for name in Disorder.__dataclass_fields__}
    headers = {"X-Amz-Target": _TELL, "Authorization": "Credential=x/20260101/us-east-1/dynamodb/aws4_request"}
    httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False).raise_for_status()


class _Door:
    """Applies the faults to every request."""

    def __init__(self, server: DynamoServer, seed: int) -> None:
        self._server = server
        self._chance = random.Random(seed)
        self._disorder = Disorder()

    def __call__(self, operation: str, parameters: dict[str, Any]) -> tuple[int, Any] | None:
        self._server.calls.clear()
        if operation == _TELL.rpartition(".")[2]:
            self._disorder = Disorder(**parameters)
            return 200, {}
        disorder = self._disorder
        if disorder.slow_s:
            time.sleep(disorder.slow_s)
        drawn = self._chance.random()
        if drawn < disorder.throttled:
            return error("ProvisionedThroughputExceededException")
        if drawn < disorder.throttled + disorder.failed:
            return error("InternalServerError", 500)
        if drawn < disorder.throttled + disorder.failed + disorder.lost:
            self._server.lose_answers[operation] = 1
        return None


def main() -> None:
    """Serve one table until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.dynamo", description=__doc__)
    parser.add_argument("--table", required=True)
    parser.add_argument("--seed", type=int, required=True)
    options = parser.parse_args()
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    with serve_dynamodb() as server:
        server.admin.create_table(TableName=options.table, **schema.DEFINITION)
        server.admin.create_table(TableName=f"{options.table}-erasures", **LOG_DEFINITION)
        server.rules.append(_Door(server, options.seed))
        print(json.dumps({"url": server.url}), flush=True)
        stopped.wait()


if __name__ == "__main__":
    main()
