"""Projects written into temporary folders, and emulators that run them in a thread of their own."""

from __future__ import annotations

import asyncio
import contextlib
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import uvloop

from local.emulator import announcement
from local.emulator.emulator import Emulator
from local.emulator.gateway.outside import Trust
from local.emulator.settings import Settings
from tests.emulator.gateways import Function, Served

#: Seconds that a test waits for an event; no rule depends on it, so that a busy machine may be slow.
WAIT_SECONDS = 60.0

HELLO = """
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: code
      Handler: app.handler
      Timeout: 60
      Events: {All: {Type: HttpApi}}
"""


class Running:
    """A running emulator: its addresses, its log and a client."""

    def __init__(self, settings: Settings) -> None:
        self.state = settings.state
        self._settings, self._ready = settings, threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(WAIT_SECONDS)
        if self._error:
            raise self._error
        self._clients = contextlib.ExitStack()
        self.http = self._clients.enter_context(httpx.Client(base_url=self.gateway, timeout=WAIT_SECONDS))

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
                self._error = error
            finally:
                self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        async with Emulator(self._settings) as emulator:
            self.gateway, self.queue_url = emulator.gateway_url, emulator.queue_url
            self.invoke_url, self.warnings = emulator.invoke_url, emulator.warnings
            self.announced = list(announcement.lines(emulator))
            self.metrics_url, self.function_urls = emulator.metrics_url, emulator.function_urls
            self._ready.set()
            await self._stopped.wait()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()
        self._clients.close()

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.queue_url}/_emulator/status").json()
        return answer

    def function(self, name: str = "Hello") -> dict[str, Any]:
        counts: dict[str, Any] = self.status()["functions"][name]
        return counts

    def wait_for(self, name: str = "Hello", **counts: int) -> None:
        """Return once the status of a function says so."""
        self.eventually(lambda: counts.items() <= self.function(name).items())

    def sqs(self) -> Any:
        return self._clients.enter_context(contextlib.closing(sqs_client(self.queue_url)))

    def log(self) -> str:
        return (self.state / "logs" / "functions.log").read_text()

    def eventually(self, check: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
        """Return what the check returns once it is true."""
        deadline = time.monotonic() + seconds
        while not (found := check()):
            assert time.monotonic() < deadline, f"never came true; the log says:\n{self.log()}"
            time.sleep(0.02)
        return found

    def later(self, path: str) -> Future[httpx.Response]:
        """Send a request whose answer is checked later."""
        thread = ThreadPoolExecutor(1)
        answer = thread.submit(self.http.get, path)
        thread.shutdown(wait=False)
        return answer

    def logged(self, text: str) -> str:
        """Return the log once it has the text."""
        log: str = self.eventually(lambda: (log := self.log()) and text in log and log)
        return log


def sqs_client(url: str) -> Any:
    return boto3.client(
        "sqs", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """Write a template and files of code; return the template's path."""

    def write(template: str = HELLO, **files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path = path.with_name(f"{path.name}.py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        (tmp_path / "template.yaml").write_text(textwrap.dedent(template))
        return tmp_path / "template.yaml"

    return write


@pytest.fixture
def serve(project: Callable[..., Path]) -> Callable[..., Served]:
    """Serve the APIs of resources in this process; functions are given by name, answers in their place."""

    def begin(resources: str, trust: Trust | None = None, **functions: Any) -> Served:
        text = (
            resources if "Resources:" in resources else f"Resources:{textwrap.indent(textwrap.dedent(resources), '  ')}"
        )
        made = {name: one if isinstance(one, Function) else Function(one) for name, one in functions.items()}
        return Served(project(text, code__app=""), made, trust or Trust())

    return begin


@pytest.fixture
def start(tmp_path: Path, project: Callable[..., Path]) -> Iterator[Callable[..., Running]]:
    """Start an emulator on a project; settings are given by name, files by their path with `__` for `/`."""
    running: list[Running] = []

    def begin(template: str = HELLO, settings: dict[str, Any] | None = None, **files: str) -> Running:
        given = {"template": project(template, **files), "state": tmp_path / "state"} | (settings or {})
        running.append(Running(Settings(**{"port": 0, "queue_port": 0, "init_limit": WAIT_SECONDS} | given)))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that does not say where its rule comes from."""
    for item in items:
        if item.path.parent == Path(__file__).parent and len(list(item.iter_markers("fidelity"))) != 1:
            raise pytest.UsageError(f"{item.nodeid}: mark its rule, see tests/emulator/fidelity.py")
