"""What the emulator reads from strangers: calls of queue, gateway and Runtime API, and Host headers."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.emulator.asgi import Application
from local.emulator.gateway.app import Gateway
from local.emulator.gateway.outside import Trust
from local.emulator.hosts import Hosts
from local.emulator.invocation import Invocation, InvokeResult
from local.emulator.runtime_api.routes import Runtime
from local.emulator.runtime_api.server import RuntimeApi, _Connection
from local.emulator.specs import ApiSpec, AuthorizerSpec, OutsideAuthSpec, Place, RestSpec, RouteSpec
from local.emulator.sqs.app import QueueServer
from local.emulator.sqs.operations import Operations
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from local.emulator.states import InvalidTransitionError
from tests.fuzz.random_json import mutated, odd
from tests.fuzz.targets import FaultFoundError

__all__ = ["EmulatorFuzz", "Environment", "Wire"]

_URL = "http://localhost:9324/000000000000/jobs"
_CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CreateQueue", {"QueueName": "more.fifo", "Attributes": {"FifoQueue": "true", "VisibilityTimeout": "30"}}),
    ("GetQueueUrl", {"QueueName": "jobs"}),
    ("GetQueueAttributes", {"QueueUrl": _URL, "AttributeNames": ["All"]}),
    ("SetQueueAttributes", {"QueueUrl": _URL, "Attributes": {"VisibilityTimeout": "9", "RedrivePolicy": "{}"}}),
    ("SendMessage", {"QueueUrl": _URL, "MessageBody": "x", "DelaySeconds": 0, "MessageAttributes": {
        "a": {"DataType": "String", "StringValue": "b"}}}),
    ("SendMessageBatch", {"QueueUrl": _URL, "Entries": [{"Id": "1", "MessageBody": "x"}]}),
    ("ReceiveMessage", {"QueueUrl": _URL, "MaxNumberOfMessages": 2, "VisibilityTimeout": 0}),
    ("DeleteMessage", {"QueueUrl": _URL, "ReceiptHandle": "x"}),
    ("DeleteMessageBatch", {"QueueUrl": _URL, "Entries": [{"Id": "1", "ReceiptHandle": "x"}]}),
    ("ChangeMessageVisibility", {"QueueUrl": _URL, "ReceiptHandle": "x", "VisibilityTimeout": 1}),
    ("ChangeMessageVisibilityBatch", {"QueueUrl": _URL, "Entries": [
        {"Id": "1", "ReceiptHandle": "x", "VisibilityTimeout": 1}]}),
    ("ListQueues", {"QueueNamePrefix": "j"}),
    ("PurgeQueue", {"QueueUrl": _URL}),
)  # fmt: skip
_RESULTS: tuple[Any, ...] = (
    {"statusCode": 200, "headers": {"a": "b"}, "cookies": ["c=d"], "body": "eA==", "isBase64Encoded": True},
    {"statusCode": 404, "body": "{}"}, {"any": "thing"}, "text", None,
    {"statusCode": 200, "headers": {"a": "b"}, "multiValueHeaders": {"a": ["c"]}, "body": "eA==", "isBase64Encoded": 1},
    {"principalId": "p", "context": {"a": 1}, "policyDocument": {"Statement": [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": ["*/r/?", "*"], "Condition": {}}]}},
)  # fmt: skip
_LINES = (
    "GET /2018-06-01/runtime/invocation/next HTTP/1.1", "POST /2018-06-01/runtime/invocation/1/response HTTP/1.1",
    "POST /2018-06-01/runtime/init/error HTTP/1.1", "POST /2018-06-01/runtime/invocation/1/error HTTP/1.1",
    "CONNECT localhost:1 HTTP/1.1", "GET /2018-06-01/runtime/restore/next HTTP/1.1",
    "PRI * HTTP/2.0", "GET // HTTP/1.0",
)  # fmt: skip
_HEADERS = (
    "Host: 127.0.0.1:9", "Host: evil.example", "Upgrade: websocket", "Connection: upgrade", "Connection: close",
    "Content-Length: 3", "Content-Length: -1", "Transfer-Encoding: chunked", "Expect: 100-continue", "X: \xff",
    "no colon", "Lambda-Runtime-Function-Error-Type: \x01",
    "Lambda-Runtime-Function-Response-Mode: streaming",
)  # fmt: skip
_HOSTS = ("localhost", "127.0.0.1", "[::1]", "evil.example", "10.0.0.1")


class EmulatorFuzz:
    """All servers of the emulator in this process; what they call (functions, environments) is random too."""

    name = "emulator"

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._queues = QueueService(Store(folder / "queue.db"))
        self._queue = QueueServer(Operations(self._queues, Place()), self._nothing)
        self._run(self._queues.put_queue("jobs", {}))
        self._function = _Function()
        routes = (
            RouteSpec("ANY", "/a/{id}", "f"),
            RouteSpec("GET", "/{rest+}", "f"),
            RouteSpec("ANY", "$default", "f"),
        )
        apis = (
            ApiSpec("Api", routes=routes),
            ApiSpec("Rest", "Prod", _rest_routes(), rest=RestSpec(frozenset({"*/*"}))),
        )
        trust = Trust(tokens=True)
        self._gateway = Gateway(apis, {"f": self._function}, 3000, "eu-central-1", trust=trust)

    def case(self, rng: random.Random) -> str:
        part: Callable[[random.Random], str] = rng.choice((self._sqs, self._api, self._runtime, self._host))
        try:
            return part(rng)
        except FaultFoundError:
            raise
        except Exception as error:
            raise FaultFoundError(f"{part.__name__}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._queues.close()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    async def _nothing(self) -> dict[str, Any]:
        return {}

    def _sqs(self, rng: random.Random) -> str:
        name, members = rng.choice(_CALLS)
        target = f"AmazonSQS.{name}" if rng.random() < 0.95 else _text(odd(rng))
        # A long poll is meant to wait.
        body = _waiting_not(mutated(rng, members, rng.randrange(4)))
        headers = [(b"x-amz-target", target.encode("utf-8", "replace"))]
        status, answer = self._run(_ask(self._queue, "POST", "/", headers, _bytes(rng, body)))
        _must_be_known("queue", f"{target} {body!r}", status, answer)
        return f"queue {status // 100}xx"

    def _api(self, rng: random.Random) -> str:
        self._function.result = InvokeResult(_bytes(rng, mutated(rng, rng.choice(_RESULTS), rng.randrange(3))))
        path = rng.choice(("/a/x", "/b/c", "/", f"/a/{_text(odd(rng))}"))
        if rng.random() < 0.6:
            path = rng.choice(("/Prod/r/x", "/Prod/claims", "/Prod/guarded/a", f"/Prod/guarded/{_text(odd(rng))}"))
        headers = [(b"host", b"localhost"), (b"cookie", _text(odd(rng)).encode()), (b"x-a", _text(odd(rng)).encode())]
        claims = base64.urlsafe_b64encode(_bytes(rng, mutated(rng, {"exp": 1, "iat": 2, "a": ["b"]}, rng.randrange(3))))
        headers.append((b"authorization", rng.choice((b"", b"Bearer ")) + b"a." + claims.rstrip(b"=") + b".c"))
        content = _bytes(rng, odd(rng))
        status, _ = self._run(_ask(self._gateway, rng.choice(("GET", "POST", "OPTIONS")), path, headers, content))
        # What a function answers may be any status; a body that is no answer is Lambda's 500 or 502.
        return f"gateway {status // 100}xx"

    def _runtime(self, rng: random.Random) -> str:
        lines = [rng.choice(_LINES), *(rng.choice(_HEADERS) for _ in range(rng.randrange(5)))]
        content = "\r\n".join([*lines, "", rng.choice(("", "abc", "3\r\nabc\r\n0\r\n\r\n"))]).encode("latin-1")
        for _ in range(rng.randrange(3)):
            place = rng.randrange(len(content) + 1)
            content = content[:place] + rng.choice((b"", b"\x00", b"\r\n", b"\xff", b" ")) + content[place + 1 :]
        wire = Wire()
        connection = _Connection(Environment(rng), RuntimeApi(Environment(rng)))
        connection.connection_made(wire)
        cut = rng.randrange(len(content) + 1)
        for piece in (content[:cut], content[cut:]):
            if not wire.closed:
                connection.data_received(piece)
        connection.connection_lost(None)
        return "runtime dropped" if wire.closed else "runtime answered" if wire.sent else "runtime waits"

    def _host(self, rng: random.Random) -> str:
        name = rng.choice(_HOSTS) if rng.random() < 0.6 else _text(odd(rng))
        header = name + rng.choice(("", ":9", ":", ":99999", ".", "@localhost", ":9:9", "/"))
        allowed = Hosts("127.0.0.1", port=rng.choice((None, 9))).allow(header)
        if allowed and not header.lower().startswith(("localhost", "127.", "[::1]", "::1")):
            raise FaultFoundError(f"the Host header {header!r} is taken for this machine")
        return "host allowed" if allowed else "host refused"


def _rest_routes() -> tuple[RouteSpec, ...]:
    guard = AuthorizerSpec("Guard", "f", (("header", "x-a"),), token=True)
    return (
        RouteSpec("ANY", "/r/{id}", "f"),
        RouteSpec("ANY", "/claims", "f", authorizer=OutsideAuthSpec("Pool", "cognito")),
        RouteSpec("ANY", "/guarded/{rest+}", "f", authorizer=guard, needs_key=True),
    )


class _Function:
    def __init__(self) -> None:
        self.result = InvokeResult(b"{}")

    def submit(self, payload: bytes, *, trace_id: str = "", client_context: str = "") -> asyncio.Future[InvokeResult]:
        json.loads(payload)
        done = asyncio.get_running_loop().create_future()
        done.set_result(self.result)
        return done


class Environment(Runtime):
    """An environment that takes or refuses what the runtime says, at random."""

    arn = "arn:aws:lambda:eu-central-1:000000000000:function:f"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    @property
    def invocation(self) -> Invocation | None:
        return None

    def on_next(self, deliver: Callable[[Invocation], None]) -> None:
        self._may()

    def on_response(self, body: bytes) -> bool:
        self._may()
        return self._rng.random() < 0.5

    def on_error(self, kind: str, body: bytes) -> None:
        self._may()

    def on_init_error(self, kind: str, body: bytes) -> None:
        self._may()

    def on_hangup(self, *, unread: bool) -> None:
        """Nothing waits for it."""

    def _may(self) -> None:
        if self._rng.random() < 0.3:
            raise InvalidTransitionError("the wrong time")


class Wire(asyncio.Transport):
    """Where the Runtime API writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed = b"", False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


async def _ask(
    app: Application, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> tuple[int, bytes]:
    raw = path.encode("utf-8", "replace")
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": raw, "query_string": raw[:20], "headers": headers,
        "http_version": "1.1", "client": ("127.0.0.1", 1),
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return given.pop() if given else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def _must_be_known(part: str, sent: str, status: int, answer: bytes) -> None:
    if status not in {200, 400}:
        raise FaultFoundError(f"{part} {sent}: {status} {answer[:300]!r}")
    json.loads(answer)


def _waiting_not(members: Any) -> Any:
    return {**members, "WaitTimeSeconds": 0} if isinstance(members, dict) else members


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "replace").decode()


def _bytes(rng: random.Random, body: Any) -> bytes:
    text = json.dumps(body).encode()
    return text[: rng.randrange(len(text) + 1)] if rng.random() < 0.05 else text
