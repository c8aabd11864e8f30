"""Sends the requests of a client, and decides whether each was done, was refused, or is unknown."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.histories.history import Outcome

__all__ = ["Answer", "Requester"]

#: Seconds to wait for an answer; then the outcome is unknown, and the client goes on.
TIMEOUT_S = 6.0
#: Seconds between tries at a server that does not listen; repeats with an Idempotency-Key come a little later.
_PAUSE_S = 0.15
_MOST_REPEATS = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is 0 without an answer; `started` is when the request was sent that had the effect, if one had."""

    outcome: Outcome
    status: int
    body: Any
    started: float
    headers: Mapping[str, str]

    @property
    def error(self) -> str:
        """Return the error text of the answer."""
        detail = self.body.get("detail", "") if isinstance(self.body, dict) else ""
        return str(detail or self.body or "no answer")[:300]


class Requester:
    """The connections of one client, for one thread. `going_on` becomes false when the load ends."""

    def __init__(
        self,
        urls: Sequence[str],
        key: str,
        *,
        chance: random.Random,
        going_on: Callable[[], bool] = lambda: True,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._urls = list(urls)
        self._chance = chance
        self._going_on = going_on
        self._client = httpx.Client(headers={"X-API-Key": key}, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = False,
        partly: bool = False,
    ) -> Answer | None:
        """Send a request to one of the servers; with `repeat`, repeat it while the outcome is unknown.

        `partly` means that a conflict may have stopped it halfway, or that another process does its job. The result is
        None when no server listened until the load ended, so that nothing was sent.
        """
        first: float | None = None
        answer = None
        for _ in range(_MOST_REPEATS if repeat else 1):
            answer = self._once(method, path, body, query, headers)
            if answer is None:
                break
            conflict = answer.status == httpx.codes.CONFLICT and (partly or first is not None)
            first = answer.started if first is None else first
            if answer.outcome is not Outcome.UNKNOWN and not conflict:
                break
            time.sleep(self._chance.uniform(_PAUSE_S, 4 * _PAUSE_S))
        if first is None:
            return None
        if answer is None:
            return Answer(Outcome.UNKNOWN, 0, None, first, {})
        return _after_repeats(answer, first, partly=partly)

    def _once(
        self, method: str, path: str, body: Any, query: Mapping[str, Any] | None, headers: Mapping[str, str] | None
    ) -> Answer | None:
        while True:
            url = self._chance.choice(self._urls) + path
            started = time.monotonic()
            try:
                reply = self._client.request(method, url, json=body, params=query, headers=headers)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent, so this is not an operation: it is sent again, perhaps to another server.
                if not self._going_on():
                    return None
                time.sleep(_PAUSE_S)
                continue
            except httpx.TransportError:
                return Answer(Outcome.UNKNOWN, 0, None, started, {})
            return Answer(_outcome(reply.status_code), reply.status_code, _body(reply), started, reply.headers)


def _after_repeats(answer: Answer, first: float, *, partly: bool) -> Answer:
    halfway = partly and answer.status == httpx.codes.CONFLICT
    if answer.outcome is not Outcome.FAILED or (answer.started == first and not halfway):
        return Answer(answer.outcome, answer.status, answer.body, first, answer.headers)
    # Refused now, as after an effect of the first try: a memory that we have deleted ourselves is not there.
    return Answer(Outcome.UNKNOWN, 0, answer.body, first, answer.headers)


def _outcome(status: int) -> Outcome:
    if status < 300:
        return Outcome.OK
    return Outcome.UNKNOWN if status >= 500 else Outcome.FAILED


def _body(reply: httpx.Response) -> Any:
    if "ndjson" in reply.headers.get("content-type", ""):
        return reply.content
    try:
        return reply.json()
    except ValueError:
        return reply.text
