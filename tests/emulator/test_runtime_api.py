"""The Runtime API's rules, on an environment without a process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.emulator.environments.environment import Environment, Launch
from local.emulator.environments.logs import FunctionLog
from local.emulator.invocation import Invocation, InvokeResult
from local.emulator.runtime_api.routes import Reply, Request, handle
from local.emulator.specs import FunctionSpec
from tests.emulator.fidelity import assumed, documented, read

BASE = "/2018-06-01/runtime/"


class Owner:
    """Keeps what an environment told."""

    def __init__(self) -> None:
        self.idle = 0
        self.failed: list[InvokeResult] = []
        self.unread: list[Invocation | None] = []

    def became_idle(self, environment: Environment) -> None:
        self.idle += 1

    def init_failed(self, result: InvokeResult) -> None:
        self.failed.append(result)

    def init_too_slow(self, environment: Environment) -> None:
        raise AssertionError("no initialisation is slow here")

    def hung_up(self, environment: Environment, unread: Invocation | None) -> None:
        self.unread.append(unread)

    def gone(self, environment: Environment) -> None:
        raise AssertionError("there is no process that could end")


class Runtime:
    """Speaks as a runtime does."""

    def __init__(self, log: FunctionLog) -> None:
        self.owner = Owner()
        launch = Launch(FunctionSpec("F", "app.handler", Path()), {}, "arn:f", log)
        self.environment = Environment(launch, self.owner)
        self.events: list[Reply] = []

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply | None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return handle(self.environment, Request(method, BASE + path, named, body), self.events.append)

    def refused(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        reply = self.call(method, path, body, **headers)
        assert reply is not None
        return reply.status, json.loads(reply.body)["errorType"]

    def invoke(self) -> Invocation:
        future: asyncio.Future[InvokeResult] = asyncio.get_running_loop().create_future()
        invocation = Invocation(b'{"a":1}', future, 0.0, trace_id="Root=1")
        self.environment.assign(invocation)
        return invocation


Play = Callable[[Callable[[Runtime], None]], None]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """Run a scene with a runtime in an event loop."""

    def run(scene: Callable[[Runtime], None]) -> None:
        async def main() -> None:
            log = FunctionLog(tmp_path / "functions.log")
            scene(Runtime(log))
            log.close()

        asyncio.run(main())

    yield run
    assert (tmp_path / "functions.log").exists()


@documented("Lambda: runtimes-api")
def test_next_waits_for_an_event_and_gives_its_headers(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        assert runtime.call("GET", "invocation/next") is None
        assert runtime.events == []
        invocation = runtime.invoke()
        event = runtime.events[0]
        assert (event.status, event.body) == (200, b'{"a":1}')
        assert event.headers["Lambda-Runtime-Aws-Request-Id"] == invocation.request_id
        assert event.headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn:f"
        assert event.headers["Lambda-Runtime-Deadline-Ms"] == str(invocation.deadline_ms)
        assert "Lambda-Runtime-Client-Context" not in event.headers

    play(scene)


@documented("Lambda: runtimes-api")
def test_a_response_is_accepted_and_finishes_the_invocation(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        invocation = runtime.invoke()
        reply = runtime.call("POST", f"invocation/{invocation.request_id}/response", b"[1]")
        assert reply is not None
        assert (reply.status, json.loads(reply.body)) == (202, {"status": "OK"})
        assert invocation.future.result() == InvokeResult(b"[1]")

    play(scene)


@documented("Lambda: runtimes-api")
def test_an_error_is_accepted_and_keeps_its_type(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        invocation = runtime.invoke()
        path = f"invocation/{invocation.request_id}/error"
        reply = runtime.call("POST", path, b"{}", lambda_runtime_function_error_type="ValueError")
        assert reply is not None
        assert reply.status == 202
        assert invocation.future.result() == InvokeResult(b"{}", error="ValueError")

    play(scene)


@read("aws-lambda-runtime-interface-emulator")
def test_an_unknown_id_is_a_400(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        runtime.invoke()
        for verb in ("response", "error"):
            assert runtime.refused("POST", f"invocation/other/{verb}") == (400, "InvalidRequestID")

    play(scene)


@read("aws-lambda-runtime-interface-emulator")
def test_a_second_response_is_a_403_and_the_first_one_counts(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        invocation = runtime.invoke()
        path = f"invocation/{invocation.request_id}/response"
        runtime.call("POST", path, b"1")
        assert runtime.refused("POST", path, b"2") == (403, "InvalidStateTransition")
        assert invocation.future.result().payload == b"1"

    play(scene)


@read("aws-lambda-runtime-interface-emulator")
def test_no_second_event_before_the_answer(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        runtime.invoke()
        assert runtime.refused("GET", "invocation/next") == (403, "InvalidStateTransition")
        assert runtime.owner.idle == 1

    play(scene)


@read("aws-lambda-runtime-interface-emulator")
def test_an_answer_too_large_is_a_413_and_an_error_of_the_function(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        invocation = runtime.invoke()
        path = f"invocation/{invocation.request_id}/response"
        assert runtime.refused("POST", path, b"x" * 6_291_557) == (413, "RequestEntityTooLarge")
        assert invocation.future.result().error == "Function.ResponseSizeTooLarge"

    play(scene)


@assumed("what a client sees of it")
def test_a_runtime_that_hangs_up_while_it_waits_gets_no_event(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        runtime.environment.on_hangup(unread=False)
        assert runtime.owner.unread == [None]
        assert runtime.refused("GET", "invocation/next") == (403, "InvalidStateTransition")

    play(scene)


@assumed("what a client sees of it")
def test_an_event_that_was_never_read_is_given_back(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        invocation = runtime.invoke()
        runtime.environment.on_hangup(unread=True)
        assert runtime.owner.unread == [invocation]
        assert not invocation.future.done()

    play(scene)


@assumed("what a client sees of it")
def test_an_event_that_was_read_stays_with_its_runtime(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        runtime.invoke()
        runtime.environment.on_hangup(unread=False)
        assert runtime.owner.unread == []

    play(scene)


@read("aws-lambda-runtime-interface-emulator")
def test_an_unknown_response_mode_is_a_400(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        path = f"invocation/{runtime.invoke().request_id}/response"
        told = runtime.refused("POST", path, lambda_runtime_function_response_mode="buffered")
        assert told == (400, "InvalidFunctionResponseMode")

    play(scene)


@documented("Lambda: runtimes-api")
def test_an_init_error_goes_to_the_request_that_waits(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        reply = runtime.call("POST", "init/error", b"{}", lambda_runtime_function_error_type="Runtime.X")
        assert reply is not None
        assert reply.status == 202
        assert runtime.owner.failed == [InvokeResult(b"{}", error="Runtime.X")]

    play(scene)


@read("aws-lambda-runtime-interface-emulator")
def test_an_init_error_after_the_start_is_refused(play: Play) -> None:
    def scene(runtime: Runtime) -> None:
        runtime.call("GET", "invocation/next")
        assert runtime.refused("POST", "init/error") == (403, "InvalidStateTransition")

    play(scene)


@pytest.mark.parametrize(("path", "status"), [("restore/next", 403), ("nothing", 404), ("invocation/1/nothing", 404)])
@read("aws-lambda-runtime-interface-emulator")
def test_routes_that_are_not_served_say_so(play: Play, path: str, status: int) -> None:
    def scene(runtime: Runtime) -> None:
        assert runtime.refused("POST", path)[0] == status

    play(scene)
