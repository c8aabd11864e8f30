"""Measures a function that does nothing, behind an HTTP and a REST API: by our emulator, then `sam local start-api`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from local.bench.load import LoadResult, Plan, measure, request_text
from local.bench.overhead import free_port
from local.client import ToolError
from local.sam.parts import SAM
from local.sam.serve import leaving_no_container
from local.up.settings import ROOT

__all__ = ["CLIENTS", "compare", "ratio", "why_not"]

CLIENTS = 100
TEMPLATE = Path(__file__).with_name("hello") / "template.yaml"
#: The function's name in the template, by which its containers are recognised.
_FUNCTION = "ForgetlessBenchHello"
#: The routes of its template, by the kind of their API.
_PATHS = {"HTTP API": "/hello", "REST API": "/rest"}
_START_S, _STOP_S = 300.0, 60.0
#: sam local is slow: its first answers come only after those of 100 clients are done.
_WARMUP_S = 5.0


def why_not() -> str:
    """Return why the comparison is not possible here; empty when it is."""
    if not SAM.exists():
        return "aws-sam-cli is not installed here: make build"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return "no Docker engine answers"
    return ""


def compare(seconds: float) -> dict[str, list[LoadResult]]:
    """Return the results of both for each kind of API, by name."""
    with _emulator() as url:
        ours = {f"emulator, {kind}": [_measured(url, path, seconds)] for kind, path in _PATHS.items()}
    with _sam_local() as url:
        theirs = {f"sam local, {kind}": [_measured(url, path, seconds)] for kind, path in _PATHS.items()}
    return ours | theirs


def ratio(results: dict[str, list[LoadResult]]) -> dict[str, dict[str, float]]:
    """Return the ratio of answers in a second, and that of the P99s, for each kind of API."""
    return {kind: _ratio(results[f"emulator, {kind}"][0], results[f"sam local, {kind}"][0]) for kind in _PATHS}


def _ratio(ours: LoadResult, theirs: LoadResult) -> dict[str, float]:
    return {
        "per_second": round(ours.per_second / theirs.per_second, 1) if theirs.per_second else 0.0,
        "p99": round(ours.p99_ms / theirs.p99_ms, 3) if theirs.p99_ms else 0.0,
    }


def _measured(url: str, path: str, seconds: float) -> LoadResult:
    request = (request_text(url, "GET", path, "none"),)
    return measure(Plan(url, request, CLIENTS, seconds, warmup_s=_WARMUP_S))


@contextmanager
def _emulator() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as state:
        where = ("--template", str(TEMPLATE), "--state", state, "--port", "0", "--queue-port", "0")
        with _process((sys.executable, "-m", "local.emulator", *where)) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise ToolError("the emulator did not start")
            url = str(json.loads(line)["gateway"])
            _wait_for(f"{url}/hello", process)
            yield url


@contextmanager
def _sam_local() -> Iterator[str]:
    port = free_port()
    options = ("--skip-pull-image", "--warm-containers", "EAGER", "--no-watch", "--port", str(port))
    command = (str(SAM), "local", "start-api", "--template", str(TEMPLATE), *options)
    with leaving_no_container(f"AWS_LAMBDA_FUNCTION_NAME={_FUNCTION}"), _process(command) as process:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/hello", process)
        yield url


@contextmanager
def _process(command: tuple[str, ...]) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "us-east-1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=60, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise ToolError(f"{url} did not answer within {_START_S:.0f} s")
