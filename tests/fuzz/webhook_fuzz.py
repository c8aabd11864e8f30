"""Webhooks with odd addresses, secrets and stored fields, and receivers that answer with odd bytes."""

from __future__ import annotations

import json
import random
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

from forgetless.adapters.webhook_http import HttpWebhookSender
from forgetless.domain.errors import ForbiddenError
from forgetless.domain.webhook_urls import ascii_url
from tests.fuzz.random_json import odd
from tests.fuzz.targets import FaultFoundError
from tests.unit.service.webhooks.post import Post, make
from tests.unit.service.world import make_world

__all__ = ["WebhookFuzz"]

_CASES_PER_WORLD = 300
_ANSWERS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 410 Gone\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\n\r\n", b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n", b"",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 999 \xff\r\n\r\n",
    b"SSH-2.0-OpenSSH\r\n",
    b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
)  # fmt: skip
_URLS = (
    "https://example.com/hook", "http://example.com:99999/", "http://[::1", "http://ex\u00e4mple.com/\u00fc?a=\u00df",
    "http://a..b/", "http://u:p@h/%zz", "ftp://h/", "http://\u3002/", "https://xn--/", "http://1.2.3.4.5:0/", "//h/",
    "http://[fe80::1%25eth0]/",
)  # fmt: skip
#: How a delivery may stand after a run.
_STATES = {"pending", "delivered", "failed"}


class WebhookFuzz:
    """A run of deliveries raises nothing, whatever stands in the ledger and whatever comes back."""

    name = "webhooks"

    def __init__(self, folder: Path) -> None:
        self._folder, self._left = folder, 0
        self._post: Post | None = None
        self._receiver = _Receiver()

    def case(self, rng: random.Random) -> str:
        if rng.random() < 0.5:
            return self._address(rng)
        post = self._world()
        answer = _damaged(rng, rng.choice(_ANSWERS))
        self._receiver.answer = answer
        fields: dict[str, Any] = {"url": f"{self._receiver.url}{rng.choice(('', '/h', '/%zz', '/ü', '?a=b#c'))}"}
        if rng.random() < 0.2:
            fields["url"] = rng.choice((*_URLS, f"{self._receiver.url}:1", _text(odd(rng))))
        if rng.random() < 0.2:
            fields["secret"] = rng.choice(("", "whsec_", "whsec_!", _text(odd(rng))))
        name = f"wh{self._left}"
        post.hook(name, **fields)
        post.world.say(f"tea {self._left}")
        try:
            post.run(after=1)
            [delivery, *_] = post.log(name)
        except Exception as error:
            raise FaultFoundError(f"{fields} {answer!r}: {type(error).__name__}: {error}") from error
        if delivery.state not in _STATES:
            raise FaultFoundError(f"{fields} {answer!r}: the delivery is {delivery.state}")
        post.world.ledger.delete_document("default", "webhook", name)
        return delivery.state if delivery.attempts or delivery.state == "delivered" else "unsent"

    def close(self) -> None:
        self._end()
        self._receiver.close()

    def _address(self, rng: random.Random) -> str:
        given = _text(odd(rng)) if rng.random() < 0.2 else _mixed(rng, rng.choice(_URLS))
        try:
            found = ascii_url(given)
        except ValueError:
            return "address refused"
        except Exception as error:
            raise FaultFoundError(f"{given!r}: {type(error).__name__}: {error}") from error
        if not found.isascii() or ascii_url(found) != found:
            raise FaultFoundError(f"{given!r} becomes {found!r}")
        return "address taken"

    def _world(self) -> Post:
        if self._left == 0:
            self._end()
            world = make_world(Path(tempfile.mkdtemp(dir=self._folder)))
            # Names are looked up nowhere: nothing leaves this machine.
            self._post = make(world, _LocalSender(self._receiver.url))
            self._left = _CASES_PER_WORLD
        self._left -= 1
        assert self._post is not None
        return self._post

    def _end(self) -> None:
        if self._post is not None:
            self._post.world.services.close()
            self._post.world.ledger.close()
            self._post = None


class _LocalSender:
    """The real sender for what is on this machine; of everything else only the reading of the address."""

    def __init__(self, receiver: str) -> None:
        self._receiver, self._sender = receiver, HttpWebhookSender(allow_private=True)

    def send(self, url: str, *, headers: dict[str, str], body: bytes, deadline_s: float) -> int:
        if url.startswith((self._receiver + "/", self._receiver + "?")) or url == self._receiver:
            return self._sender.send(url, headers=headers, body=body, deadline_s=2)
        try:
            ascii_url(url)
        except ValueError:
            return self._sender.send(url, headers=headers, body=body, deadline_s=2)
        raise ForbiddenError("its address is elsewhere")


class _Receiver:
    """A socket that answers each connection with the same bytes and hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.settimeout(1)
                    connection.recv(65536)
                    connection.sendall(self.answer)
                except OSError:
                    continue


def _damaged(rng: random.Random, answer: bytes) -> bytes:
    if rng.random() < 0.6 or not answer:
        return answer
    place = rng.randrange(len(answer))
    return answer[:place] + rng.choice((b"", b"\x00", b"\r\n", b"\xff", b":")) + answer[place + rng.randrange(3) :]


def _mixed(rng: random.Random, url: str) -> str:
    place = rng.randrange(len(url) + 1)
    return url[:place] + rng.choice(("", ".", "\u200b", "\u0130", "@", ":", "%", "[", "\ud800", "\u2024")) + url[place:]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
