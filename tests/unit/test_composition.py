"""The services of an environment: built once, however many requests come first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: In a process of its own, as the services of a process are built once. The name of the ledger's file is asked for
#: while services are built, and a pause there makes the threads meet.
_FIRST_REQUESTS = """
import json, threading, time
from concurrent.futures import ThreadPoolExecutor
from forgetless.runtime import composition

built = []
build = composition.build_services

def slow_build(settings):
    time.sleep(0.1)
    built.append(build(settings))
    return built[-1]

composition.build_services = slow_build
together = threading.Barrier(8)

def ask():
    together.wait(10)
    return composition.services()

with ThreadPoolExecutor(8) as pool:
    given = [asked.result() for asked in [pool.submit(ask) for _ in range(8)]]
print(json.dumps([len(built), len(set(map(id, given)))]))
"""


def test_first_requests_that_come_at_once_share_one_set_of_services(tmp_path: Path) -> None:
    path = json.dumps(sys.path)
    code = f"import sys; sys.path[:] = {path}\n{_FIRST_REQUESTS}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [1, 1]
