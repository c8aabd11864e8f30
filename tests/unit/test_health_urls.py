"""Health of parts that are no port of the service: their URLs are requested, and anything but 2xx is reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forgetless.runtime.composition import build_services
from forgetless.runtime.settings import Settings
from tests.unit.servers import Answer, serve


def said_of(url: str, folder: Path) -> str:
    settings = Settings(ledger_path=str(folder / "ledger.db"), health_urls=json.dumps({"part": url}))
    return build_services(settings).health.check()["part"]


@pytest.mark.parametrize(
    ("status", "said"),
    [(200, "ok"), (204, "ok"), (302, "part answers with status 302"), (503, "part answers with status 503")],
)
def test_a_part_is_well_when_it_answers_with_success(tmp_path: Path, status: int, said: str) -> None:
    with serve(lambda _: Answer(status, body=b"")) as server:
        assert said_of(server.url, tmp_path) == said


@pytest.mark.parametrize(
    ("url", "reason"), [("http://127.0.0.1:1/", "ConnectError"), ("ftp://127.0.0.1/", "UnsupportedProtocol")]
)
def test_a_part_that_cannot_be_asked_does_not_answer(tmp_path: Path, url: str, reason: str) -> None:
    assert said_of(url, tmp_path) == f"part does not answer: {reason}"
