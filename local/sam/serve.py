"""`python -m local.sam.serve PORT COMMAND...` runs `sam local`, says when it listens, and removes its containers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

#: The label that `sam local` gives its containers.
_LABEL = "sam.cli.container.type=lambda"
_START_S, _STOP_S = 600.0, 20.0


def main(arguments: Sequence[str]) -> int:
    """Run until a signal comes or the command ends; return its exit code, or 0 after a signal."""
    port, command = int(arguments[0]), arguments[1:]
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with leaving_no_container(f"{MARK}={port}"):
        process = subprocess.Popen(command, start_new_session=True)
        try:
            _announce(port, process, stopping)
            while not stopping.wait(0.2) and process.poll() is None:
                pass
        finally:
            _end(process)
    return 0 if stopping.is_set() else process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def leaving_no_container(mark: str) -> Iterator[None]:
    """Remove the new containers that `sam local` leaves behind and that have this variable (NAME=VALUE)."""
    before = _containers()
    try:
        yield
    finally:
        new = _containers() - before
        _remove({one for one in new if f'"{mark}"' in _docker("inspect", "--format", "{{json .Config.Env}}", one)})


def _announce(port: int, process: subprocess.Popen[bytes], stopping: threading.Event) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None and not stopping.is_set():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                print(json.dumps({"ready": True}), flush=True)
                return
        stopping.wait(0.2)


def _containers() -> set[str]:
    return set(_docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL}").split())


def _remove(containers: set[str]) -> None:
    if containers:
        _docker("rm", "--force", *sorted(containers))


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False).stdout


#: The variable by which the containers of this process are recognised.
MARK = "FORGETLESS_SAM_PORT"

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
