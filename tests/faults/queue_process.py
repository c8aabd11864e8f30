"""Runs the emulator's SQS in a process that SIGKILL ends at a chosen point."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import sqlite3
import threading
import time
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.emulator.asgi import Receive, Scope, Send
from local.emulator.servers import HttpServer, listen
from local.emulator.specs import Place
from local.emulator.sqs.app import QueueServer
from local.emulator.sqs.operations import Operations
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from tests.faults.processes import PROCESSES

__all__ = ["QueueProcess"]

#: Seconds that a process may take on a busy machine.
PATIENCE_S = 120.0


class QueueProcess:
    """The server's process on one folder; the address outlives it, as the port of `make up` does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S)
        self.client: Any = boto3.client(
            "sqs", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x",
            config=config,
        )  # fmt: skip
        self._ahead_s = 0.0
        self._process: BaseProcess | None = None

    def start(self, kill_at: int | None = None) -> bool:
        """Start it and return whether it serves; `kill_at` counts the points of the start itself."""
        self._line, theirs = multiprocessing.Pipe()
        arguments = (self._folder, self._listener, self.url, self._ahead_s, kill_at, theirs)
        self._process = PROCESSES.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        try:
            return bool(self._receive() == "ready")
        except EOFError:
            self.died()
            return False

    def arm(self, kill_at: int) -> None:
        """Count points from now on and die at this one; -1 means at none."""
        self._ask("arm", kill_at)

    def points(self) -> list[str]:
        """Return the points that it has passed since it was armed or started."""
        found: list[str] = self._ask("points", None)
        return found

    def later(self, seconds: float) -> None:
        """Let time pass, for this process and later ones."""
        self._ahead_s += seconds
        self._ask("ahead", self._ahead_s)

    def kill(self) -> None:
        """Kill it at once, whatever it is doing."""
        assert self._process is not None
        self._process.kill()
        self.died()

    def died(self) -> None:
        """Return when it has ended, and check that SIGKILL ended it."""
        assert self._process is not None
        self._process.join(PATIENCE_S)
        assert self._process.exitcode == -signal.SIGKILL
        self._line.close()
        self._process = None

    def close(self) -> None:
        """End the process and close the address."""
        if self._process is not None:
            self.kill()
        self._listener.close()

    def _ask(self, what: str, argument: Any) -> Any:
        self._line.send((what, argument))
        return self._receive()

    def _receive(self) -> Any:
        assert self._line.poll(PATIENCE_S), "the queue's process says nothing"
        return self._line.recv()


class _Watch:
    """In the server's process: counts the points and kills it at the one that is chosen."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.points: list[str] = []

    def arm(self, kill_at: int) -> None:
        self.points, self.kill_at = [], kill_at

    def point(self, name: str) -> None:
        self.points.append(name)
        if self.kill_at == len(self.points) - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def observe_sqlite(self) -> None:
        """Make every statement of every connection a point, just before SQLite runs it."""
        connect = sqlite3.connect

        def observed(*arguments: Any, **options: Any) -> sqlite3.Connection:
            database = connect(*arguments, **options)
            database.set_trace_callback(lambda statement: self.point(" ".join(statement.split()[:4])))
            return database

        sqlite3.connect = observed  # type: ignore[assignment]


class _Answers:
    """Adds two points to the server: before the head of the answer is sent, and before the body is."""

    def __init__(self, app: QueueServer, watch: _Watch) -> None:
        self._app, self._watch = app, watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Any) -> None:
            self._watch.point(f"answer: {message['type']}")
            await send(message)

        await self._app(scope, receive, answer)


def _serve(
    folder: Path, listener: socket.socket, url: str, ahead_s: float, kill_at: int | None, line: Connection
) -> None:
    watch, clock = _Watch(kill_at), {"ahead": ahead_s}
    watch.observe_sqlite()
    service = QueueService(Store(folder / "queues.sqlite3", clock=lambda: time.time() + clock["ahead"]))
    threading.Thread(target=_obey, args=(line, watch, clock), daemon=True).start()

    async def status() -> dict[str, Any]:
        return {}

    async def run() -> None:
        app = QueueServer(Operations(service, Place(queue_url=url)), status)
        await HttpServer(_Answers(app, watch), listener).start()
        line.send("ready")
        await asyncio.Event().wait()

    asyncio.run(run())


def _obey(line: Connection, watch: _Watch, clock: dict[str, float]) -> None:
    while True:
        try:
            what, argument = line.recv()
        except EOFError:
            os._exit(1)  # The process that runs the test has ended.
        if what == "arm":
            watch.arm(argument)
        if what == "ahead":
            clock["ahead"] = argument
        line.send(list(watch.points) if what == "points" else None)
