"""Queues and messages in SQLite; for one thread only, which the service provides."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.emulator.sqs.errors import InvalidReceiptHandleError, QueueDoesNotExistError
from local.emulator.sqs.messages import DEDUPLICATION_SECONDS, Outgoing, Queue, Received, Sent
from local.emulator.sqs.queue_file import open_file

_STANDARD = "SELECT * FROM messages WHERE queue = ? AND visible_at <= ? ORDER BY visible_at, sequence LIMIT ?"
# A group with a message in flight or delayed delivers nothing more: order within the group.
_FIFO = """
SELECT * FROM messages WHERE queue = ?1 AND visible_at <= ?2 AND message_group NOT IN (
    SELECT message_group FROM messages WHERE queue = ?1 AND visible_at > ?2
) ORDER BY sequence LIMIT ?3
"""


class Store:
    """Messages on disk; every method is one transaction. `clock` gives seconds since the epoch.

    A damaged file is set aside and `note` says so, so that senders can go on.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._db, self.note = open_file(path)
        self._clock = clock

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put_queue(self, name: str, attributes: dict[str, str]) -> None:
        """Make a queue, or give an existing one these attributes."""
        with self._db:
            self._db.execute(
                "INSERT INTO queues VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET attributes = excluded.attributes",
                (name, json.dumps(attributes), self._clock()),
            )

    def queue(self, name: str) -> Queue:
        """Return a queue.

        Raises:
            QueueDoesNotExistError: there is none of that name.
        """
        row = self._db.execute("SELECT * FROM queues WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise QueueDoesNotExistError
        return Queue(row["name"], json.loads(row["attributes"]), row["created_at"])

    def queue_names(self, prefix: str = "") -> list[str]:
        """Return the names of all queues with this prefix."""
        rows = self._db.execute("SELECT name FROM queues ORDER BY name")
        return [row["name"] for row in rows if row["name"].startswith(prefix)]

    def delete_queue(self, name: str) -> None:
        """Delete a queue with all its messages."""
        self.queue(name)
        with self._db:
            self._db.execute("BEGIN")
            for statement in ("messages WHERE queue", "deduplication WHERE queue", "queues WHERE name"):
                self._db.execute(f"DELETE FROM {statement} = ?", (name,))  # noqa: S608 - constants

    def purge(self, name: str) -> None:
        """Delete all messages of a queue."""
        self.queue(name)
        with self._db:
            self._db.execute("DELETE FROM messages WHERE queue = ?", (name,))

    def send(self, name: str, messages: list[Outgoing]) -> list[Sent]:
        """Store messages, which must be checked; repeated ones on a FIFO queue give the first one's ids."""
        queue, now = self.queue(name), self._clock()
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM deduplication WHERE expires_at <= ?", (now,))
            return [self._send_one(queue, message, now) for message in messages]

    def _send_one(self, queue: Queue, message: Outgoing, now: float) -> Sent:
        if message.deduplication:
            key = (queue.name, message.deduplication)
            row = self._db.execute("SELECT * FROM deduplication WHERE queue = ? AND id = ?", key).fetchone()
            if row is not None:
                return Sent(row["message_id"], sequence_text(row["sequence"]))
        message_id = str(uuid.uuid4())
        delay = queue.number("DelaySeconds", 0) if message.delay is None else message.delay
        cursor = self._db.execute(
            "INSERT INTO messages (queue, message_id, body, attributes, message_group, deduplication, sent_at,"
            " visible_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (queue.name, message_id, message.body, json.dumps(message.attributes), message.group,
             message.deduplication, now, now + delay),
        )  # fmt: skip
        if message.deduplication:
            self._db.execute(
                "INSERT INTO deduplication VALUES (?, ?, ?, ?, ?)",
                (queue.name, message.deduplication, message_id, cursor.lastrowid, now + DEDUPLICATION_SECONDS),
            )
        return Sent(message_id, sequence_text(cursor.lastrowid) if queue.fifo else None)

    def receive(self, name: str, limit: int, visibility: float | None = None) -> list[Received]:
        """Return visible messages and hide them for `visibility` seconds (the queue's own by default)."""
        queue, now = self.queue(name), self._clock()
        hidden = queue.number("VisibilityTimeout", 30) if visibility is None else visibility
        query = _FIFO if queue.fifo else _STANDARD
        found: list[Received] = []
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._expire(queue, now)
            while len(found) < limit:
                rows = self._db.execute(query, (name, now, limit - len(found))).fetchall()
                # A row that was moved to the dead letters makes room for the next one.
                alive = [row for row in rows if not self._bury(queue, row, now)]
                found += [self._deliver(queue, row, now, hidden) for row in alive]
                if len(alive) == len(rows) or (queue.fifo and found):
                    break
        return found

    def _expire(self, queue: Queue, now: float) -> None:
        oldest = now - queue.number("MessageRetentionPeriod", 345_600)
        self._db.execute("DELETE FROM messages WHERE queue = ? AND sent_at < ?", (queue.name, oldest))

    def _bury(self, queue: Queue, row: sqlite3.Row, now: float) -> bool:
        policy = queue.dead_letters
        if policy is None or row["receive_count"] < policy[1]:
            return False
        self._db.execute(
            "UPDATE messages SET queue = ?, visible_at = ?, receive_count = 0, receipt = NULL,"
            " first_received_at = NULL WHERE sequence = ?",
            (policy[0], now, row["sequence"]),
        )
        return True

    def _deliver(self, queue: Queue, row: sqlite3.Row, now: float, hidden: float) -> Received:
        receipt = f"{row['sequence']}-{uuid.uuid4().hex}"
        first = row["first_received_at"] or now
        self._db.execute(
            "UPDATE messages SET visible_at = ?, receive_count = receive_count + 1, first_received_at = ?,"
            " receipt = ? WHERE sequence = ?",
            (now + hidden, first, receipt, row["sequence"]),
        )
        return Received(
            message_id=row["message_id"], handle=receipt, body=row["body"],
            attributes=json.loads(row["attributes"]), sent_at=row["sent_at"], first_received_at=first,
            receive_count=row["receive_count"] + 1, group=row["message_group"],
            deduplication=row["deduplication"],
            sequence=sequence_text(row["sequence"]) if queue.fifo else None,
        )  # fmt: skip

    def delete(self, name: str, handles: list[str]) -> None:
        """Delete delivered messages, except those that were delivered again since or no longer exist."""
        self.queue(name)
        keys = [(number_of(handle), handle, name) for handle in handles]
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("DELETE FROM messages WHERE sequence = ? AND receipt = ? AND queue = ?", keys)

    def change_visibility(self, name: str, handle: str, seconds: float) -> bool:
        """Hide a delivered message for `seconds` from now; return whether it was in flight."""
        self.queue(name)
        now = self._clock()
        with self._db:
            cursor = self._db.execute(
                "UPDATE messages SET visible_at = ? WHERE sequence = ? AND receipt = ? AND queue = ?"
                " AND visible_at > ?",
                (now + seconds, number_of(handle), handle, name, now),
            )
        return cursor.rowcount > 0

    def release(self, name: str) -> int:
        """Make all messages in flight visible again, because their receivers have ended; return how many."""
        with self._db:
            cursor = self._db.execute(
                "UPDATE messages SET visible_at = ?, receipt = NULL WHERE queue = ? AND receipt IS NOT NULL"
                " AND visible_at > ?",
                (self._clock(), name, self._clock()),
            )
        return cursor.rowcount

    def next_visible(self, name: str) -> float | None:
        """Return in how many seconds the next hidden message shows, or None."""
        now = self._clock()
        row = self._db.execute(
            "SELECT MIN(visible_at) AS at FROM messages WHERE queue = ? AND visible_at > ?", (name, now)
        ).fetchone()
        return None if row["at"] is None else float(row["at"]) - now

    def depths(self, name: str) -> dict[str, int]:
        """Return how many messages are visible, in flight and delayed."""
        row: Any = self._db.execute(
            "SELECT COUNT(*) FILTER (WHERE visible_at <= ?2) AS visible,"
            " COUNT(*) FILTER (WHERE visible_at > ?2 AND receipt IS NOT NULL) AS in_flight,"
            " COUNT(*) FILTER (WHERE visible_at > ?2 AND receipt IS NULL) AS delayed"
            " FROM messages WHERE queue = ?1",
            (name, self._clock()),
        ).fetchone()
        return {key: row[key] for key in ("visible", "in_flight", "delayed")}


def sequence_text(number: int | None) -> str:
    """Return a sequence number as SQS writes it: twenty digits."""
    return f"{number or 0:020d}"


def number_of(handle: str) -> int:
    """Return the row that a receipt handle names.

    Raises:
        InvalidReceiptHandleError: no handle of this store.
    """
    number, _, rest = handle.partition("-")
    if not number.isdecimal() or len(rest) != 32:
        raise InvalidReceiptHandleError(f'The input receipt handle "{handle}" is not a valid receipt handle.')
    return int(number)
