"""The whole service as `make sam-local` starts it, with DynamoDB (moto's) and an LLM stub that outlive its restarts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.e2e.composed import bridge_address
from tests.e2e.house import ROOT, House, free_ports, wait_until

#: sam builds an image for each function at its first call.
_START_S = 900.0


class UnderSam(House):
    """`sam local start-api` and `start-lambda` in containers; the other parts are processes of this machine."""

    #: sam keeps one container for each function, and a second call waits for the first.
    functions_run_at_once = False

    def __init__(self, folder: Path, models: Path) -> None:
        ports = free_ports(7)
        gateway, self.embedder_port, self.queue_port, milvus, functions, dynamodb, self.stub_port = ports
        self.state = folder / "state"
        self.state.mkdir()
        (self.state / "models").symlink_to(models)
        self.stub_host = self.embedder_host = bridge_address()
        self._milvus = f"http://{self.stub_host}:{milvus}"
        self.environment = {
            **os.environ,
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://{self.stub_host}:{dynamodb}",
            "OPENAI_BASE_URL": f"http://{self.stub_host}:{self.stub_port}/v1",
            "FORGETLESS_LLM_MODEL": "stub",
        }
        ports_of_up = {"port": gateway, "embedder-port": self.embedder_port, "queue-port": self.queue_port}
        self._options = ["--state", str(self.state)]
        for name, port in {**ports_of_up, "milvus-port": milvus, "functions-port": functions}.items():
            self._options += [f"--{name}", str(port)]
        where = ("--host", self.stub_host, "--port", str(self.stub_port))
        self._stub = self._start("-m", "local.llm_stub", *where, "--latency-ms", "20")
        self._moto = self._start("-m", "local.emulator.moto.server", "--host", self.stub_host, "--port", str(dynamodb))
        self._images = _function_images()
        self.log = folder / "up.log"
        self._up: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{gateway}", timeout=120)

    def up(self) -> None:
        """Start everything and wait until every function has its container."""
        with self.log.open("wb") as log:
            self._up = self._start("-m", "local.sam", "up", *self._options, stdout=log, stderr=log)
        wait_until(self._ready, seconds=_START_S)
        self.client.headers["X-API-Key"] = (self.state / "api_key").read_text().strip()
        wait_until(self._warm, seconds=_START_S)

    def down(self) -> None:
        """Stop everything that `up` started."""
        command = [sys.executable, "-m", "local.sam", "down", "--state", str(self.state)]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True)
        if self._up is not None:
            self._up.wait(timeout=60)
            self._up = None

    def close(self) -> None:
        """Leave nothing behind, no image of a function either."""
        super().close()
        # Asked to end, moto tidies up what it holds first, which may take long.
        self._moto.kill()
        self._moto.wait()
        if made := _function_images() - self._images:
            subprocess.run(["docker", "rmi", "--force", *made], capture_output=True, check=False)

    @property
    def milvus_uri(self) -> str:
        """Where processes reach Milvus."""
        return self._milvus

    def _warm(self) -> bool:
        body = {"query": "warm", "filters": {"user_id": "warm"}}
        return self.client.post("/search", json=body).status_code == httpx.codes.OK


def _function_images() -> set[str]:
    """The images that sam has built for functions."""
    command = ["docker", "images", "--quiet", "samcli/lambda-python"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
