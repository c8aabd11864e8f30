"""Starts the servers to measure on free ports of this machine, each in its own process group."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedder.sources import KNOWN, fetch

from .load import Target

__all__ = ["INFINITY", "OURS", "infinity", "ours", "published_folder"]

OURS, INFINITY = "embedder", "infinity"
#: The options with which the reference system runs infinity.
INFINITY_BATCH = 128
START_SECS = 180


@contextmanager
def ours(model_dir: Path, **settings: object) -> Iterator[Target]:
    """Run the embedding service with ``settings`` (see its README)."""
    environment = os.environ | {f"EMBEDDER_{name.upper()}": str(value) for name, value in settings.items()}
    port = _free_port()
    command = [sys.executable, "-m", "embedder", "serve", "--model-dir", str(model_dir), "--port", str(port)]
    name = json.loads((model_dir / "manifest.json").read_text())["name"]
    with _running(command, environment, f"http://127.0.0.1:{port}/ready") as process:
        yield Target(OURS, "127.0.0.1", port, "/v1/embeddings", name, process.pid)


@contextmanager
def infinity(program: Path, folder: Path) -> Iterator[Target]:
    """Run infinity's torch engine over the published weights in ``folder``."""
    port = _free_port()
    command = [str(program.absolute()), "v2", "--model-id", str(folder.absolute()), "--engine", "torch"]
    command += ["--device", "cpu", "--batch-size", str(INFINITY_BATCH), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"HF_HUB_OFFLINE": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "INFINITY_LOG_LEVEL": "error"}
    with _running(command, os.environ | quiet, f"http://127.0.0.1:{port}/health") as process:
        yield Target(INFINITY, "127.0.0.1", port, "/embeddings", folder.name, process.pid)


def published_folder(name: str, below: Path) -> Path:
    """Return the folder of the published weights, for servers that convert nothing; downloaded once."""
    folder = below / f"{name}-published"
    if not (folder / "files").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        fetch(KNOWN[name], folder)
    return folder / "files"


@contextmanager
def _running(command: list[str], environment: dict[str, str], ready: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(process, ready)
        yield process
    finally:
        _stop(process)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_SECS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"{url} did not answer within {START_SECS} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its descendants."""
    process.terminate()
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port
