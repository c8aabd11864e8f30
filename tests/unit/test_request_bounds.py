"""No request goes on for ever: endless ones and slow clients are cut off; what ends in time is served as before."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
import uvicorn

from embedder.http import protocol as of_embedder
from forgetless.runtime import http_protocol as of_serve
from local.emulator import http_protocol as of_emulator
from local.emulator.servers import HttpServer, listen, port_of

Served = Callable[[Any], AbstractAsyncContextManager[socket.socket]]

_HOST = b" HTTP/1.1\r\nhost: h\r\n"
_CHUNKED = b"POST /" + _HOST + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"
_HEADERS = b"a: b\r\n" * 683
#: How each begins, and what follows again and again.
_ENDLESS = {
    "blank lines": (b"", b"\r\n" * 2048),
    "request line": (b"GET /", b"a" * 4096),
    "header": (b"GET /" + _HOST + b"a: ", b"a" * 4096),
    "name of a header": (b"GET /" + _HOST, b"a" * 4096),
    "headers": (b"GET /" + _HOST, _HEADERS),
    "trailers": (_CHUNKED + b"0\r\n", _HEADERS),
    "trailer": (_CHUNKED + b"0\r\na: ", b"a" * 4096),
    "extension of a chunk": (_CHUNKED + b"3;", b"a" * 4096),
}
_SMALL = 256 * 1024  # what is dropped after an answer, in these tests
_BUFFERS = 1024 * 1024  # more than the sockets below hold
_MOST = _SMALL + of_serve.MAX_HEAD_BYTES + _BUFFERS


async def _sizes(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the sizes of headers and body; a path /early is answered before the body is read."""
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message.get("more_body", False)
    shown = b"%d headers, %d bytes." % (len(scope["headers"]), size)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(shown))]})
    await send({"type": "http.response.body", "body": shown})


@asynccontextmanager
async def _emulator(app: Any) -> AsyncIterator[socket.socket]:
    with listen("127.0.0.1", 0) as listener:
        server = HttpServer(app, listener)
        await server.start()
        yield listener
        await server.stop()


def _uvicorn(http: type[asyncio.Protocol]) -> Served:
    @asynccontextmanager
    async def served(app: Any) -> AsyncIterator[socket.socket]:
        with listen("127.0.0.1", 0) as listener:
            server = uvicorn.Server(uvicorn.Config(app, http=http, ws="none", lifespan="off", log_config=None))
            task = asyncio.create_task(server.serve(sockets=[listener]))
            yield listener
            server.should_exit = True
            await task

    return served


@pytest.fixture(params=["emulator", "serve", "embedder"])
def served(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Return the server of one kind, which drops less after an answer than it usually does."""
    module, server = {
        "emulator": (of_emulator, _emulator),
        "serve": (of_serve, _uvicorn(of_serve.BoundedHttp)),
        "embedder": (of_embedder, _uvicorn(of_embedder.BoundedHttp)),
    }[request.param]
    monkeypatch.setattr(module, "MAX_UNREAD_BYTES", _SMALL)
    return server


@asynccontextmanager
async def _connection(listener: socket.socket) -> AsyncIterator[socket.socket]:
    """Connect with small buffers, so that what was sent is about what was read."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port_of(listener)))
        yield client


async def _send(client: socket.socket, data: bytes) -> None:
    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(client, data), 20)


async def _answers(client: socket.socket, end: bytes = b"") -> bytes:
    """Read until `end`, or until the server sends no more."""
    answer = b""
    while not end or end not in answer:
        got = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), 20)
        if not got:
            break
        answer += got
    return answer


async def _sent_until_closed(client: socket.socket, more: bytes) -> int:
    """Send the same again and again; returns how many bytes went out before the server closed, or twice what may."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 2 * _MOST:
            await _send(client, more)
            sent += len(more)
    return sent


def test_what_never_ends_is_a_431_after_a_bounded_number_of_bytes(served: Served) -> None:
    async def run() -> None:
        async with served(_sizes) as listener:
            for name, (begin, more) in _ENDLESS.items():
                async with _connection(listener) as client:
                    await _send(client, b"GET /" + _HOST + b"\r\n")  # a request before it, which is answered
                    assert b"1 headers, 0 bytes." in await _answers(client, b"bytes.")
                    limit = of_serve.MAX_TRAILER_BYTES if begin.startswith(b"POST") else of_serve.MAX_HEAD_BYTES
                    await _send(client, begin + more * (limit // len(more) + 2))
                    assert (await _answers(client)).startswith(b"HTTP/1.1 431 "), name
                    assert await _sent_until_closed(client, more) < _MOST, name

    asyncio.run(run())


@pytest.mark.parametrize(
    ("begin", "more", "most"),
    [
        (_CHUNKED + b"0\r\n", _HEADERS, of_serve.MAX_TRAILER_BYTES),
        (_CHUNKED + b"3;", b"a" * 4096, of_serve.MAX_TRAILER_BYTES),
        (_CHUNKED, b"ffa\r\n" + b"a" * 4090 + b"\r\n", _SMALL),
    ],
    ids=["trailers", "extension of a chunk", "body"],
)
def test_what_comes_after_the_answer_is_not_read_for_ever(served: Served, begin: bytes, more: bytes, most: int) -> None:
    async def run() -> int:
        async with served(_sizes) as listener, _connection(listener) as client:
            await _send(client, begin.replace(b"/", b"/early", 1))
            assert b"0 bytes." in await _answers(client, b"bytes.")
            return await _sent_until_closed(client, more)

    assert asyncio.run(run()) < most + _BUFFERS


def test_what_ends_in_time_is_served_and_the_connection_goes_on(served: Served) -> None:
    chunks = b"3e8\r\n" + b"a" * 1000 + b"\r\n"
    long_head = b"GET /" + b"a" * 20_000 + _HOST + b"a: " + b"a" * 20_000 + b"\r\n" + b"a: b\r\n" * 3000 + b"\r\n"
    requests = [
        (long_head, b"3002 headers, 0 bytes."),
        (_CHUNKED + chunks * 6000 + b"0\r\n" + b"a: b\r\n" * 1600 + b"\r\n", b"2 headers, 6000003 bytes."),
        (_CHUNKED + b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n", b"2 headers, 30003 bytes."),
        (b"POST /" + _HOST + b"content-length: 6000000\r\n\r\n" + b"a" * 6_000_000, b"2 headers, 6000000 bytes."),
        (b"POST /early" + _HOST + b"content-length: 100000\r\n\r\n" + b"a" * 100_000, b"2 headers, 0 bytes."),
    ]

    async def run() -> None:
        async with served(_sizes) as listener, _connection(listener) as client:
            for request, shown in requests * 2:
                answer, _ = await asyncio.gather(_answers(client, b"bytes."), _send(client, request))
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert answer.endswith(shown)
            sending = asyncio.create_task(_send(client, (b"GET /" + _HOST + b"\r\n") * 3000))
            answer = b""
            while answer.count(b"1 headers, 0 bytes.") < 3000:
                answer += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), 20)
            await sending

    asyncio.run(run())


@pytest.fixture
def module(served: Served, request: pytest.FixtureRequest) -> ModuleType:
    """Return the module that has the bounds of this server."""
    return {"emulator": of_emulator, "serve": of_serve, "embedder": of_embedder}[request.node.callspec.params["served"]]


@pytest.fixture
def impatient(served: Served, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Return the server with the time limits of tests."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(module, name, 0.3)
    monkeypatch.setattr(module, "WHOLE_BODY_SECONDS", 0.6)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.05)
    return served


async def _dripped(client: socket.socket, data: bytes) -> None:
    """Send a byte at a time until the server closes."""
    with contextlib.suppress(ConnectionError):
        for byte in itertools.cycle(data):
            await _send(client, bytes([byte]))
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("begin", "dripped"),
    [
        (b"", b""),
        (b"GET /", b"a"),
        (b"GET /" + _HOST + b"a: ", b"a"),
        (b"POST /" + _HOST + b"content-length: 9\r\n\r\nabc", b""),
        (_CHUNKED, b""),
        (_CHUNKED + b"0\r\na: ", b"a"),
        (b"POST /" + _HOST + b"content-length: 9999\r\n\r\nabc", b"a"),
    ],
    ids=["nothing", "request line", "header", "body", "chunk", "trailer", "whole body"],
)
def test_a_request_that_does_not_arrive_is_a_408(impatient: Served, begin: bytes, dripped: bytes) -> None:
    async def run() -> bytes:
        async with impatient(_sizes) as listener, _connection(listener) as client:
            await _send(client, begin)
            dripping = asyncio.create_task(_dripped(client, dripped))
            answer = await _answers(client)
            dripping.cancel()
            return answer

    answer = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert answer.endswith(b"The request arrives too slowly.\n")


def test_bodies_that_do_not_end_take_a_bounded_room_together(
    served: Served, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who began first is cut off; the others can end theirs."""
    monkeypatch.setattr(module, "MAX_UNFINISHED_BYTES", 20_000_000)
    begin = b"POST /" + _HOST + b"content-length: 6000000\r\n\r\n" + b"a" * 5_999_999

    async def run() -> list[bytes]:
        async with served(_sizes) as listener, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(_connection(listener)) for _ in range(6)]
            for client in clients[:4]:
                await _send(client, begin)
            first = await _answers(clients[0])
            for client in clients[1:4]:
                await _send(client, b"a")
                assert (await _answers(client, b"bytes.")).endswith(b"6000000 bytes.")
            for client in clients[4:]:  # what has ended is not counted any more
                await _send(client, begin + b"a")
                assert (await _answers(client, b"bytes.")).endswith(b"6000000 bytes.")
            for client in clients[1:]:
                await _send(client, b"GET /" + _HOST + b"\r\n")
                assert (await _answers(client, b"bytes.")).endswith(b"0 bytes.")
            return [first]

    [first] = asyncio.run(asyncio.wait_for(run(), 60))
    assert first.startswith(b"HTTP/1.1 408 ")


def test_an_answer_that_nobody_reads_is_dropped(impatient: Served) -> None:
    ended = []

    async def large(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a" * 8_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        ended.append(await receive())

    async def run() -> None:
        async with impatient(large) as listener, _connection(listener) as client:
            await _send(client, b"GET /" + _HOST + b"\r\n")
            while not ended:
                await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert ended == [{"type": "http.disconnect"}]


def test_answers_that_nobody_reads_take_a_bounded_room_together(
    served: Served, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has been waited for the longest is cut off; whoever reads is not."""
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 20_000_000)

    async def large(_scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8000000")]})
        await send({"type": "http.response.body", "body": b"a" * 8_000_000})

    async def read(client: socket.socket) -> bool:
        left = 8_000_000
        with contextlib.suppress(ConnectionError):
            while left > 0 and (got := await asyncio.get_running_loop().sock_recv(client, 1_000_000)):
                left -= len(got)
        return left <= 0

    async def run() -> list[bool]:
        async with served(large) as listener, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(_connection(listener)) for _ in range(6)]
            for client in clients[1:]:
                await _send(client, b"GET /" + _HOST + b"\r\n")
                await asyncio.sleep(0.1)
            await _send(clients[0], b"GET /" + _HOST + b"\r\n")
            return [await read(client) for client in clients]

    reader, *others = asyncio.run(asyncio.wait_for(run(), 60))
    assert reader
    # How much the sockets hold themselves differs.
    assert (others[0], others[-1], others) == (False, True, sorted(others))


def test_a_slow_application_and_an_idle_connection_are_waited_for(impatient: Served) -> None:
    async def slow(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await asyncio.sleep(0.8)
        await _sizes(scope, receive, send)

    # Of a large body, uvicorn reads only the begin until the application reads it.
    requests = [b"GET /" + _HOST + b"\r\n", b"POST /" + _HOST + b"content-length: 6000000\r\n\r\n" + b"a" * 6_000_000]

    async def run() -> None:
        async with impatient(slow) as listener, _connection(listener) as client:
            for request in requests:
                answer, _ = await asyncio.gather(_answers(client, b"bytes."), _send(client, request))
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                await asyncio.sleep(0.5)

    asyncio.run(run())


def test_the_three_packages_which_share_no_code_have_the_same_file() -> None:
    assert inspect.getsource(of_serve) == inspect.getsource(of_embedder) == inspect.getsource(of_emulator)
