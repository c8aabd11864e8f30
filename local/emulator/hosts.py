"""Refuses requests whose `Host` header names another machine: a web page can point its own name at this one."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

import orjson

from local.emulator.asgi import Application, Receive, Scope, Send

__all__ = ["ANY", "Hosts", "LocalOnly", "TokenOnly"]

#: Stands for any name.
ANY = "*"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::([0-9]{1,5}))?")
#: The header in which AWS' SDKs send the session token of their credentials.
_TOKEN = b"x-amz-security-token"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The names of this machine: loopback addresses, localhost, the address listened on, and `names`.

    With a `port`, only this one.
    """

    bound: str
    names: Collection[str] = ()
    port: int | None = None

    def allow(self, header: str) -> bool:
        """Whether a request with this `Host` header is meant for this machine."""
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name, port = found[1].strip("[]").rstrip(".").lower(), int(found[2] or 80)
        if self.port is not None and port != self.port:
            return False
        return ANY in self.names or name == "localhost" or name in {*self.names, self.bound} or self._literal(name)

    def _literal(self, name: str) -> bool:
        """An address cannot be pointed elsewhere, so where all addresses are listened on, all of them are allowed."""
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or self.bound in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


class LocalOnly:
    """Answers 421 to requests for other machines, and passes the others on."""

    def __init__(self, app: Application, hosts: Hosts, *, remedy: str = "") -> None:
        self._app, self._hosts, self._remedy = app, hosts, remedy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and not self._allowed(scope):
            await _refuse(send, 421, f"The Host header names another machine.{self._remedy}")
            return
        await self._app(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(given) == 1 and self._hosts.allow(given[0])


class TokenOnly:
    """Answers 403 to requests without the token, which AWS' SDKs send as the session token; `open_path` needs none."""

    def __init__(self, app: Application, token: str, *, open_path: str) -> None:
        self._app, self._token, self._open_path = app, token.encode(), open_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        open_ = scope.get("method") == "GET" and scope.get("path") == self._open_path
        if scope["type"] == "http" and not open_:
            given = dict(scope["headers"]).get(_TOKEN, b"")
            if not hmac.compare_digest(given, self._token):
                await _refuse(send, 403, "The session token of the credentials (AWS_SESSION_TOKEN) is not the queue's.")
                return
        await self._app(scope, receive, send)


async def _refuse(send: Send, status: int, message: str) -> None:
    body = orjson.dumps({"__type": "AccessDenied", "message": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
