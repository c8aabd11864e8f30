"""A turnstile in front of DynamoDB: a seed draws whose request goes next, and what becomes of it.

Each process has a door of its own. A request waits there until every process that is at work has one waiting (each
does one thing at a time); then one is drawn. So what is explored is the interleaving of requests, the same one for the
same seed, however fast the machine is.
"""

from __future__ import annotations

import io
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from werkzeug.serving import make_server

from tests.dynamo_server import DynamoServer, Handler, error, respond

__all__ = ["FAULTS", "Turnstile", "serving_turnstile"]

#: Longer than any process thinks between two requests on a busy machine.
PATIENCE_S = 60.0

#: What may become of a request, with the share of each; the rest goes well.
FAULTS: Mapping[str, float] = {
    "throttled": 0.03,  # refused, nothing done
    "conflict": 0.03,  # another transaction was under way
    "stumbled": 0.02,  # an error, nothing done
    "lost": 0.04,  # done, and an error for an answer
    "cut": 0.03,  # done, and no answer at all
}


@dataclass
class Turnstile:
    """`urls` are the doors, by the number of the process; `trace` tells what went through, in order."""

    dynamo: DynamoServer
    urls: list[str] = field(default_factory=list)
    trace: list[tuple[int, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._dice = random.Random()
        self._faults: Mapping[str, float] = {}
        self._mortal: set[int] = set()
        self._dead: set[int] = set()
        self._playing: set[int] = set()
        self._waiting: set[int] = set()
        self._turn: int | None = None
        #: The number of each process's newest request; those before it were given up by their client.
        self._newest: Counter[int] = Counter()

    def begin(
        self, players: int, seed: int, *, faults: Mapping[str, float] = FAULTS, mortal: Iterable[int] = ()
    ) -> None:
        """From now on draw among so many processes; those who are `mortal` may be cut off for good."""
        with self._changed:
            self._dice = random.Random(seed)
            self._faults = faults
            self._mortal, self._dead = set(mortal), set()
            self._playing = set(range(players))
            self.trace.clear()
            self.dynamo.calls.clear()

    def left(self, number: int) -> None:
        """A process has done its work."""
        with self._changed:
            self._playing.discard(number)
            self._newest[number] += 1
            self._changed.notify_all()
            self._draw()

    def door(self, number: int) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
        """The WSGI application of a process's door."""

        def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(raw)
            with self._changed:
                if number not in self._playing:
                    return self.dynamo(environ, start_response)
                self._newest[number] += 1
                mine = self._newest[number]
                self._waiting.add(number)
                self._changed.notify_all()
                self._draw()
                drawn = self._changed.wait_for(lambda: number == self._turn or self._given_up(number, mine), PATIENCE_S)
                assert drawn, f"process {number} waited in vain with {self._waiting} of {self._playing}"
                if self._given_up(number, mine):
                    return respond(start_response, *error("InternalServerError", 500))
                self._waiting.discard(number)
                operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
                fate = self._fate(number, operation)
            try:
                return self._serve(fate, operation, environ, start_response)
            finally:
                with self._changed:
                    self._turn = None
                    self._draw()

        return serve

    def _given_up(self, number: int, request: int) -> bool:
        """Whether the client has asked again since, because its turn did not come in time on a busy machine.

        Such a request must not take the turn of the one that is waited for.
        """
        return self._newest[number] != request

    def _draw(self) -> None:
        if self._turn is None and self._playing and self._playing <= self._waiting:
            self._turn = self._dice.choice(sorted(self._playing))
            self._waiting.discard(self._turn)
            self._changed.notify_all()

    def _fate(self, number: int, operation: str) -> str:
        fate = "well"
        writes = operation not in {"BatchGetItem", "GetItem", "Query", "Scan"}
        if number in self._mortal and writes and self._dice.random() < 0.2:
            self._dead.add(number)
            fate = "dies"
        elif number in self._dead:
            fate = "dead"
        else:
            place = self._dice.random()
            for name, share in self._faults.items():
                place -= share
                if place < 0:
                    fate = name
                    break
        if fate == "conflict" and not writes:
            fate = "throttled"
        self.trace.append((number, operation, fate))
        return fate

    def _serve(self, fate: str, operation: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        match fate:
            case "throttled":
                return respond(start_response, *error("ProvisionedThroughputExceededException"))
            case "conflict" if operation != "TransactWriteItems":
                return respond(start_response, *error("TransactionConflictException"))
            case "conflict":
                reasons = [{"Code": "TransactionConflict", "Message": "another transaction"}]
                return respond(start_response, *error("TransactionCanceledException", CancellationReasons=reasons))
            case "stumbled":
                return respond(start_response, *error("InternalServerError", 500))
            case "dead":
                return respond(start_response, *error("AccessDeniedException"))
            case "well":
                return self.dynamo(environ, start_response)
        b"".join(self.dynamo(environ, lambda *_: None))
        if fate == "cut":
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError
        if fate == "dies":
            return respond(start_response, *error("AccessDeniedException"))
        return respond(start_response, *error("InternalServerError", 500))


@contextmanager
def serving_turnstile(dynamo: DynamoServer, doors: int) -> Iterator[Turnstile]:
    """A turnstile with so many doors in front of DynamoDB."""
    turnstile = Turnstile(dynamo)
    with ExitStack() as stack:
        for number in range(doors):
            server = make_server("127.0.0.1", 0, turnstile.door(number), threaded=True, request_handler=Handler)
            turnstile.urls.append(f"http://127.0.0.1:{server.server_port}")
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            stack.callback(server.server_close)
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield turnstile
