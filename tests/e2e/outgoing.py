"""A program that adds and searches, and prints every address to which a socket of this process connected."""

from __future__ import annotations

import sys
from typing import Any

from forgetless.domain.scope import Scope
from forgetless.runtime.composition import services
from forgetless.service.requests import AddRequest, IncomingMessage, SearchRequest

reached: set[str] = set()


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        reached.add(f"{arguments[1][0]}:{arguments[1][1]}")
    if event == "socket.getaddrinfo" and arguments[0] not in {"127.0.0.1", "localhost"}:
        reached.add(f"{arguments[0]}:{arguments[1]}")


sys.addaudithook(_note)
scope = Scope("outgoing", user_id="u")
for infer in (False, True):
    services().add.add(AddRequest(scope, (IncomingMessage("user", "I live in Porto."),), infer=infer))
services().search.search(SearchRequest("outgoing", "Where?", ids={"user_id": "u"}))
print(*sorted(reached))
