"""LiteServer: runs the binary that milvus-lite brings, alone on its data, and ends it with its owner."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

__all__ = ["MAX_SOCKET_PATH_BYTES", "LiteServer", "LiteServerError", "binary_path"]

#: What a unix socket's address holds on Linux, without the closing zero.
MAX_SOCKET_PATH_BYTES = 107
#: The log of the binary starts anew when it has grown past this.
MAX_LOG_BYTES = 5_000_000

#: Becomes the binary after asking the kernel to end it with its owner (PR_SET_PDEATHSIG, SIGKILL). A process of its
#: own, as code between fork and exec breaks where gRPC's threads run.
_LAUNCH = """
import ctypes, os, sys
owner, libraries, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(owner):
    sys.exit("its owner is gone")
known = os.environ.get("LD_LIBRARY_PATH")
path = libraries + ":" + known if known else libraries
os.execve(command[0], command, {**os.environ, "LD_LIBRARY_PATH": path, "DYLD_LIBRARY_PATH": path})
"""
_STOP_SECONDS = 5.0
_PREDECESSOR_SECONDS = 10.0
_POLL_SECONDS = 0.05


class LiteServerError(Exception):
    """The server cannot run; the message says what to do."""


def binary_path() -> Path:
    """Where milvus-lite's binary is; raises LiteServerError when it is not installed.

    The package itself is never imported: its `__init__` needs setuptools' pkg_resources.
    """
    spec = importlib.util.find_spec("milvus_lite")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        binary = Path(place) / "lib" / "milvus"
        if binary.exists():
            return binary
    raise LiteServerError("milvus-lite 2.5.1 is not installed here; install it, or set the URI of a Milvus")


class LiteServer:
    """One Milvus Lite on `data_dir`, answering on the unix socket `socket_path`, or on `address` (HOST:PORT) instead.

    Milvus Lite knows no login: an address must be one that only friends reach.

    Start, check and stop it from one thread that lives as long as the server: the kernel ends the binary when the
    thread that started it ends. A second server on the same data is refused.
    """

    def __init__(
        self, data_dir: Path | str, socket_path: Path | str, *, address: str = "", log_level: str = "ERROR"
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.socket_path = Path(socket_path).absolute()
        self._address = address
        self._log_level = log_level
        self._process: subprocess.Popen[bytes] | None = None
        self._locks = ExitStack()

    @property
    def uri(self) -> str:
        """What a Milvus client connects to."""
        return f"http://{self._address}" if self._address else f"unix:{self.socket_path}"

    @property
    def pid(self) -> int | None:
        """The process id of the binary, None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Take the data and start the binary; raises LiteServerError when that is not possible."""
        if self._process is not None:
            raise LiteServerError(f"this server runs already on {self.data_dir}")
        if len(os.fsencode(self.socket_path)) > MAX_SOCKET_PATH_BYTES:
            raise LiteServerError(
                f"the socket path has more than {MAX_SOCKET_PATH_BYTES} bytes, choose a shorter one: {self.socket_path}"
            )
        binary_path()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.socket_path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as locks:
            locks.enter_context(self._own_the_data())
            locks.enter_context(self._tie_the_binary())
            self._spawn()
            self._locks = locks.pop_all()

    def ready(self, timeout_s: float = 20.0) -> None:
        """Wait until it accepts connections; raises LiteServerError when it ends or stays silent."""
        deadline = time.monotonic() + timeout_s
        while not self._accepts():
            if self._process is None or self._process.poll() is not None:
                code = self._process.poll() if self._process else None
                raise LiteServerError(f"Milvus Lite ended at once (code {code}); see {self.log_path}")
            if time.monotonic() > deadline:
                raise LiteServerError(f"Milvus Lite does not answer after {timeout_s:g} s; see {self.log_path}")
            time.sleep(_POLL_SECONDS)

    def check(self) -> bool:
        """True while the binary runs; when it died, it is started again and False comes back."""
        if self._process is None:
            raise LiteServerError("this server was never started")
        if self._process.poll() is None:
            return True
        self._spawn()
        return False

    def stop(self) -> None:
        """End the binary and give the data free; does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process is not None:
            self.socket_path.unlink(missing_ok=True)
        self._locks.close()

    @property
    def log_path(self) -> Path:
        """What the binary itself writes."""
        return self.data_dir / "milvus.log"

    def _own_the_data(self) -> IO[bytes]:
        # flock, unlike lockf, also refuses a second server within one process.
        owner = (self.data_dir / "owner.lock").open("ab")
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            owner.close()
            raise LiteServerError(f"another Milvus Lite runs on {self.data_dir}; stop it first") from exc
        return owner

    def _tie_the_binary(self) -> IO[bytes]:
        # The binary ends itself two seconds after this lock is gone: the second line behind PR_SET_PDEATHSIG.
        # A killed owner's binary still holds it until its last thread has ended, which may be after its death shows.
        tie = self._lock_path.open("ab")
        deadline = time.monotonic() + _PREDECESSOR_SECONDS
        while True:
            try:
                fcntl.lockf(tie, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                if time.monotonic() > deadline:
                    tie.close()
                    raise LiteServerError(f"another program holds {self._lock_path}; stop it first") from exc
                time.sleep(_POLL_SECONDS)
            else:
                return tie

    @property
    def _lock_path(self) -> Path:
        return self.data_dir / "milvus.lock"

    def _spawn(self) -> None:
        binary = binary_path()
        self.socket_path.unlink(missing_ok=True)
        where = self._address or self.uri
        command = [str(binary), str(self.data_dir / "milvus.db"), where, self._log_level, str(self._lock_path)]
        too_long = self.log_path.exists() and self.log_path.stat().st_size > MAX_LOG_BYTES
        with self.log_path.open("wb" if too_long else "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), str(binary.parent), *command],
                cwd=self.data_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _accepts(self) -> bool:
        if self._address:
            host, _, port = self._address.rpartition(":")
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1" if host == "0.0.0.0" else host, int(port))) == 0  # noqa: S104
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.socket_path))
            except OSError:
                return False
        return True
