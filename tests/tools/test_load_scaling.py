"""The queueing model against known results, and its tables on written figures."""

from __future__ import annotations

import math

import pytest

from local.loadtest.figures import Latency, StageFigures
from local.loadtest.scaling import (
    FULL,
    Station,
    check_table,
    demands,
    deployed,
    one_machine,
    scaling_table,
    solve,
)

NEEDS = {"gateway": 0.001, "function search": 0.006, "embedder": 0.010, "milvus": 0.004, "load generator": 0.003}


def a_stage(users: int, per_second: float, mean_ms: float) -> StageFigures:
    requests = round(per_second * 100)
    one = Latency(requests, mean_ms, mean_ms, mean_ms, mean_ms)
    cpu = {part: need * per_second * 100 for part, need in NEEDS.items()} | {"other programs": 30.0}
    return StageFigures(users, 100.0, requests, 0, one, {}, {"200": requests}, {}, {}, cpu)


def erlang(users: int, demand: float, think: float) -> float:
    """The rate of one queue with `users` who think exponentially long (the machine repairman), by its closed form."""
    ratio = demand / think
    idle = 1 / sum(math.factorial(users) / math.factorial(users - n) * ratio**n for n in range(users + 1))
    return (1 - idle) / demand


@pytest.mark.parametrize("users", [1, 5, 30])
def test_one_core_is_the_machine_repairman(users: int) -> None:
    said = solve([Station("machine", 0.1, 1)], users=users, think_s=2.0)
    assert said.per_second == pytest.approx(erlang(users, 0.1, 2.0))
    assert said.busy["machine"] == pytest.approx(said.per_second * 0.1)


def test_the_users_law_holds_and_cores_bound_the_rate() -> None:
    for users in (1, 10, 1000):
        said = solve(one_machine(NEEDS, 2), users=users, think_s=2.0)
        assert users == pytest.approx(said.per_second * (2.0 + said.response_s))
        assert said.per_second <= 2 / sum(NEEDS.values()) + 1e-9
    assert said.busy["machine"] == pytest.approx(1.0, abs=0.01)


def test_alone_a_user_waits_for_the_work_only() -> None:
    for cores in (0, 1, 4):
        said = solve([Station("machine", 0.02, cores)], users=1, think_s=1.0)
        assert said.response_s == pytest.approx(0.02)


def test_a_deployment_keeps_every_part_below_full() -> None:
    for users in (30, 3000):
        said = solve(deployed(NEEDS, users=users, think_s=2.0), users=users, think_s=2.0)
        assert set(said.cores) == {"function search", "embedder", "milvus"}
        assert said.cores["function search"] == 0
        assert all(share <= FULL + 1e-6 for share in said.busy.values())
    assert said.cores["embedder"] > said.cores["milvus"] > 1


def test_demands_are_those_of_the_fullest_stage_without_other_programs() -> None:
    assert demands([a_stage(30, 14, 30.0), a_stage(100, 45, 60.0)]) == pytest.approx(NEEDS)
    assert demands([]) == {}


def test_the_tables_have_a_row_for_each_number_of_users() -> None:
    table = check_table([a_stage(30, 14.8, 30.0)], cores=2, think_s=2.0)
    assert table.headings[:2] == ("users", "req/s")
    (row,) = table.rows
    assert row[:3] == ("30", "14.8", "14.8")
    table = scaling_table(NEEDS, think_s=2.0)
    assert table.headings[-2:] == ("cores: embedder", "cores: milvus")
    assert [row[0] for row in table.rows] == ["30", "60", "100", "300", "1,000", "3,000", "10,000"]
    assert float(table.rows[-1][1]) > 90 * float(table.rows[0][1])
