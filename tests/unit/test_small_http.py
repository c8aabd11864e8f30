"""The small HTTP server: whatever clients do, it takes one thread and few connections, and each ends soon."""

from __future__ import annotations

import inspect
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest

from forgetless.adapters import small_http as of_service
from local.milvus import small_http as of_milvus

Serve = Callable[..., int]

_REQUEST = b"GET /figures?a=b HTTP/1.1\r\nHost: here:1\r\n\r\n"


@pytest.fixture(params=[of_service, of_milvus], ids=["service", "milvus"])
def module(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


@pytest.fixture
def serve(module: ModuleType) -> Iterator[Serve]:
    """Begins to serve, and returns the port."""
    with ExitStack() as stack:

        def begin(body: bytes = b"figures") -> int:
            def answer(*asked: str) -> Any:
                return module.Answer(200, body or repr(asked).encode())

            bound = socket.socket()
            bound.bind(("127.0.0.1", 0))
            stack.callback(module.SmallHttp(bound, answer, name="small").close)
            return int(bound.getsockname()[1])

        yield begin


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def everything(client: socket.socket) -> bytes:
    parts = []
    try:
        while part := client.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def asked(port: int, request: bytes = _REQUEST) -> bytes:
    with connect(port) as client:
        client.sendall(request)
        return everything(client)


def test_the_service_and_milvus_which_share_no_code_have_the_same_file() -> None:
    assert inspect.getsource(of_service) == inspect.getsource(of_milvus)


def test_a_request_is_answered_with_what_is_given_for_its_method_path_and_host(serve: Serve) -> None:
    port = serve(b"")
    head, _, body = asked(port).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert body == b"('GET', '/figures', 'here:1')"
    assert asked(port, b"x\r\n\r\n").endswith(b"('x', '', '')")


def test_idle_connections_take_one_thread_and_few_files_and_close_the_oldest(
    module: ModuleType, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 60.0)
    port = serve()
    before = threading.active_count()
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(port)) for _ in range(3 * module.MOST_CONNECTIONS)]
        assert asked(port).endswith(b"figures")
        assert threading.active_count() == before
        assert [everything(one) for one in idle[: 2 * module.MOST_CONNECTIONS]] == [b""] * (2 * module.MOST_CONNECTIONS)
        idle[-1].sendall(_REQUEST)
        assert everything(idle[-1]).endswith(b"figures")


def test_a_head_that_comes_byte_by_byte_ends_in_time(
    module: ModuleType, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    began = time.monotonic()
    with connect(serve()) as client:
        client.settimeout(0.1)
        while time.monotonic() < began + 10:
            try:
                client.sendall(b"G")
                if not client.recv(1):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert 0.4 < time.monotonic() - began < 5


def test_a_head_without_end_is_cut_off(serve: Serve) -> None:
    port = serve()
    with connect(port) as client:
        try:
            for _ in range(1000):
                client.sendall(b"a" * 4096)
        except ConnectionError:
            return
        assert everything(client) == b""
    pytest.fail("4 MB were taken")


def test_who_does_not_read_the_answer_is_let_go(
    module: ModuleType, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.5)
    size = 20_000_000  # more than the sockets hold
    with connect(serve(b"a" * size)) as client:
        client.sendall(_REQUEST)
        time.sleep(1.5)
        assert 0 < len(everything(client)) < size


def test_it_closes_with_connections_that_are_open(module: ModuleType) -> None:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    server = module.SmallHttp(bound, lambda *_: module.Answer(200), name="small")
    with connect(bound.getsockname()[1]) as client:
        client.sendall(b"G")
        time.sleep(0.1)
        server.close()
        assert everything(client) == b""
