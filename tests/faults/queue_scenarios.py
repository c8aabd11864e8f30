"""Scenarios in which the queue's process is killed during a call, and what must hold afterwards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.faults.queue_process import QueueProcess

__all__ = ["SCENARIOS", "VISIBILITY_S", "Queue", "Scenario"]

VISIBILITY_S = 60
_LONG_S = 600


@dataclass(frozen=True, slots=True)
class Got:
    """A delivered message."""

    body: str
    handle: str
    count: int


class Queue:
    """A FIFO queue with dead letters, seen by a client. The group of a message is its body's first letter."""

    def __init__(self, server: QueueProcess, name: str, max_receives: int = 5) -> None:
        self._server, self._sqs, self._name = server, server.client, name
        self._dead = self._create(f"{name}-dead.fifo")
        arn = f"arn:aws:sqs:us-east-1:123456789012:{name}-dead.fifo"
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": max_receives}
        self.url = self._create(f"{name}.fifo", RedrivePolicy=json.dumps(policy))

    def send(self, *bodies: str) -> None:
        """Send each with one call; the body is also the deduplication id."""
        for body in bodies:
            self._sqs.send_message(QueueUrl=self.url, **_message(body))

    def send_batch(self, *bodies: str) -> None:
        answer = self._sqs.send_message_batch(
            QueueUrl=self.url, Entries=[{"Id": one, **_message(one)} for one in bodies]
        )
        assert len(answer["Successful"]) == len(bodies), answer

    def receive(self) -> list[Got]:
        return self._receive(self.url)

    def dead(self) -> list[Got]:
        return self._receive(self._dead)

    def delete(self, *messages: Got) -> None:
        entries = [{"Id": one.body, "ReceiptHandle": one.handle} for one in messages]
        answer = self._sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
        assert len(answer["Successful"]) == len(messages), answer

    def hide(self, message: Got, seconds: int) -> None:
        self._sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=message.handle, VisibilityTimeout=seconds)

    def purge(self) -> None:
        self._sqs.purge_queue(QueueUrl=self.url)

    def later(self, seconds: float = VISIBILITY_S + 1) -> None:
        self._server.later(seconds)

    def depths(self) -> tuple[int, int]:
        """Return how many messages are visible and how many are in flight."""
        return self._depths(self.url)

    def drain(self) -> dict[str, list[str]]:
        """Receive and delete messages until none is left; return the bodies by group, in the order of delivery."""
        found: dict[str, list[str]] = {}
        while messages := self.receive():
            for one in messages:
                found.setdefault(one.body[0], []).append(one.body)
            self.delete(*messages)
        self.later(_LONG_S)
        assert self.receive() == []
        assert self.depths() == (0, 0), "something is stuck"
        return found

    def _depths(self, url: str) -> tuple[int, int]:
        told = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert told["ApproximateNumberOfMessagesDelayed"] == "0"
        return int(told["ApproximateNumberOfMessages"]), int(told["ApproximateNumberOfMessagesNotVisible"])

    def _receive(self, url: str) -> list[Got]:
        answer = self._sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=VISIBILITY_S, AttributeNames=["All"]
        )
        counts = "ApproximateReceiveCount"
        return [Got(m["Body"], m["ReceiptHandle"], int(m["Attributes"][counts])) for m in answer.get("Messages", [])]

    def _create(self, name: str, **attributes: str) -> str:
        attributes |= {"FifoQueue": "true", "VisibilityTimeout": str(VISIBILITY_S)}
        return str(self._sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def _message(body: str) -> dict[str, str]:
    return {"MessageBody": body, "MessageGroupId": body[0], "MessageDeduplicationId": body}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`setup` prepares the queue, `action` is the call that may be killed, `check` asserts what must hold then.

    `action` and `check` get what `setup` returned. `check` may repeat the call, as a client does that got no answer.
    """

    setup: Callable[[Queue], Any]
    action: Callable[[Queue, Any], Any]
    check: Callable[[Queue, Any], None]
    max_receives: int = 5


def _two_groups(queue: Queue) -> None:
    queue.send("a1", "a2", "b1")


def _received(queue: Queue) -> list[Got]:
    queue.send("a1", "a2", "a3", "b1")
    messages = queue.receive()
    assert [one.body for one in messages] == ["a1", "a2", "a3", "b1"]
    return messages


def _after_send(queue: Queue, _: None) -> None:
    assert queue.depths() in {(3, 0), (4, 0)}
    queue.send("a3")  # No answer came, so the client sends it again.
    queue.later(299 - VISIBILITY_S)
    queue.send("a3")
    assert queue.depths() == (4, 0)
    assert queue.drain() == {"a": ["a1", "a2", "a3"], "b": ["b1"]}


def _after_batch(queue: Queue, _: None) -> None:
    assert queue.depths() in {(3, 0), (6, 0)}
    queue.send_batch("a3", "b2", "a4")
    assert queue.drain() == {"a": ["a1", "a2", "a3", "a4"], "b": ["b1", "b2"]}


def _received_once(queue: Queue) -> None:
    _two_groups(queue)
    assert [one.count for one in queue.receive()] == [1, 1, 1]
    queue.later()


def _after_receive(queue: Queue, _: None) -> None:
    delivered = queue.depths() == (0, 3)
    assert delivered or queue.depths() == (3, 0)
    if delivered:
        queue.send("a3", "c1")
        assert [one.body for one in queue.receive()] == ["c1"], "what waits behind a message in flight was delivered"
        queue.later()
    counts = {one.body: one.count for one in queue.receive()}
    assert {body: counts[body] for body in ("a1", "a2", "b1")} == dict.fromkeys(("a1", "a2", "b1"), 2 + delivered)
    queue.later()
    more = {"a": ["a3"], "c": ["c1"]} if delivered else {}
    found = queue.drain()
    assert found == {"a": ["a1", "a2", *more.get("a", [])], "b": ["b1"]} | ({"c": ["c1"]} if delivered else {})


def _after_longer(queue: Queue, messages: list[Got]) -> None:
    queue.later()
    longer = queue.depths() == (3, 1)
    assert longer or queue.depths() == (4, 0)
    if longer:
        assert [one.body for one in queue.receive()] == ["b1"]
        queue.delete(messages[0])  # Its handle is still valid.
        queue.later()
        assert queue.drain() == {"a": ["a2", "a3"], "b": ["b1"]}
    else:
        assert queue.drain() == {"a": ["a1", "a2", "a3"], "b": ["b1"]}


def _after_shown(queue: Queue, _: list[Got]) -> None:
    assert queue.depths() in {(1, 3), (0, 4)}
    assert queue.receive() == [], "the rest of its group is in flight"
    queue.later()
    assert queue.drain() == {"a": ["a1", "a2", "a3"], "b": ["b1"]}


def _after_delete(queue: Queue, messages: list[Got]) -> None:
    assert queue.depths() in {(0, 4), (0, 3), (0, 2)}
    queue.delete(messages[0], messages[3])
    queue.later()
    assert [one.body for one in queue.receive()] == ["a2", "a3"]
    queue.later(_LONG_S)
    assert queue.drain() == {"a": ["a2", "a3"]}


def _worn_out(queue: Queue) -> None:
    queue.send("a1", "b1")
    for count in (1, 2):
        assert [one.count for one in queue.receive()] == [count, count]
        queue.later()
    queue.send("a2", "c1")


def _after_dead(queue: Queue, _: None) -> None:
    queue.later()
    # Only a receive moves messages: if the killed one did not, this one does.
    assert [(one.body, one.count) for one in queue.receive()] in [
        [("a2", 1), ("c1", 1)],
        [("a2", 2), ("c1", 2)],
    ]
    assert [(one.body, one.count) for one in queue.dead()] == [("a1", 1), ("b1", 1)]
    queue.later()
    assert Counter(one.body for one in queue.dead()) == {"a1": 1, "b1": 1}


def _after_purge(queue: Queue, _: None) -> None:
    assert queue.depths() in {(3, 0), (0, 0)}
    queue.purge()
    assert queue.drain() == {}
    queue.later()
    queue.send("a9")
    assert queue.drain() == {"a": ["a9"]}


SCENARIOS = {
    "send": Scenario(_two_groups, lambda queue, _: queue.send("a3"), _after_send),
    "batch send": Scenario(_two_groups, lambda queue, _: queue.send_batch("a3", "b2", "a4"), _after_batch),
    "receive": Scenario(_received_once, lambda queue, _: queue.receive(), _after_receive),
    "hide for longer": Scenario(_received, lambda queue, got: queue.hide(got[0], _LONG_S), _after_longer),
    "show at once": Scenario(_received, lambda queue, got: queue.hide(got[0], 0), _after_shown),
    "delete": Scenario(_received, lambda queue, got: queue.delete(got[0], got[3]), _after_delete),
    "move to the dead letters": Scenario(_worn_out, lambda queue, _: queue.receive(), _after_dead, max_receives=2),
    "purge": Scenario(_two_groups, lambda queue, _: queue.purge(), _after_purge),
}
