"""Fixtures of the embedding service's tests: a tiny real model and a real server process around it."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.embedder import tiny

Serve = Callable[..., "Served"]

#: Made once: httpx would otherwise read the certificate authorities for each request, which takes longer than the rest.
_TLS = ssl.create_default_context()


class Served:
    """A running ``python -m embedder serve`` and its address."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def post(self, path: str, **arguments: object) -> httpx.Response:
        return httpx.post(self.url + path, timeout=30, verify=_TLS, **arguments)  # type: ignore[arg-type]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=30, verify=_TLS)

    def figures(self) -> dict[str, float]:
        lines = [line for line in self.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model"))


def start(model_dir: Path, **settings: object) -> Served:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EMBEDDER_")}
    environment |= {f"EMBEDDER_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "embedder", "serve", "--model-dir", str(model_dir), "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    served = Served(process, "http://" + line.rsplit(" ", 1)[-1].strip())
    # The port is open before the warm-up; the first answer comes after it.
    served.get("/ready").raise_for_status()
    return served


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    started: list[Served] = []

    def begin(folder: Path, **settings: object) -> Served:
        started.append(start(folder, **settings))
        return started[-1]

    yield begin
    for served in started:
        served.process.terminate()
        served.process.wait(60)
        assert served.process.stdout is not None
        served.process.stdout.close()


@pytest.fixture(scope="session")
def server(serve: Serve, model_dir: Path) -> Served:
    return serve(model_dir)
