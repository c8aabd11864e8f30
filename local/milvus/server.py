"""LiteServer runs the binary of milvus-lite, is the only one on its data, and ends it with its owner.

The data is an index that can be rebuilt, so a file with which the binary does not start is set aside.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from local.damaged_files import UnusableFileError, fault_of, files_of, set_aside
from local.milvus.binary import LiteServerError, binary_path, launch
from local.milvus.compaction import CompactionError, compacted_at, is_due, note_new, rewrite
from local.private_files import close_files, private_folder

__all__ = ["MAX_SOCKET_PATH_BYTES", "LiteServer", "LiteServerError"]

#: The longest address of a unix socket on Linux, without the final zero.
MAX_SOCKET_PATH_BYTES = 107
#: The table and columns by which Milvus Lite 2.5.1 recognises its file.
_TABLES = {"collection_meta": {"collection_name", "meta_type", "blob_field", "string_field"}}

_STOP_SECONDS = 5.0
_PREDECESSOR_SECONDS = 10.0
_POLL_SECONDS = 0.05
_TRIAL_SECONDS = 10.0
#: Where packets are dropped silently, a connection attempt would otherwise take two minutes.
_PROBE_SECONDS = 1.0


class LiteServer:
    """One Milvus Lite on `data_dir`, answering on the unix socket `socket_path`, or on `address` (HOST:PORT) instead.

    Milvus Lite has no authentication: only trusted clients may be able to reach the address.

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
        #: One line that says what was set aside at the start; empty when nothing was.
        self.note = ""

    @property
    def uri(self) -> str:
        """Return the URI for a Milvus client."""
        return f"http://{self._address}" if self._address else f"unix:{self.socket_path}"

    @property
    def pid(self) -> int | None:
        """Return the process id of the binary, or None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, *, compact_every_s: float = 0.0) -> None:
        """Lock the data, set a damaged file aside, and start the binary; raises LiteServerError when it cannot run.

        If a compaction of the file is due, it is done before that, because then nobody has to wait for it.
        """
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
                if self.compaction_is_due(compact_every_s):
                    with suppress(CompactionError):  # it is tried again while the server runs, which reports it
                        rewrite(self._database)
                note_new(self._database)
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
        """Return True while the binary runs. If it has died, start it again and return False."""
        if self._process is None:
            raise LiteServerError("this server was never started")
        if self._process.poll() is None:
            return True
        self._spawn(self._database)
        return False

    def compact(self) -> None:
        """Stop the binary, rewrite its file and start it again. Raises CompactionError when the file was not rewritten.

        Whoever calls meanwhile gets no connection.
        """
        self._end()
        try:
            rewrite(self._database)
        finally:
            self._spawn(self._database)
            self.ready()

    def compaction_is_due(self, every_s: float) -> bool:
        """Whether the file has changed since its last compaction, and that is at least `every_s` ago (0: never)."""
        return is_due(self._database, every_s, now=time.time())

    def compacted_at(self) -> float | None:
        """When the last compaction began, in seconds since 1970; None if there was none."""
        return compacted_at(self._database)

    def stop(self) -> None:
        """End the binary and release the data; does nothing when it does not run."""
        self._end()
        self._locks.close()

    @property
    def log_path(self) -> Path:
        """Return the path of the binary's own log."""
        return self.data_dir / "milvus.log"

    @property
    def _database(self) -> Path:
        return self.data_dir / "milvus.db"

    def _look_at_the_file(self) -> None:
        """Check the file before the binary starts, which with some damage would start and lose new rows."""
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
        self.note = f"the index file milvus.db was damaged ({fault}); it lies in {folder} now, and the index is rebuilt"

    def _runs_without_the_file(self) -> bool:
        """Return whether the binary starts there on an empty file; if it does, its own file is the fault."""
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
        # The binary ends itself two seconds after this lock is released, in case PR_SET_PDEATHSIG did not end it.
        # The binary of a killed owner holds the lock until its last thread has ended, which may be a little later.
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
