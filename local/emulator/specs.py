"""The functions, routes, queues and triggers of a template as plain data, without CloudFormation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

#: The account number in emulated ARNs and URLs; moto uses the same.
ACCOUNT_ID = "123456789012"

#: The APIs that SAM makes for routes that name none, by the resource's type.
IMPLICIT_API = "ServerlessHttpApi"
IMPLICIT_REST_API = "ServerlessRestApi"
IMPLICIT_APIS = {IMPLICIT_API: "AWS::Serverless::HttpApi", IMPLICIT_REST_API: "AWS::Serverless::Api"}


class TemplateError(Exception):
    """The template cannot be run: the text names the resource, its line and the fix."""


class NotHereError(TemplateError):
    """Something that a template names cannot be had on this machine: what needs it is left out and named."""


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """One function: `name` is its logical id, times are in seconds, memory in MB.

    `code` and `layers` are folders or archives (.zip); `inline` is code that the template itself holds.
    `problem` says why it cannot run on this machine, and is empty if it can.
    """

    name: str
    handler: str
    code: Path
    inline: str | None = None
    layers: tuple[Path, ...] = ()
    #: Those of the layers that are sources: they are searched themselves, and not their folder `python`.
    sources: frozenset[Path] = frozenset()
    runtime: str = "python3.13"
    timeout: float = 3.0
    memory: int = 128
    variables: dict[str, str] = field(default_factory=dict)
    reserved_concurrency: int | None = None
    max_environments: int | None = None
    log_format: str = "Text"
    log_level: str | None = None
    physical_name: str = ""
    problem: str = ""
    #: Where the template declares it.
    line: int = 1


@dataclass(frozen=True, slots=True)
class AuthorizerSpec:
    """A Lambda authorizer; `sources` are as `("header", "authorization")`.

    `token` marks a REST API's authorizer that gets the one header alone, which must match `pattern`.
    """

    name: str
    function: str
    sources: tuple[tuple[str, str], ...] = ()
    ttl: float = 0.0
    payload_version: str = "2.0"
    simple: bool = False
    token: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class OutsideAuthSpec:
    """What only AWS or an issuer can verify: `kind` is cognito, jwt or iam, `source` where the token stands."""

    name: str
    kind: str
    source: tuple[str, str] = ("header", "authorization")


@dataclass(frozen=True, slots=True)
class CorsSpec:
    """What the gateway answers to preflight requests by itself."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One route: `method` is ANY or a verb, `path` a pattern or `$default`.

    `mock` is None, or the headers with which a REST API answers OPTIONS by itself.
    """

    method: str
    path: str
    function: str
    authorizer: AuthorizerSpec | OutsideAuthSpec | None = None
    time_limit: float = 30.0
    payload_version: str = "2.0"
    needs_key: bool = False
    mock: tuple[tuple[str, str], ...] | None = None

    @property
    def key(self) -> str:
        """Return the route key that the event shows."""
        return self.path if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class RestSpec:
    """What REST APIs alone have: types of bodies that are binary, and the API keys that the template names."""

    binary: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ApiSpec:
    """One API: its stage, the stage's variables and its routes; `rest` is None for an HTTP API."""

    name: str
    stage: str = "$default"
    routes: tuple[RouteSpec, ...] = ()
    cors: CorsSpec | None = None
    variables: dict[str, str] = field(default_factory=dict)
    rest: RestSpec | None = None
    #: Whether it is a function's own URL, which has one route and a port of its own.
    url: bool = False


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One queue; `attributes` are SQS's own names and texts."""

    name: str
    logical_id: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueEventSpec:
    """A function that is fed from a queue; `window` is in seconds."""

    function: str
    queue: str
    batch_size: int = 10
    window: float = 0.0
    report_failures: bool = False
    max_concurrency: int | None = None
    #: Patterns of which a message must fit one; None lets all through.
    filters: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a trigger tells: a function by its logical id, or a queue or a topic by its name."""

    kind: Literal["function", "queue", "topic"]
    name: str
    #: The message group of a FIFO queue.
    group: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """What happens by the clock; `payload` is the event, or None for the service's own."""

    target: Target
    name: str
    expression: str
    payload: str | None = None
    source: str = "aws.events"


@dataclass(frozen=True, slots=True)
class SubscriptionSpec:
    """Who hears of the messages of a topic; `filter` is a policy of SNS about attributes or, if so said, the body."""

    topic: str
    target: Target
    raw: bool = False
    filter: dict[str, Any] | None = None
    filters_body: bool = False


@dataclass(frozen=True, slots=True)
class BucketEventSpec:
    """Who hears of changes in a bucket; `events` are as `s3:ObjectCreated:*`."""

    bucket: str
    target: Target
    events: tuple[str, ...]
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """A table, bucket, parameter, secret or stream: `kind` and `properties` are as in CloudFormation.

    `problem` says why it cannot be made, and is empty if it can.
    """

    logical_id: str
    kind: str
    properties: dict[str, Any]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """Everything in a template that the emulator knows."""

    path: Path
    functions: dict[str, FunctionSpec]
    apis: tuple[ApiSpec, ...]
    queues: tuple[QueueSpec, ...]
    queue_events: tuple[QueueEventSpec, ...]
    schedules: tuple[ScheduleSpec, ...]
    warnings: tuple[str, ...]
    topics: tuple[str, ...] = ()
    subscriptions: tuple[SubscriptionSpec, ...] = ()
    bucket_events: tuple[BucketEventSpec, ...] = ()
    urls: tuple[ApiSpec, ...] = ()
    #: What functions keep data in, which the emulator itself has not.
    stores: tuple[StoreSpec, ...] = ()
    #: What `sam build` would make of the layers, and is missing.
    unbuilt: tuple[str, ...] = ()

    def elsewhere(self) -> Template:
        """Return the template for functions that run elsewhere, where nothing keeps them from it."""
        return replace(self, functions={name: replace(spec, problem="") for name, spec in self.functions.items()})

    def startable(self) -> Template:
        """Return the template without queues and schedules of functions that cannot run.

        Their messages wait, instead of failing until they are dead.
        """
        runs = {name for name, spec in self.functions.items() if not spec.problem}
        return replace(
            self,
            queue_events=tuple(one for one in self.queue_events if one.function in runs),
            schedules=tuple(one for one in self.schedules if one.target.kind != "function" or one.target.name in runs),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """The region and addresses of the emulated account, from which ARNs and URLs are made."""

    region: str = "us-east-1"
    queue_url: str = "http://127.0.0.1:9324"

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource."""
        return f"arn:aws:{service}:{self.region}:{ACCOUNT_ID}:{resource}"


#: A value of a template before or after its intrinsic functions are resolved.
Value = Any
