"""Measures the overhead of gateway and function: a route that does nothing, through the emulator and under uvicorn."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from local.bench.load import LoadResult, Plan, measure, request_text
from local.client import Connection, ToolError
from local.up.settings import ROOT

__all__ = ["CLIENTS", "free_port", "overhead"]

CLIENTS = (1, 50)
#: A cheap route, which checks the key as every route does.
ROUTE = "/configure/providers"
_START_S = 30.0


def overhead(connection: Connection, state: Path, seconds: float) -> dict[str, list[LoadResult]]:
    """Return the results for each number of clients: "gateway" and, with the same settings, "uvicorn"."""
    results = {"gateway": _measured(connection.url, connection.key, seconds)}
    with _bare_uvicorn(state) as url:
        results["uvicorn"] = _measured(url, connection.key, seconds)
    return results


def function_environment(state: Path) -> dict[str, str]:
    """Return this process' environment with the settings that `make up` gave its functions; raises ToolError."""
    file = state / "functions.env.json"
    try:
        given: Mapping[str, str] = json.loads(file.read_text(encoding="utf-8"))["Parameters"]
    except (OSError, ValueError, KeyError):
        raise ToolError(f"{file} cannot be read: start the service with `make up` on this state folder") from None
    layers = [str(ROOT / "layers" / name / "python") for name in ("core", "dependencies")]
    return {**os.environ, **given, "PYTHONPATH": os.pathsep.join(layers)}


def _measured(url: str, key: str, seconds: float) -> list[LoadResult]:
    request = (request_text(url, "GET", ROUTE, key),)
    return [measure(Plan(url, request, clients, seconds)) for clients in CLIENTS]


@contextmanager
def _bare_uvicorn(state: Path) -> Iterator[str]:
    port = free_port()
    command = (sys.executable, "-m", "uvicorn", "--factory", "forgetless.asgi:create")
    options = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log")
    process = subprocess.Popen(
        [*command, *options], env=function_environment(state), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=sys.stderr
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/openapi.json", process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=15)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise ToolError(f"bare uvicorn did not answer within {_START_S:.0f} s")


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
