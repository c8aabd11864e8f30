"""schemathesis over the service's own OpenAPI document, both dialects: whatever is sent, no answer is a server error.

Beside single requests it plays sequences: what one answer names (ids of memories, events, exports, webhooks) goes into
the next request. `make test-schemathesis EXAMPLES=50` sends more; the same seed sends the same.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.clients.test_clients import clients
from tests.e2e.house import House

#: How many requests and how many sequences of each kind.
EXAMPLES = int(os.environ.get("FORGETLESS_SCHEMA_EXAMPLES") or 8)
RUN_S = 300 + EXAMPLES * 90

pytestmark = [pytest.mark.clients, pytest.mark.timeout(RUN_S + 60)]


@pytest.mark.parametrize("version", ["4.32.5"])
def test_no_generated_request_or_sequence_is_answered_by_a_server_error(house: House, version: str) -> None:
    program = clients() / f"schemathesis-{version}" / "bin" / "schemathesis"
    url, key = str(house.client.base_url).rstrip("/"), house.client.headers["X-API-Key"]
    options = ["--checks", "not_a_server_error", "--max-examples", str(EXAMPLES), "--no-color"]
    options += ["--seed", os.environ.get("FORGETLESS_SCHEMA_SEED") or "1"]
    command = [str(program), "run", f"{url}/openapi.json", "-H", f"X-API-Key: {key}", *options]
    command += ["--phases", "examples,coverage,fuzzing,stateful"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
    assert re.search(r"Stateful.*", done.stdout), done.stdout[-3000:]
