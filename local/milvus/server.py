"""LiteServer: runs the binary that milvus-lite brings, alone on its data, and ends it with its owner.

The data is an index that can be made again, so a file that stops the binary is set aside rather than mourned.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from local.damaged_files import UnusableFileError, fault_of, files_of, set_aside
from local.milvus.binary import LiteServerError, binary_path, launch
from local.private_files import close_files, private_folder

__all__ = ["MAX_SOCKET_PATH_BYTES", "LiteServer", "LiteServerError"]

#: What a unix socket's address holds on Linux, without the closing zero.
MAX_SOCKET_PATH_BYTES = 107
#: By what Milvus Lite 2.5.1 knows its own file.
_TABLES = {"collection_meta": {"collection_name", "meta_type", "blob_field", "string_field"}}

_STOP_SECONDS = 5.0
_PREDECESSOR_SECONDS = 10.0
_POLL_SECONDS = 0.05
_TRIAL_SECONDS = 10.0
#: Where packets are swallowed, a connection attempt would otherwise take two minutes.
_PROBE_SECONDS = 1.0


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
        #: What was set aside at the start, in one line; empty when nothing was.
        self.note = ""

    @property
    def uri(self) -> str:
        """What a Milvus client connects to."""
        return f"http://{self._address}" if self._address else f"unix:{self.socket_path}"

    @property
    def pid(self) -> int | None:
        """The process id of the binary, None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Take the data, set a damaged file aside, start the binary; raises LiteServerError when it cannot run."""
        if self._process is not None:
            raise LiteServerError(f"this server runs already on {self.data_dir}")
        if len(os.fsencode(self.socket_path)) > MAX_SOCKET_PATH_BYTES:
            raise LiteServerError(
                f"the socket path has more than {MAX_SOCKET_PATH_BYTES} bytes, choose a shorter one: {self.socket_path}"
            )
        binary_path()
        try:
            private_folder(self.data_dir, ours=("owner.lock", "milvus.db"))
            self.socket_path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as locks:
                locks.enter_context(self._own_the_data())
                locks.enter_context(self._tie_the_binary())
                self._look_at_the_file()
                self._spawn(self._database)
                self._locks = locks.pop_all()
        except OSError as exc:
            where = exc.filename or self.data_dir
            raise LiteServerError(f"Milvus Lite cannot use {where}: {exc.strerror}; move it away") from exc

    def ready(self, timeout_s: float = 20.0) -> None:
        """Wait until it accepts connections; raises LiteServerError when it ends or stays silent."""
        deadline = time.monotonic() + timeout_s
        while not self._accepts():
            if self._process is None or self._process.poll() is not None:
                code = self._process.poll() if self._process else None
                if self.note or not self._runs_without_the_file():
                    raise LiteServerError(f"Milvus Lite ended at once (code {code}); see {self.log_path}")
                self._set_aside(f"Milvus Lite ends with code {code} on it")
                self._spawn(self._database)
                deadline = time.monotonic() + timeout_s
            if time.monotonic() > deadline:
                raise LiteServerError(f"Milvus Lite does not answer after {timeout_s:g} s; see {self.log_path}")
            time.sleep(_POLL_SECONDS)

    def check(self) -> bool:
        """True while the binary runs; when it died, it is started again and False comes back."""
        if self._process is None:
            raise LiteServerError("this server was never started")
        if self._process.poll() is None:
            return True
        self._spawn(self._database)
        return False

    def stop(self) -> None:
        """End the binary and give the data free; does nothing when it does not run."""
        self._end()
        self._locks.close()

    @property
    def log_path(self) -> Path:
        """What the binary itself writes."""
        return self.data_dir / "milvus.log"

    @property
    def _database(self) -> Path:
        return self.data_dir / "milvus.db"

    def _look_at_the_file(self) -> None:
        """Before the binary starts: on some damage it would start, answer with what is left and lose what is new."""
        close_files(files_of(self._database))
        try:
            fault = fault_of(self._database, tables=_TABLES)
        except UnusableFileError as exc:
            raise LiteServerError(str(exc)) from exc
        if fault is not None:
            self._set_aside(fault)

    def _set_aside(self, fault: str) -> None:
        try:
            folder = set_aside(self._database)
        except OSError as exc:
            raise LiteServerError(f"{self._database} is damaged ({fault}) and cannot be moved: {exc.strerror}") from exc
        self.note = (
            f"the index file milvus.db was damaged ({fault}); it lies in {folder} now, and the index is made anew"
        )

    def _runs_without_the_file(self) -> bool:
        """Whether the binary starts at the same place on an empty file: then its own file is what stops it."""
        with tempfile.TemporaryDirectory(prefix=".trial-", dir=self.data_dir) as folder:
            self._spawn(Path(folder) / "milvus.db")
            assert self._process is not None
            deadline = time.monotonic() + _TRIAL_SECONDS
            while self._process.poll() is None and not self._accepts() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            runs = self._process.poll() is None and self._accepts()
            self._end()
            return runs

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.socket_path.unlink(missing_ok=True)

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

    def _spawn(self, database: Path) -> None:
        self.socket_path.unlink(missing_ok=True)
        where = self._address or self.uri
        self._process = launch(database, where, self._log_level, lock=self._lock_path, log=self.log_path)

    def _accepts(self) -> bool:
        if self._address:
            host, _, port = self._address.rpartition(":")
            with socket.socket() as probe:
                probe.settimeout(_PROBE_SECONDS)
                return probe.connect_ex(("127.0.0.1" if host == "0.0.0.0" else host, int(port))) == 0  # noqa: S104
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(self.socket_path))
            except OSError:
                return False
        return True
