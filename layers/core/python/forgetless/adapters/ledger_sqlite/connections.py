"""SQLite connections for many threads and processes: one for each thread, with transactions and retries."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from forgetless.adapters.clock import SystemClock
from forgetless.adapters.ledger_codec import digest_of_name
from forgetless.adapters.ledger_sqlite.schema import migrate
from forgetless.adapters.ledger_sqlite.usage_lock import Presence
from forgetless.adapters.ledger_sqlite.write_health import WriteHealth
from forgetless.domain.backoff import Backoff, Tries
from forgetless.domain.errors import LedgerDamagedError, LedgerError
from forgetless.domain.limits import SCRUB_PATIENCE_S

__all__ = ["Connections", "Store"]

T = TypeVar("T")

#: After a call has waited for a lock in vain, the others of the next seconds wait for this part of the time: whoever
#: has the lock will hardly let go, and a request makes several calls, which must fail before its own time is over.
_BRIEF_S, _BRIEFLY = 20.0, 0.1
#: The error codes for another connection's lock. PROTOCOL is a race while the shared WAL index is opened.
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
#: The waits between attempts while another process holds a lock.
_BACKOFF = Backoff(first_s=0.001, longest_s=0.025)

#: Sweep scrubs the log every minute. Where no sweep runs, a process that goes on writing does so itself this many
#: seconds after a deletion, and again after the second number while readers are in the way.
_SCRUB_AFTER_S = 45.0
_SCRUB_AGAIN_S = 1.0


class _Connection:
    """The connection of a thread. Its lock is held while it is used, so that `close` waits for the end of the call."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self.lock = threading.Lock()
        self.closed = False
        self.durable = False
        # It closes what a thread that has ended leaves behind. It holds `raw`, so that the garbage collector does not
        # finalize that one first, of which Python 3.13 warns.
        self._closing = weakref.finalize(self, raw.close)
        self._closing.atexit = False

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self._closing()


class Connections:
    """The connections to one file. Nothing is opened before the first use."""

    def __init__(self, path: Path | str, *, busy_timeout_s: float) -> None:
        self.path = self._path = Path(path)
        self.write_health = WriteHealth(self._path)
        self._busy_timeout_s = busy_timeout_s
        #: Until then (monotonic seconds), calls wait for a lock only briefly.
        self._brief_until = 0.0
        self._local = threading.local()
        self._open: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._closed = False
        self._presence = Presence(self._path)
        #: When a write scrubs the log (monotonic seconds); None: only after the next deletion. The first write does it
        #: at once, because a process that was killed may have left erased text in the log.
        self._scrub_at: float | None = 0.0
        #: Threads of this process wait for this lock instead of polling the file's lock.
        self._writing = threading.Lock()
        self._opening = threading.Lock()
        self._digest_key: bytes | None = None

    def digest_key(self) -> bytes:
        """The key of the ledger's digests, which never changes."""
        if self._digest_key is None:
            query = "SELECT value FROM secrets WHERE name = 'digests'"
            self._digest_key = bytes(self.read(lambda db: db.execute(query).fetchone()[0]))
        return self._digest_key

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which only reads. It must use `BEGIN` if several statements need the same snapshot."""
        return self._retry(lambda _: self._use(work))

    def write(self, work: Callable[[sqlite3.Connection], T], *, durable: bool) -> T:
        """Run `work` as one transaction. With `durable` it also survives a power failure, not only a killed process.

        `work` may run more than once and must change nothing but the file.
        """
        try:
            result = self._retry(lambda left: self._write_once(work, durable, left))
        except LedgerError:
            self.write_health.note_failure()
            raise
        self._brief_until = 0.0
        if self._scrub_at is not None and time.monotonic() >= self._scrub_at:
            with contextlib.suppress(LedgerError):  # the write itself has succeeded
                self.scrub(patience_s=0.0)
        return result

    def rebuild(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Run `work`, a statement that is a transaction of its own and writes the whole file."""

        def attempt(left: float) -> None:
            if not self._writing.acquire(timeout=max(0.0, left)):
                raise self._locked()
            try:
                self._use(work)
            finally:
                self._writing.release()

        self._retry(attempt)

    def note_erased(self) -> None:
        """Remember that the log still has text that was erased in the file, so that it is scrubbed in time."""
        self._scrub_by(time.monotonic() + _SCRUB_AFTER_S)

    def scrub(self, *, patience_s: float = SCRUB_PATIENCE_S) -> bool:
        """Write the log to the file and empty it, so that neither has erased text; False if others were in the way.

        Only one connection can do this at a time, and only while no other one reads from the log.
        """
        # Taken back first: what is erased from now on may come too late for this scrub.
        self._scrub_at = None
        tries = Tries(_BACKOFF, patience_s=patience_s, clock=SystemClock())
        done = False
        try:
            while not (done := self._truncate_log(max(0.0, tries.left_s))) and tries.again():
                pass
        except (OSError, sqlite3.Error) as error:
            raise _failure_of(self._path, error) from error
        finally:
            if not done:
                self._scrub_by(time.monotonic() + _SCRUB_AGAIN_S)
        return done

    def _truncate_log(self, left: float) -> bool:
        if not self._writing.acquire(timeout=left):
            return False
        try:
            busy, *_ = self._use(lambda raw: raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        except sqlite3.Error as error:
            if not _is_lock(error):
                raise
            return False
        finally:
            self._writing.release()
        return not busy

    def _scrub_by(self, moment: float) -> None:
        self._scrub_at = moment if self._scrub_at is None else min(moment, self._scrub_at)

    def close(self) -> None:
        """Close all connections; waits for running calls."""
        self._closed = True
        for connection in list(self._open):
            connection.close()
        self._presence.leave()

    def _retry(self, attempt: Callable[[float], T]) -> T:
        tries = Tries(_BACKOFF, patience_s=self._patience_s, clock=SystemClock())
        while True:
            try:
                return attempt(tries.left_s)
            except OSError as error:
                raise _failure_of(self._path, error) from error
            except sqlite3.Error as error:
                if not _is_lock(error):
                    raise _failure_of(self._path, error) from error
                if not tries.again():
                    raise self._locked() from error

    @property
    def _patience_s(self) -> float:
        """How long a call waits for a lock."""
        return self._busy_timeout_s * (_BRIEFLY if time.monotonic() < self._brief_until else 1)

    def _locked(self) -> LedgerError:
        """The error of a call that has waited in vain."""
        waited_s, self._brief_until = self._patience_s, time.monotonic() + _BRIEF_S
        return LedgerError(f"the ledger {self._path.name} was locked for {waited_s:g} s; try again")

    def _write_once(self, work: Callable[[sqlite3.Connection], T], durable: bool, left: float) -> T:
        if not self._writing.acquire(timeout=max(0.0, left)):
            raise self._locked()
        try:
            return self._use(lambda raw: _transaction(raw, work), durable=durable)
        finally:
            self._writing.release()

    def _use(self, work: Callable[[sqlite3.Connection], T], *, durable: bool | None = None) -> T:
        while True:
            connection = self._connection()
            with connection.lock:
                if connection.closed:
                    continue
                if durable is not None and durable != connection.durable:
                    connection.raw.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                    connection.durable = durable
                return work(connection.raw)

    def _connection(self) -> _Connection:
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            with self._opening:
                if self._closed:
                    raise LedgerError(f"the ledger {self._path.name} is closed")
                self._presence.enter()
                connection = _Connection(_open(self._path))
                self._open.add(connection)
            self._local.connection = connection
        return connection


class Store:
    """What the stores of this package share: their connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def digest_key(self) -> bytes:
        """See `forgetless.ports.request_ledger.ErasureStore`."""
        return self._connections.digest_key()

    def _named(self, name: str) -> bytes:
        """The digest under which something with this name is stored."""
        return digest_of_name(self._connections.digest_key(), name)


def _open(path: Path) -> sqlite3.Connection:
    """Open an SQLite connection. Nothing else in this process may open the file.

    Closing any descriptor of a file drops all POSIX locks that the process has on it. Another process would then
    believe that this one has ended, and delete the log with its commits (sqlite.org/howtocorrupt.html, 2.2).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite itself does not wait: with its fixed steps, processes that start together collide again and again.
    raw = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        _make_private(path)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = NORMAL")
        raw.execute("PRAGMA secure_delete = ON")
        raw.execute("PRAGMA temp_store = MEMORY")
        migrate(raw)
    except BaseException:
        raw.close()
        raise
    return raw


def _make_private(path: Path) -> None:
    """Make the file readable only by its owner. SQLite creates -wal and -shm later with the same mode."""
    mode = path.stat().st_mode
    if mode & 0o077:
        path.chmod(stat.S_IMODE(mode) & 0o700)


def _transaction(raw: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    raw.execute("BEGIN IMMEDIATE")
    try:
        result = work(raw)
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise
    return result


def _is_lock(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _LOCKED


def _failure_of(path: Path, error: OSError | sqlite3.Error) -> LedgerError:
    """The error to raise for an error that is not a lock. It tells the user what is wrong and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, OSError) or code == sqlite3.SQLITE_CANTOPEN:
        reason = "it is a folder" if path.is_dir() else getattr(error, "strerror", None) or str(error)
        return LedgerError(
            f"the ledger {path.name} cannot be opened ({reason}): FORGETLESS_LEDGER_PATH must name a file in a "
            "writable folder"
        )
    if code in _DAMAGED:
        return LedgerDamagedError(
            f"the ledger {path.name} is damaged ({error}): restore a backup with "
            "`make restore FILE=... ARGS=--replace` (`forgetless restore FILE --replace`), or give up all memories "
            "with `make reset-data`",
            reason=str(error),
        )
    return LedgerError(f"the ledger {path.name} failed: {error}")
