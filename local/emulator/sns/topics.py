"""The topics: who hears of a message, and handing it over."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import orjson

from local.emulator.patterns import matches
from local.emulator.sns.messages import Published, function_event, queue_message
from local.emulator.specs import Place, SubscriptionSpec
from local.emulator.sqs.errors import SqsError
from local.emulator.sqs.messages import Outgoing

__all__ = ["Deliverer", "Topics", "UnknownTopicError"]


class UnknownTopicError(Exception):
    """There is no such topic."""


class Deliverer(Protocol):
    """Reaches functions and queues."""

    def invoke(self, function: str, payload: bytes) -> None:
        """Invoke a function asynchronously."""

    async def send(self, queue: str, message: Outgoing) -> None:
        """Send to a queue; raises SqsError."""


class Topics:
    """The topics of a template and those that functions made; `log` takes lines about what went wrong."""

    def __init__(
        self,
        names: Iterable[str],
        subscriptions: Iterable[SubscriptionSpec],
        place: Place,
        deliverer: Deliverer,
        log: Callable[[str], None],
    ) -> None:
        self._place, self._deliverer, self._log = place, deliverer, log
        self._subscriptions: dict[str, list[tuple[str, SubscriptionSpec]]] = {name: [] for name in names}
        for subscription in subscriptions:
            arn = f"{self.arn(subscription.topic)}:{uuid.uuid4()}"
            self._subscriptions.setdefault(subscription.topic, []).append((arn, subscription))

    def arn(self, name: str) -> str:
        """Return the ARN of a topic."""
        return self._place.arn("sns", name)

    def arns(self) -> list[str]:
        """Return the ARNs of all topics."""
        return [self.arn(name) for name in self._subscriptions]

    def create(self, name: str) -> str:
        """Make a topic unless it exists; return its ARN."""
        self._subscriptions.setdefault(name, [])
        return self.arn(name)

    def subscribers(self, arn: str) -> list[tuple[str, SubscriptionSpec]]:
        """Return a topic's subscriptions with their ARNs; raises UnknownTopicError."""
        name = arn.rsplit(":", 1)[-1]
        if arn != self.arn(name) or name not in self._subscriptions:
            raise UnknownTopicError
        return self._subscriptions[name]

    async def publish(self, published: Published) -> None:
        """Hand a message to all whose filter allows it; raises UnknownTopicError."""
        for arn, subscription in self.subscribers(published.topic):
            if not _wanted(subscription, published):
                continue
            target = subscription.target
            if target.kind == "function":
                self._deliverer.invoke(target.name, function_event(published, arn))
                continue
            try:
                message = queue_message(published, raw=subscription.raw, fifo=target.name.endswith(".fifo"))
                await self._deliverer.send(target.name, message)
            except SqsError as error:
                self._log(f"TOPIC {subscription.topic}: {target.name} refused a message: {error.message}")


def _wanted(subscription: SubscriptionSpec, published: Published) -> bool:
    if not subscription.filter:
        return True
    subject: Any = published.plain_attributes()
    if subscription.filters_body:
        try:
            subject = orjson.loads(published.message)
        except orjson.JSONDecodeError:
            return False
    return matches(subscription.filter, subject)
