"""`arena`: each port is used by two and by three processes at once, over the SQLite file and over DynamoDB.

moto is slow, so `make test` plays over DynamoDB with three processes only; `make test-races` plays with two as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from forgetless.adapters.ledger_dynamodb import DynamoLedger, item_keys
from forgetless.adapters.ledger_sqlite import SqliteLedger
from tests.concurrency.arena import TIMES, Arena, first_look
from tests.concurrency.crew import FEW_SHARDS, Crew, serving_crew
from tests.concurrency.turnstile import Turnstile, serving_turnstile
from tests.dynamo_server import DynamoServer

MOST_PROCESSES = 3


@pytest.fixture(scope="session")
def crew() -> Iterator[Crew]:
    with serving_crew(MOST_PROCESSES) as crew:
        yield crew


@pytest.fixture(scope="session")
def turnstile(dynamo_server: DynamoServer) -> Iterator[Turnstile]:
    with serving_turnstile(dynamo_server, MOST_PROCESSES) as turnstile:
        yield turnstile


def _arenas() -> list[object]:
    return [
        pytest.param((ledger, count), id=f"{ledger}-{count}")
        for ledger in ("sqlite", "dynamodb")
        for count in (2, 3)
        if (ledger, count) != ("dynamodb", 2) or TIMES > 1
    ]


@pytest.fixture(params=_arenas())
def arena(request: pytest.FixtureRequest, crew: Crew, tmp_path: Path) -> Iterator[Arena]:
    kind, count = request.param
    if kind == "sqlite":
        opens = [partial(SqliteLedger, tmp_path / "ledger.db")] * count
        ledger = opens[0]()
        yield Arena(crew, opens, ledger)
        ledger.close()
        return
    yield from _over_dynamodb(request, crew, count)


def _over_dynamodb(request: pytest.FixtureRequest, crew: Crew, count: int) -> Iterator[Arena]:
    turnstile: Turnstile = request.getfixturevalue("turnstile")
    request.getfixturevalue("monkeypatch").setattr(item_keys, "TOTAL_SHARDS", FEW_SHARDS)
    own: partial[DynamoLedger] = request.getfixturevalue("dynamo")
    opens = [partial(own, endpoint_url=url) for url in turnstile.urls[:count]]
    ledger = own()
    ledger.migrate()
    crew.together(opens, first_look)
    yield Arena(crew, opens, ledger, turnstile)
    ledger.close()
