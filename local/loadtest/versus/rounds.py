"""Runs alternating rounds: each contestant gets the same requests for the same time, in turn, several times."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import psutil

from local.bench.load import LoadResult, Plan, measure, request_text
from local.client import Connection

__all__ = ["Contestant", "Round", "Standing", "run_rounds", "standings", "usage"]


#: Seconds of warm-up before the first round with a number of clients, as often as functions start environments for them
#: meanwhile, and before each later round.
FIRST_WARM_UP_S = 6.0
MOST_WARM_UPS = 4
WARM_UP_S = 0.5
#: The number of different requests; more than a round has time for.
PORTION = 2000


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that is measured: its address and its processes."""

    name: str
    connection: Connection
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one contestant in one round."""

    contestant: str
    what: str
    clients: int
    result: LoadResult
    #: The CPU seconds of its processes during the round, and their bytes (PSS) at its end.
    cpu_s: float
    memory: int

    @property
    def cpu_ms(self) -> float:
        """Return the milliseconds of CPU for one request."""
        return self.cpu_s * 1000 / max(self.result.requests, 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """A contestant's medians for one kind of load, and the medians of its ratios to the first one in the same round."""

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
    """Return the CPU seconds and bytes of these processes and their descendants."""
    seconds, size = 0.0, 0
    for one in _processes(pids).values():
        try:
            times, full = one.cpu_times(), one.memory_full_info()
        except psutil.Error:
            continue
        seconds += times.user + times.system
        size += getattr(full, "pss", 0) or full.rss
    return seconds, size


def _processes(pids: Sequence[int]) -> dict[int, psutil.Process]:
    """Return these processes and their descendants by their ids."""
    processes: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            top = psutil.Process(pid)
            processes |= {one.pid: one for one in (top, *top.children(recursive=True))}
        except psutil.Error:
            continue
    return processes


def run_rounds(
    contestants: Sequence[Contestant],
    loads: Mapping[str, Iterator[Mapping[str, object]]],
    *,
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    progress: Callable[[Round], None],
    warm_up_s: float = FIRST_WARM_UP_S,
) -> list[Round]:
    """Measure each kind of load at each number of clients; the order alternates, so that none is always first.

    Loads are endless bodies: each measurement takes new ones, so that no cache of an earlier one helps.
    """
    played = []
    for what, bodies in loads.items():
        for count in clients:
            for one in contestants:
                _warm_up(one, what, bodies, count, warm_up_s)
            for number in range(rounds):
                order = contestants if number % 2 == 0 else list(reversed(contestants))
                for one in order:
                    played.append(_round(one, what, bodies, count, seconds))
                    progress(played[-1])
    return played


def standings(rounds: Sequence[Round], names: Sequence[str]) -> list[Standing]:
    """Return a line for each kind of load, number of clients and contestant; ratios are to the first name."""
    kinds = dict.fromkeys((one.what, one.clients) for one in rounds)
    found = []
    for what, clients in kinds:
        first = _of(rounds, names[0], what, clients)
        for name in names:
            own = _of(rounds, name, what, clients)
            if own:
                found.append(_standing(own, first))
    return found


def _warm_up(one: Contestant, what: str, bodies: Iterator[Mapping[str, object]], clients: int, seconds: float) -> None:
    """Send requests until no process starts any more: its start would be measured as CPU of requests."""
    for _ in range(MOST_WARM_UPS):
        before = _processes(one.pids).keys()
        measure(_plan(one, what, bodies, clients, seconds))
        if not _processes(one.pids).keys() - before:
            return


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
        """Return the median ratio of neighbouring rounds, which ran under the same conditions."""
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
