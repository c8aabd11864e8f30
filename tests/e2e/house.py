"""The whole service as `make up` starts it, on free ports and in a folder of its own, with an LLM stub beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_S = 120.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def wait_until(holds: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Poll what other processes do; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not so after {seconds} s"
        time.sleep(0.1)


#: What the queue of a house wants.
QUEUE_TOKEN = "queue-of-the-house"


class House:
    """A running service and a client with its key."""

    #: The port of /metrics; None where nobody serves them.
    metrics_port: int | None = None
    #: Whether a function may run more than once at a time.
    functions_run_at_once = True

    def __init__(self, folder: Path, models: Path) -> None:
        gateway, embedder, self.queue_port, self.metrics_port, stub = free_ports(5)
        self.state = folder / "state"
        self.state.mkdir()
        (self.state / "models").symlink_to(models)
        self.embedder_port = embedder
        self.stub_port = stub
        self.environment = {
            **os.environ,
            "FORGETLESS_STATE": str(self.state),
            "FORGETLESS_PORT": str(gateway),
            "FORGETLESS_EMBEDDER_PORT": str(embedder),
            "FORGETLESS_QUEUE_PORT": str(self.queue_port),
            "FORGETLESS_METRICS_PORT": str(self.metrics_port),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{stub}/v1",
            "FORGETLESS_LLM_MODEL": "stub",
            "EMBEDDER_API_KEY": "embedder-of-the-house",
            "FORGETLESS_EMBEDDER_API_KEY": "embedder-of-the-house",
            "EMULATOR_QUEUE_TOKEN": QUEUE_TOKEN,
        }
        self.stub_host = self.embedder_host = "127.0.0.1"
        self._stub = self._start("-m", "local.llm_stub", "--port", str(stub), "--latency-ms", "20")
        self.log = folder / "up.log"
        self._up: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{gateway}", timeout=40)

    def up(self) -> None:
        """Start everything and wait until it is ready."""
        with self.log.open("wb") as log:
            self._up = self._start("-m", "local.up", "up", stdout=log, stderr=log)
        wait_until(self._ready, seconds=START_S)
        self.client.headers["X-API-Key"] = (self.state / "api_key").read_text().strip()

    def down(self) -> None:
        """Stop everything that `up` started."""
        subprocess.run([sys.executable, "-m", "local.up", "down"], cwd=ROOT, env=self.environment, check=True)
        if self._up is not None:
            self._up.wait(timeout=30)
            self._up = None

    def close(self) -> None:
        """Leave nothing behind."""
        self.down()
        self._stub.terminate()
        self._stub.wait(timeout=10)
        self.client.close()

    def add(self, *texts: str, user: str, **body: Any) -> httpx.Response:
        """POST /memories with user messages."""
        messages = [{"role": "user", "content": text} for text in texts]
        return self.client.post("/memories", json={"messages": messages, "user_id": user, "infer": False, **body})

    def found(self, query: str, *, user: str) -> list[str]:
        """What POST /search gives, best first."""
        answer = self.client.post("/search", json={"query": query, "filters": {"user_id": user}})
        assert answer.status_code == 200, answer.text
        return [result["memory"] for result in answer.json()["results"]]

    def part_pid(self, part: str) -> int:
        """The process of a part, as `up` recorded it."""
        return int(json.loads((self.state / "up.json").read_text())["parts"][part]["pid"])

    def kill_milvus(self) -> None:
        """End the process that holds the index, from one moment to the next."""
        milvus = self.part_pid("milvus")
        children = Path(f"/proc/{milvus}/task/{milvus}/children").read_text().split()
        assert children
        for child in children:
            os.kill(int(child), signal.SIGKILL)

    @contextmanager
    def embedder_stopped(self) -> Iterator[None]:
        """An embedder that takes connections and answers nothing."""
        stopped = self.part_pid("embedder")
        os.kill(stopped, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(stopped, signal.SIGCONT)

    @contextmanager
    def llm_stopped(self) -> Iterator[None]:
        """An LLM that takes connections and answers nothing."""
        self._stub.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._stub.send_signal(signal.SIGCONT)

    @property
    def queue_url(self) -> str:
        """Where the emulator's SQS is; empty where jobs go without a queue."""
        return f"http://{self.stub_host}:{self.queue_port}"

    @property
    def milvus_uri(self) -> str:
        """Where this machine's processes reach Milvus."""
        arguments = Path(f"/proc/{self.part_pid('milvus')}/cmdline").read_bytes().decode().split("\0")
        return f"unix:{arguments[arguments.index('--socket') + 1]}"

    def healthy(self) -> bool:
        """Whether /health says that every part answers, and a search shows it: what /health says may be 3 s old."""
        search = {"query": "is anybody there?", "filters": {"user_id": "nobody"}}
        try:
            return {
                self.client.get("/health").status_code,
                self.client.post("/search", json=search).status_code,
            } == {200}
        except httpx.HTTPError:
            return False

    def _ready(self) -> bool:
        assert self._up is not None
        assert self._up.poll() is None, self.log.read_text()
        return "Forgetless is ready" in self.log.read_text()

    def _start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=self.environment, **options)
