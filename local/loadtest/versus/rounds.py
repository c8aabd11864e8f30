"""Alternating rounds: each contestant gets the same requests for the same time, one after the other, several times."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import psutil

from local.bench.load import LoadResult, Plan, measure, request_text
from local.client import Connection

__all__ = ["Contestant", "Round", "Standing", "play", "standings", "usage"]


#: Not counted: before the first round of so many clients, for functions start environments for them; and each round.
FIRST_WARM_UP_S = 6.0
WARM_UP_S = 0.5
#: Requests that a client may send before it starts again with the first: more than a round has time for.
PORTION = 2000


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who is measured: where it answers and which processes work for it."""

    name: str
    connection: Connection
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """What one contestant did in one round."""

    contestant: str
    what: str
    clients: int
    result: LoadResult
    #: CPU seconds of its processes during the round, and their bytes (PSS) at its end.
    cpu_s: float
    memory: int

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU for one request."""
        return self.cpu_s * 1000 / max(self.result.requests, 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """A contestant's medians for one kind of load, and those of its ratios to the first one in the same round."""

    contestant: str
    what: str
    clients: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    memory: int
    errors: int
    ratios: dict[str, float]


def usage(pids: Sequence[int]) -> tuple[float, int]:
    """CPU seconds so far, and bytes, of these processes and all below them."""
    seconds, size = 0.0, 0
    processes: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            top = psutil.Process(pid)
            processes |= {one.pid: one for one in (top, *top.children(recursive=True))}
        except psutil.Error:
            continue
    for one in processes.values():
        try:
            times, full = one.cpu_times(), one.memory_full_info()
        except psutil.Error:
            continue
        seconds += times.user + times.system
        size += getattr(full, "pss", 0) or full.rss
    return seconds, size


def play(
    contestants: Sequence[Contestant],
    loads: Mapping[str, Iterator[Mapping[str, object]]],
    *,
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    progress: Callable[[Round], None],
    warm_up_s: float = FIRST_WARM_UP_S,
) -> list[Round]:
    """Measure each kind of load at each number of clients; the order turns round, so that none is always first.

    Loads are bodies without end: each measurement takes its own, so that nothing kept of an earlier one helps.
    """
    played = []
    for what, bodies in loads.items():
        for count in clients:
            for one in contestants:
                measure(_plan(one, what, bodies, count, warm_up_s))
            for number in range(rounds):
                order = contestants if number % 2 == 0 else list(reversed(contestants))
                for one in order:
                    played.append(_round(one, what, bodies, count, seconds))
                    progress(played[-1])
    return played


def standings(rounds: Sequence[Round], names: Sequence[str]) -> list[Standing]:
    """One line for each kind of load, number of clients and contestant; the first name is what ratios are to."""
    kinds = dict.fromkeys((one.what, one.clients) for one in rounds)
    found = []
    for what, clients in kinds:
        first = _of(rounds, names[0], what, clients)
        for name in names:
            own = _of(rounds, name, what, clients)
            if own:
                found.append(_standing(own, first))
    return found


def _round(one: Contestant, what: str, bodies: Iterator[Mapping[str, object]], clients: int, seconds: float) -> Round:
    measure(_plan(one, what, bodies, clients, WARM_UP_S))
    before, _ = usage(one.pids)
    result = measure(_plan(one, what, bodies, clients, seconds))
    after, size = usage(one.pids)
    return Round(one.name, what, clients, result, after - before, size)


def _plan(one: Contestant, what: str, bodies: Iterator[Mapping[str, object]], clients: int, seconds: float) -> Plan:
    url, key = one.connection.url, one.connection.key
    path = "/search" if what == "search" else "/memories"
    requests = tuple(request_text(url, "POST", path, key, body) for body in islice(bodies, PORTION))
    return Plan(url, requests, clients, seconds, 0.0)


def _of(rounds: Sequence[Round], name: str, what: str, clients: int) -> list[Round]:
    return [one for one in rounds if (one.contestant, one.what, one.clients) == (name, what, clients)]


def _standing(own: Sequence[Round], first: Sequence[Round]) -> Standing:
    def ratio(value: Callable[[Round], float]) -> float:
        """Of rounds that were played next to each other: what else the machine did was the same."""
        pairs = [(value(mine), value(theirs)) for mine, theirs in zip(own, first, strict=True)]
        return statistics.median([mine / theirs if theirs else 0.0 for mine, theirs in pairs])

    return Standing(
        contestant=own[0].contestant,
        what=own[0].what,
        clients=own[0].clients,
        per_second=statistics.median(one.result.per_second for one in own),
        p50_ms=statistics.median(one.result.p50_ms for one in own),
        p99_ms=statistics.median(one.result.p99_ms for one in own),
        cpu_ms=statistics.median(one.cpu_ms for one in own),
        memory=max(one.memory for one in own),
        errors=sum(one.result.errors for one in own),
        ratios={
            "req/s": ratio(lambda one: one.result.per_second),
            "P99": ratio(lambda one: one.result.p99_ms),
            "CPU": ratio(lambda one: one.cpu_ms),
            "memory": ratio(lambda one: float(one.memory)),
        },
    )
