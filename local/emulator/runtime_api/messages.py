"""What the Runtime API takes and gives, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Too Large"}


@dataclass(frozen=True, slots=True)
class Request:
    """One call; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, always of JSON."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the bytes of the answer."""
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, '')}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n{extra}\r\n"
        )
        return head.encode("latin-1", "replace") + self.body


#: The answer to whatever the platform took.
ACCEPTED = Reply(202, b'{"status":"OK"}\n')


def error_reply(status: int, kind: str, text: str) -> Reply:
    """Return a refusal as the Runtime API forms it."""
    return Reply(status, orjson.dumps({"errorMessage": text, "errorType": kind}))
