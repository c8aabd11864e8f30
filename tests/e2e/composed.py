"""The whole service as `make compose-up` starts it: containers in a project of their own, an LLM stub beside them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.house import ROOT, House, free_ports, wait_until

#: Milvus Lite's supervisor is the first process of its container; the binary is its child.
_KILL = "import os; [os.kill(int(pid), 9) for pid in open('/proc/1/task/1/children').read().split()]"


def bridge_address() -> str:
    """Return this machine's address on Docker's bridge: what host-gateway means inside containers."""
    command = ("docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return told or "172.17.0.1"


class Composed(House):
    """Containers and a client with their key."""

    def __init__(self, folder: Path, models: Path) -> None:
        gateway, self.embedder_port, self._milvus_port, self.stub_port = free_ports(4)
        self.state = folder
        self.stub_host, self.embedder_host = bridge_address(), "127.0.0.1"
        self.environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": f"forgetless-e2e-{os.getpid()}",
            "FORGETLESS_STATE": str(folder),
            "FORGETLESS_PORT": str(gateway),
            "EMBEDDER_PORT": str(self.embedder_port),
            "MILVUS_PORT": str(self._milvus_port),
            "EMBEDDER_MODEL_FOLDER": str(models / "all-MiniLM-L6-v2"),
            "OPENAI_BASE_URL": f"http://host.docker.internal:{self.stub_port}/v1",
            "FORGETLESS_LLM_MODEL": "stub",
        }
        where = ("--host", self.stub_host, "--port", str(self.stub_port))
        self._stub = self._start("-m", "local.llm_stub", *where, "--latency-ms", "20")
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{gateway}", timeout=60)
        # What a process on this machine is told, where it stands in for a function.
        self._inside = dict(self.environment)
        self.environment["OPENAI_BASE_URL"] = f"http://{self.stub_host}:{self.stub_port}/v1"

    def up(self) -> None:
        """Build and start everything in its order."""
        done = self._compose("up")
        assert done.returncode == 0, done.stdout + done.stderr
        self.client.headers["X-API-Key"] = (self.state / "compose_api_key").read_text().strip()
        wait_until(self.healthy)

    def down(self) -> None:
        """Stop everything; the volumes stay."""
        self._compose("down").check_returncode()

    def close(self) -> None:
        """Leave nothing behind: no container and no volume."""
        self._compose("down")
        for name in ("ledger", "milvus"):
            subprocess.run(["docker", "volume", "rm", f"{self._project}_{name}"], capture_output=True, check=False)
        self._stub.terminate()
        self._stub.wait(timeout=10)
        self.client.close()

    def kill_milvus(self) -> None:
        """Kill the binary inside its container."""
        container = self._containers("milvus")[0]
        subprocess.run(["docker", "exec", container, "/venv/bin/python", "-c", _KILL], check=True)

    @contextmanager
    def embedder_stopped(self) -> Iterator[None]:
        """Both replicas frozen: they take connections and answer nothing."""
        containers = self._containers("embedder")
        subprocess.run(["docker", "pause", *containers], check=True, capture_output=True)
        try:
            yield
        finally:
            subprocess.run(["docker", "unpause", *containers], check=True, capture_output=True)

    @property
    def queue_url(self) -> str:
        """The API runs jobs itself."""
        return ""

    @property
    def milvus_uri(self) -> str:
        """Where this machine's processes reach Milvus."""
        return f"http://127.0.0.1:{self._milvus_port}"

    @property
    def _project(self) -> str:
        return self.environment["COMPOSE_PROJECT_NAME"]

    def _containers(self, service: str) -> list[str]:
        labels = (f"com.docker.compose.project={self._project}", f"com.docker.compose.service={service}")
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        found = subprocess.run(["docker", "ps", "--quiet", *filters], capture_output=True, text=True, check=True)
        return found.stdout.split()

    def _compose(self, verb: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", "local/compose/compose.sh", verb]
        return subprocess.run(command, cwd=ROOT, env=self._inside, capture_output=True, text=True, check=False)
