"""Triggers that are not HTTP or queues: rules and schedules, topics, buckets, and the URLs of functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from local.emulator.patterns import unknown_operators
from local.emulator.specs import (
    ApiSpec,
    BucketEventSpec,
    OutsideAuthSpec,
    RouteSpec,
    ScheduleSpec,
    SubscriptionSpec,
    Target,
    TemplateError,
)
from local.emulator.template import auth
from local.emulator.template.document import Document
from local.emulator.template.expressions import parse_expression
from local.emulator.template.intrinsics import Resolver
from local.emulator.template.unresolved import Unresolved, reasons_in

__all__ = ["FUNCTION_EVENTS", "READ_TYPES", "Triggers", "read_triggers"]

_FUNCTION = "AWS::Serverless::Function"
#: Kinds of events of functions that this module reads.
FUNCTION_EVENTS = ("SNS", "S3", "EventBridgeRule", "CloudWatchEvent")
#: Types of resources that this module reads.
READ_TYPES = (
    "AWS::Events::Rule", "AWS::Scheduler::Schedule", "AWS::SNS::Topic", "AWS::SNS::Subscription", "AWS::S3::Bucket",
)  # fmt: skip
#: The properties that are read of those with many others.
_NEEDED = {"AWS::S3::Bucket": {"NotificationConfiguration"}, "AWS::SNS::Topic": {"Subscription"}}
#: What a target of a rule may say of its event; the rest is not emulated.
_TARGET_KEYS = {"Arn", "Id", "Input", "RoleArn", "SqsParameters", "RetryPolicy", "DeadLetterConfig"}
_BUCKET_TARGETS = (
    ("LambdaConfigurations", "Function"), ("QueueConfigurations", "Queue"), ("TopicConfigurations", "Topic"),
)  # fmt: skip

#: Seconds: more than any function may take.
_NO_LIMIT = 1000.0

Resources = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Triggers:
    """What was found, and warnings of what is not emulated."""

    schedules: list[ScheduleSpec] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    subscriptions: list[SubscriptionSpec] = field(default_factory=list)
    bucket_events: list[BucketEventSpec] = field(default_factory=list)
    urls: list[ApiSpec] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_triggers(document: Document, resources: Resources, resolver: Resolver) -> Triggers:
    """Return the triggers of a template; one that cannot be read is warned of and stops nothing else."""
    reader = _Reader(document, resources, resolver)
    for name, resource in resources.items():
        kind = resource["Type"]
        if kind == _FUNCTION:
            reader.function(name, resource["Properties"])
        elif kind in READ_TYPES:
            reader.resource(name, kind, resource["Properties"])
    known = {subscription.topic for subscription in reader.found.subscriptions}
    reader.found.topics += sorted(known - set(reader.found.topics))
    return reader.found


class _Reader:
    """Reads the resources of one template."""

    def __init__(self, document: Document, resources: Resources, resolver: Resolver) -> None:
        self._document, self._resources, self._resolver = document, resources, resolver
        self.found = Triggers()
        self._readers: dict[str, Callable[[str, dict[str, Any]], None]] = {
            "AWS::Events::Rule": self._rule, "AWS::Scheduler::Schedule": self._scheduler,
            "AWS::SNS::Topic": self._topic, "AWS::SNS::Subscription": self._subscription,
            "AWS::S3::Bucket": self._bucket,
        }  # fmt: skip

    def resource(self, name: str, kind: str, properties: dict[str, Any]) -> None:
        """Read a resource that is a trigger; what else it says may be unknown here."""
        needed = {key: value for key, value in properties.items() if key in _NEEDED.get(kind, properties)}
        self._softly(name, lambda: self._readers[kind](name, self._resolver.resolve(needed)))

    def function(self, name: str, properties: dict[str, Any]) -> None:
        """Read the events and the URL of a function."""
        for key, event in (properties.get("Events") or {}).items():
            if isinstance(event, Unresolved):
                continue  # those are told with the events
            given = event.get("Properties") or {}
            if event.get("Type") in FUNCTION_EVENTS and not reasons_in(given):  # those are told with the events
                self._softly(name, partial(self._event, name, key, event["Type"], given))
        if properties.get("FunctionUrlConfig"):
            self._softly(name, lambda: self._url(name, properties["FunctionUrlConfig"]))

    def _softly(self, name: str, read: Callable[[], None]) -> None:
        try:
            with self._document.reading(name):
                read()
        except TemplateError as error:
            self.found.warnings.append(f"{error}; this trigger is left out")

    def _warn(self, name: str, text: str) -> None:
        self.found.warnings.append(str(self._document.error(name, text)))

    def _event(self, function: str, key: str, kind: str, properties: dict[str, Any]) -> None:
        target = Target("function", function)
        if kind == "S3":
            self.found.bucket_events.append(_bucket_event(_name_of(properties["Bucket"]), properties, "Events", target))
        elif kind == "SNS" and properties.get("SqsSubscription"):
            self._warn(function, f"event {key}: SqsSubscription is not emulated; this trigger is left out")
        elif kind == "SNS":
            self._subscribe(function, properties, _name_of(properties["Topic"]), target)
        else:
            self._warn(function, f"event {key}: no event bus is emulated; the events of its Pattern never come")

    def _url(self, name: str, config: dict[str, Any]) -> None:
        if str(config.get("InvokeMode", "BUFFERED")) != "BUFFERED":
            self._warn(name, "FunctionUrlConfig: InvokeMode RESPONSE_STREAM is not emulated; answers are sent whole")
        authorizer = OutsideAuthSpec("AWS_IAM", "iam") if config.get("AuthType") == "AWS_IAM" else None
        route = RouteSpec("ANY", "$default", name, authorizer, time_limit=_NO_LIMIT)
        # The properties of Cors are named as those of an HTTP API.
        cors = auth.cors_of({"CorsConfiguration": config.get("Cors")})
        self.found.urls.append(ApiSpec(f"{name}Url", routes=(route,), cors=cors, url=True))

    def _rule(self, name: str, properties: dict[str, Any]) -> None:
        if properties.get("EventPattern"):
            self._warn(name, "no event bus is emulated; the events of its EventPattern never come")
        expression = properties.get("ScheduleExpression")
        if not expression or str(properties.get("State", "ENABLED")).upper() == "DISABLED":
            return
        for target in properties.get("Targets") or []:
            self._schedule(name, str(properties.get("Name", name)), str(expression), target, "aws.events")

    def _scheduler(self, name: str, properties: dict[str, Any]) -> None:
        for key in ("ScheduleExpressionTimezone", "StartDate", "EndDate"):
            if key in properties:
                self._warn(name, f"{key} is not emulated: times are in UTC, and there is no first or last one")
        if str(properties.get("State", "ENABLED")).upper() != "DISABLED":
            full, expression = str(properties.get("Name", name)), str(properties["ScheduleExpression"])
            self._schedule(name, full, expression, properties.get("Target") or {}, "aws.scheduler")

    def _schedule(self, resource: str, name: str, expression: str, given: dict[str, Any], source: str) -> None:
        target = self._target(str(given.get("Arn", "")), (given.get("SqsParameters") or {}).get("MessageGroupId"))
        if target is None:
            self._warn(resource, f"its target {given.get('Arn')} is no function or queue of this template")
            return
        unknown = sorted(set(given) - _TARGET_KEYS)
        if unknown:
            self._warn(resource, f"{', '.join(unknown)} of its target is not emulated: it gets the whole event")
        parse_expression(expression)
        payload = given.get("Input")
        text = payload if payload is None or isinstance(payload, str) else json.dumps(payload)
        self.found.schedules.append(ScheduleSpec(target, name, expression, text, source))

    def _topic(self, name: str, properties: dict[str, Any]) -> None:
        topic = self._resolver.physical_name(name)
        self.found.topics.append(topic)
        for subscription in properties.get("Subscription") or []:
            self._subscribe_endpoint(name, topic, subscription)

    def _subscription(self, name: str, properties: dict[str, Any]) -> None:
        self._subscribe_endpoint(name, _name_of(properties["TopicArn"]), properties)

    def _subscribe_endpoint(self, name: str, topic: str, properties: dict[str, Any]) -> None:
        protocol, endpoint = str(properties.get("Protocol")), str(properties.get("Endpoint"))
        target = self._target(endpoint) if protocol in {"lambda", "sqs"} else None
        if target is None:
            self._warn(name, f"its subscription by {protocol} to {endpoint} is not emulated")
        else:
            self._subscribe(name, properties, topic, target)

    def _subscribe(self, name: str, properties: dict[str, Any], topic: str, target: Target) -> None:
        given = properties.get("FilterPolicy")
        policy = json.loads(given) if isinstance(given, str) else given
        for unknown in dict.fromkeys(unknown_operators(policy)):
            self._warn(name, f"FilterPolicy: {unknown} is no operator that is known here, and lets no message through")
        self.found.subscriptions.append(
            SubscriptionSpec(
                topic=topic,
                target=target,
                raw=str(properties.get("RawMessageDelivery", "")).lower() == "true",
                filter=policy,
                filters_body=properties.get("FilterPolicyScope") == "MessageBody",
            )
        )

    def _bucket(self, name: str, properties: dict[str, Any]) -> None:
        bucket, given = self._resolver.physical_name(name), properties.get("NotificationConfiguration") or {}
        for key, target_key in _BUCKET_TARGETS:
            for one in given.get(key) or []:
                target = self._target(str(one[target_key]))
                if target is None:
                    self._warn(name, f"NotificationConfiguration names {one[target_key]}, nothing of this template")
                else:
                    self.found.bucket_events.append(_bucket_event(bucket, one, "Event", target))
        if given.get("EventBridgeConfiguration"):
            self._warn(name, "EventBridgeConfiguration is not emulated: no event bus is here")

    def _target(self, arn: str, group: str | None = None) -> Target | None:
        """Return what an ARN names, if the template has it."""
        _, _, rest = arn.partition(":function:")
        if rest:
            function = auth.logical_id(self._resources, rest.partition(":")[0])
            return Target("function", function) if self._is(function, _FUNCTION) else None
        name = _name_of(arn)
        for kind, resource_type in (("queue", "AWS::SQS::Queue"), ("topic", "AWS::SNS::Topic")):
            if f":{'sqs' if kind == 'queue' else 'sns'}:" in arn and name in self._names(resource_type):
                return Target("queue" if kind == "queue" else "topic", name, group)
        return None

    def _is(self, name: str, kind: str) -> bool:
        return self._resources.get(name, {}).get("Type") == kind

    def _names(self, kind: str) -> Iterator[str]:
        return (self._resolver.physical_name(name) for name in self._resources if self._is(name, kind))


def _name_of(reference: Any) -> str:
    """Return the name at the end of an ARN, or the name itself."""
    return str(reference).rsplit(":", 1)[-1]


def _bucket_event(bucket: str, properties: dict[str, Any], key: str, target: Target) -> BucketEventSpec:
    events = properties[key]
    rules = ((properties.get("Filter") or {}).get("S3Key") or {}).get("Rules") or []
    texts = {str(rule["Name"]).lower(): str(rule["Value"]) for rule in rules}
    return BucketEventSpec(
        bucket=bucket,
        target=target,
        events=tuple(events) if isinstance(events, list) else (str(events),),
        prefix=texts.get("prefix", ""),
        suffix=texts.get("suffix", ""),
    )
