"""Starts services for one measurement: on free ports, in a folder of their own, ended when the measurement ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from local.bench.overhead import function_environment
from local.client import Connection, ToolError
from local.up.identity import end_all, identify
from local.up.models import prepare_command
from local.up.process import die_with_parent
from local.up.settings import ROOT

__all__ = [
    "ScratchService",
    "answers",
    "free_port",
    "llm_stub",
    "newer_lite",
    "prepare_model",
    "process",
    "scratch_service",
    "scratch_uvicorn",
    "wait_for",
]

#: Seconds in which a service must answer for the first time.
START_S = 180.0
#: Seconds in which it must end; `make up` gives its slowest part 15.
STOP_S = 45.0


@dataclass(frozen=True, slots=True)
class ScratchService:
    """A running Forgetless that was started for this measurement."""

    connection: Connection
    state: Path
    embedder_url: str
    embedder_key: str


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str], cwd: Path = ROOT, user: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; it and its descendants end with this process."""
    with log.open("ab") as stream:
        running = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env=dict(environment),
            cwd=cwd,
            user=user,
            start_new_session=True,
            preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509 - one system call, no locks
        )
    who = identify(running.pid)
    try:
        yield running
    finally:
        if who is not None:
            end_all([who], grace=STOP_S)
        running.wait()


def wait_for(what: str, ready: Callable[[], bool], running: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it is ready; raises ToolError when it ends before or takes too long."""
    end = time.monotonic() + START_S
    while not ready():
        if running.poll() is not None or time.monotonic() > end:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise ToolError(f"{what} does not start: {''.join(last)[:300] or 'it said nothing'} (log: {log})")
        time.sleep(0.2)


def answers(url: str, **options: Mapping[str, str]) -> bool:
    """Return whether a GET is answered with 200 now."""
    try:
        return httpx.get(url, timeout=5, trust_env=False, **options).status_code == httpx.codes.OK  # type: ignore[arg-type]
    except httpx.HTTPError:
        return False


@contextmanager
def scratch_service(folder: Path, *, settings: Mapping[str, str] | None = None) -> Iterator[ScratchService]:
    """Run `make up` on a state folder below `folder`; `settings` override its variables."""
    state = folder / "state"
    state.mkdir(parents=True, exist_ok=True)
    _share_models(state)
    port, embedder, queue = free_port(), free_port(), free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FORGETLESS_", "OPENAI_"))}
    environment = {
        **kept,
        "FORGETLESS_STATE": str(state),
        "FORGETLESS_PORT": str(port),
        "FORGETLESS_EMBEDDER_PORT": str(embedder),
        "FORGETLESS_QUEUE_PORT": str(queue),
        "FORGETLESS_METRICS_PORT": "0",
        **(settings or {}),
    }
    log, url = folder / "up.log", f"http://127.0.0.1:{port}"
    with process((sys.executable, "-m", "local.up", "up"), log=log, environment=environment) as up:
        wait_for("Forgetless", lambda: answers(f"{url}/health"), up, log)
        key = (state / "api_key").read_text(encoding="utf-8").strip()
        embedder_key = (state / "embedder_api_key").read_text(encoding="utf-8").strip()
        yield ScratchService(Connection(url, key), state, f"http://127.0.0.1:{embedder}", embedder_key)


def prepare_model(model: str) -> None:
    """Prepare a model in the folder that services of measurements share; raises ToolError.

    Random weights in a large shape take minutes, and this tells what happens meanwhile.
    """
    command, environment = prepare_command(model, _models_folder() / model, os.environ)
    if subprocess.run(command, env=dict(environment), cwd=ROOT, check=False).returncode != 0:
        raise ToolError(f"the model {model} cannot be prepared")


def _models_folder() -> Path:
    given = os.environ.get("FORGETLESS_MODEL_DIR")
    return Path(given).parent if given else ROOT / ".forgetless" / "models"


def _share_models(state: Path) -> None:
    """Use the prepared models of this machine for the service too."""
    models = _models_folder()
    if models.is_dir() and not (state / "models").exists():
        (state / "models").symlink_to(models)


@contextmanager
def llm_stub(folder: Path) -> Iterator[str]:
    """Run an LLM stub that answers by rules after 300 ms, and give its address."""
    port, log = free_port(), folder / "llm.log"
    command = (sys.executable, "-m", "local.llm_stub", "--port", str(port), "--latency-ms", "300")
    with process(command, log=log, environment=os.environ) as running:
        wait_for("the LLM stub", lambda: answers(f"http://127.0.0.1:{port}/health"), running, log)
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def newer_lite(folder: Path) -> Iterator[tuple[str, int]]:
    """Run Milvus Lite 3.2.2 from its own environment, and give its URI and pid; raises ToolError without it."""
    program = ROOT / ".venv-milvus3" / "bin" / "milvus-lite"
    if not program.exists():
        raise ToolError(f"{program} is missing: `make sweep` installs it")
    port, log = free_port(), folder / "milvus3.log"
    command = (str(program), "server", "--data-dir", str(folder / "milvus3"), "--host", "127.0.0.1")
    with process((*command, "--port", str(port)), log=log, environment=os.environ) as running:
        wait_for("Milvus Lite 3.2.2", lambda: listens(port), running, log)
        yield f"http://127.0.0.1:{port}", running.pid


def listens(port: int) -> bool:
    """Return whether a process accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def scratch_uvicorn(
    own: ScratchService, folder: Path, *, settings: Mapping[str, str] | None = None
) -> Iterator[tuple[Connection, int]]:
    """Run the same application as one process, as mem0's server is; `settings` override those of the functions."""
    port, log = free_port(), folder / "uvicorn.log"
    command = (sys.executable, "-m", "uvicorn", "--factory", "forgetless.asgi:create", "--host", "127.0.0.1")
    options = ("--port", str(port), "--log-level", "warning", "--no-access-log")
    url = f"http://127.0.0.1:{port}"
    environment = function_environment(own.state) | dict(settings or {})
    with process((*command, *options), log=log, environment=environment) as running:
        wait_for("Forgetless under uvicorn", lambda: answers(f"{url}/health"), running, log)
        yield Connection(url, own.connection.key), running.pid
