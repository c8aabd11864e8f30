"""Sending webhooks: the address that is really reached is checked, and no receiver can hold the sender for long."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from forgetless.adapters.webhook_http import HttpWebhookSender
from forgetless.domain.errors import ForbiddenError
from tests.unit.servers import Answer, serve

HEADERS = {"content-type": "application/json", "webhook-id": "msg_1"}


def send(url: str, *, allow_private: bool = True, deadline_s: float = 30.0) -> int:
    sender = HttpWebhookSender(allow_private=allow_private)
    return sender.send(url, headers=HEADERS, body=b'{"a": 1}', deadline_s=deadline_s)


def test_what_is_sent_arrives_and_the_status_comes_back() -> None:
    with serve(lambda _: Answer(status=204, body=b"")) as server:
        assert send(f"{server.url}/hook?token=1") == 204
    (request,) = server.requests
    assert (request.path, request.body, request.headers["webhook-id"]) == ("/hook?token=1", {"a": 1}, "msg_1")
    assert request.headers["host"] == server.url.removeprefix("http://")


def test_redirects_are_not_followed() -> None:
    with serve(lambda _: Answer(status=307, headers={"location": "/elsewhere"})) as server:
        assert send(server.url) == 307
    assert len(server.requests) == 1


def _hang(write: Callable[[bytes], None], stopping: threading.Event) -> None:
    stopping.wait(60)


def _drip(write: Callable[[bytes], None], stopping: threading.Event) -> None:
    write(b"HTTP/1.1 200 OK\r\n")
    while not stopping.wait(0.05):
        write(b"x: y\r\n")


@pytest.mark.parametrize("drip", [_hang, _drip])
def test_a_receiver_that_hangs_or_drips_is_given_up_at_the_deadline(drip: Any) -> None:
    with serve(lambda _: Answer(drip=drip)) as server:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            send(server.url, deadline_s=0.3)
        assert time.monotonic() - started < 30  # without the deadline it would be for ever


def _continue(write: Callable[[bytes], None], stopping: threading.Event) -> None:
    while not stopping.is_set():
        write(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000)


def test_a_receiver_that_says_continue_without_end_is_given_up_at_once() -> None:
    with serve(lambda _: Answer(drip=_continue)) as server:
        began = time.thread_time()
        with pytest.raises(ConnectionError):
            send(server.url, deadline_s=10.0)
        assert time.thread_time() - began < 3


def test_the_status_comes_after_some_continue_and_before_a_long_body() -> None:
    def answer(write: Callable[[bytes], None], stopping: threading.Event) -> None:
        write(b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + b"HTTP/1.1 202 Accepted\r\na: " + b"b" * 20_000 + b"\r\n\r\n")
        write(b"x" * 1_000_000)

    with serve(lambda _: Answer(drip=answer)) as server:
        assert send(server.url) == 202


def test_who_hangs_up_or_is_not_there_gave_no_answer() -> None:
    with serve(lambda _: Answer(hang_up=True)) as server, pytest.raises(ConnectionError):
        send(server.url)
    with pytest.raises(ConnectionError):
        send(server.url)  # nobody listens there any more
    with pytest.raises(ConnectionError):
        send("http://nobody.invalid/")


@pytest.mark.parametrize("url", ["ftp://example.com/", "file:///etc/passwd", "example.com", "http://", "http://[::1"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ForbiddenError, match="address"):
        send(url)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name mean these addresses, and record no connection."""

    def look_up(_host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr("forgetless.adapters.webhook_http.socket.getaddrinfo", look_up)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.5.4",
        "169.254.169.254",  # the cloud's own metadata
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_are_refused_whatever_the_name(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolving(monkeypatch, address)
    with pytest.raises(ForbiddenError, match="private"):
        send("http://looks-public.example/", allow_private=False)


def test_an_address_that_was_stored_with_other_letters_is_sent_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(lambda _: Answer()) as server:
        resolving(monkeypatch, "127.0.0.1")
        port = server.url.rpartition(":")[2]
        assert send(f"http://exämple.com:{port}/ü?a=ö") == 200
    (request,) = server.requests
    assert (request.path, request.headers["host"]) == ("/%C3%BC?a=%C3%B6", f"xn--exmple-cua.com:{port}")


@pytest.mark.parametrize("url", ["http://a..b/", "http://x:0/", f"http://{'a' * 70}.com/", "http://☃☃..com/"])
def test_what_was_stored_and_can_never_work_is_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ForbiddenError, match="address"):
        send(url)


def test_a_look_up_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr("forgetless.adapters.webhook_http._CONNECT_S", 0.2)

    def hang(*_: Any, **__: Any) -> list[Any]:
        ended.wait(60)
        return []

    monkeypatch.setattr("forgetless.adapters.webhook_http.socket.getaddrinfo", hang)
    with pytest.raises(TimeoutError):
        send("http://slow-names.example/")
    ended.set()


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "93.184.215.14", "10.0.0.1")
    with pytest.raises(ForbiddenError, match="private"):
        send("http://two-faced.example/", allow_private=False)


def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        # A second look at the name would find what must never be reached.
        if asked.count("any-name.example") > 1:
            raise AssertionError("the name was looked up again")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with serve(lambda _: Answer()) as server:
        monkeypatch.setattr("forgetless.adapters.webhook_http.socket.getaddrinfo", look_up)
        port = server.url.rpartition(":")[2]
        assert send(f"http://any-name.example:{port}/") == 200
    assert server.requests[0].headers["host"] == f"any-name.example:{port}"
    assert asked.count("any-name.example") == 1


def test_a_private_address_is_never_connected_to() -> None:
    with serve(lambda _: Answer()) as server, pytest.raises(ForbiddenError):
        send(server.url, allow_private=False)
    assert server.requests == []
