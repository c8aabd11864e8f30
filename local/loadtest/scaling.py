"""Predicts other numbers of users from a measured run, with a queueing model of the parts.

The model is a closed network: users think, then wait for one request at a time. It is solved by mean value analysis
(Reiser and Lavenberg, 1980), stations of several cores after Seidmann's approximation: of m cores with demand D, one
queue with D/m and a delay of D(m - 1)/m. It includes CPU time
only, not waiting for locks, disks or networks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from local.loadtest.figures import StageFigures
from local.loadtest.monitor import LOAD_GENERATOR, OTHERS
from local.results.report import Table

__all__ = [
    "Prediction",
    "Station",
    "check_table",
    "demands",
    "deployed",
    "one_machine",
    "scaling_table",
    "solve",
]

#: The highest share of a part's cores that should be busy; beyond it, requests wait long for each other.
FULL = 0.7
#: The prefix of the parts that scale out on Lambda: each request has an environment of its own.
_FUNCTION = "function "
#: The parts that are not ours when the service is deployed: the clients, and the gateway, which AWS runs.
_NOT_OURS = (LOAD_GENERATOR, "gateway")
USERS = (30, 60, 100, 300, 1_000, 3_000, 10_000)


@dataclass(frozen=True, slots=True)
class Station:
    """A part: the seconds of CPU that a request needs of it, and its cores; with 0 cores, requests never wait."""

    name: str
    demand_s: float
    cores: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for a number of users: requests a second, mean seconds, and busy share of each part's cores."""

    users: int
    per_second: float
    response_s: float
    busy: Mapping[str, float]
    cores: Mapping[str, int]


def solve(stations: Sequence[Station], *, users: int, think_s: float) -> Prediction:
    """Solve the closed network by mean value analysis; it is exact for one core each, see above for several."""
    delay = sum(station.demand_s * _delayed(station) for station in stations)
    queues = {station.name: station.demand_s / station.cores for station in stations if station.cores}
    waiting = dict.fromkeys(queues, 0.0)
    rate, response = 0.0, delay
    for present in range(1, users + 1):
        times = {name: demand * (1 + waiting[name]) for name, demand in queues.items()}
        response = delay + sum(times.values())
        rate = present / (think_s + response)
        waiting = {name: rate * time for name, time in times.items()}
    busy = {name: rate * demand for name, demand in queues.items()}
    return Prediction(users, rate, response, busy, {station.name: station.cores for station in stations})


def _delayed(station: Station) -> float:
    return (station.cores - 1) / station.cores if station.cores else 1.0


def demands(stages: Sequence[StageFigures]) -> dict[str, float]:
    """Return each part's seconds of CPU for one request, from the stage with the most requests; empty without any."""
    fullest = max(stages, key=lambda stage: stage.requests, default=None)
    if fullest is None:
        return {}
    return {part: ms / 1000 for part, ms in fullest.cpu_ms.items() if part != OTHERS}


def one_machine(needs: Mapping[str, float], cores: int) -> list[Station]:
    """Return a model in which all parts and the load generator share the same cores."""
    return [Station("machine", sum(needs.values()), cores)]


def deployed(needs: Mapping[str, float], *, users: int, think_s: float) -> list[Station]:
    """Return a model in which functions scale out, and every other part has the fewest cores that stay below FULL."""
    ours = {part: need for part, need in needs.items() if part not in _NOT_OURS}
    most = users / (think_s + sum(ours.values()))
    return [
        Station(part, need, 0 if _scales_out(part) else max(1, math.ceil(most * need / FULL)))
        for part, need in ours.items()
    ]


def _scales_out(part: str) -> bool:
    return part.startswith(_FUNCTION)


def check_table(stages: Sequence[StageFigures], *, cores: int, think_s: float) -> Table:
    """Return users, requests a second and mean milliseconds, each measured and predicted for this machine."""
    stations = one_machine(demands(stages), cores)
    rows = []
    for stage in stages:
        said = solve(stations, users=stage.users, think_s=think_s)
        rates = (f"{stage.per_second:.1f}", f"{said.per_second:.1f}")
        means = (f"{stage.latency.mean:.0f}", f"{said.response_s * 1000:.0f}")
        rows.append((f"{stage.users}", *rates, *means))
    return Table(("users", "req/s", "predicted", "mean ms", "predicted"), tuple(rows), left=())


def scaling_table(needs: Mapping[str, float], *, think_s: float) -> Table:
    """Return users, requests a second, mean milliseconds, environments in use, and the cores of all other parts."""
    parts = [part for part in needs if part not in _NOT_OURS and not _scales_out(part)]
    rows = []
    for users in USERS:
        said = solve(deployed(needs, users=users, think_s=think_s), users=users, think_s=think_s)
        # Little's law: an environment is busy while its request is, whatever the request waits for.
        environments = math.ceil(said.per_second * said.response_s)
        figures = (f"{users:,}", f"{said.per_second:.0f}", f"{said.response_s * 1000:.0f}", f"{environments:,}")
        rows.append((*figures, *(str(said.cores[part]) for part in parts)))
    headings = ("users", "req/s", "mean ms", "environments", *(f"cores: {part}" for part in parts))
    return Table(headings, tuple(rows), left=())
