"""schemathesis over the service's own OpenAPI document: whatever is sent, no answer is a server error."""

from __future__ import annotations

import subprocess

import pytest

from tests.clients.test_clients import clients
from tests.e2e.house import House

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]

RUN_S = 840


@pytest.mark.parametrize("version", ["4.32.5"])
def test_no_generated_request_is_answered_by_a_server_error(house: House, version: str) -> None:
    program = clients() / f"schemathesis-{version}" / "bin" / "schemathesis"
    url, key = str(house.client.base_url).rstrip("/"), house.client.headers["X-API-Key"]
    options = ["--checks", "not_a_server_error", "--max-examples", "8", "--seed", "1", "--no-color"]
    command = [str(program), "run", f"{url}/openapi.json", "-H", f"X-API-Key: {key}", *options]
    command += ["--phases", "examples,coverage,fuzzing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
