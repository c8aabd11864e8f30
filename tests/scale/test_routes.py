"""No route and no tool costs more calls, rows or bytes because there are more memories."""

from __future__ import annotations

import pytest

from forgetless.api.app import all_routes
from forgetless.api.mcp.tools import TOOLS
from tests.scale.comparing import REQUEST_MOST, cases_of, compare
from tests.scale.route_cases import ROUTE_CASES
from tests.scale.stage import Ask, Stage, ToolAsk
from tests.scale.tool_cases import TOOL_CASES
from tests.scale.work import Work

pytestmark = [pytest.mark.timeout(900)]


def test_every_route_and_every_tool_has_a_case() -> None:
    routes = sorted(f"{route.method} {route.path}" for route in all_routes())
    assert sorted(ROUTE_CASES) == routes, "say in tests/scale/route_cases.py what is asked of each route"
    assert sorted(TOOL_CASES) == sorted(TOOLS), "say in tests/scale/tool_cases.py what is asked of each tool"


@pytest.mark.parametrize(("route", "case"), cases_of(ROUTE_CASES))
def test_a_route_costs_the_same_in_a_larger_ledger(stages: tuple[Stage, Stage], route: str, case: Ask) -> None:
    def measure(stage: Stage, most: Work) -> Work:
        work, answer = stage.ask(route.partition(" ")[0], case, most)
        assert stage.meter.exceeded or answer.status_code in case.statuses, answer.text[:500]
        return work

    compare(stages, measure, REQUEST_MOST, counts=case.counts)


@pytest.mark.parametrize(("tool", "case"), cases_of(TOOL_CASES))
def test_a_tool_costs_the_same_in_a_larger_ledger(stages: tuple[Stage, Stage], tool: str, case: ToolAsk) -> None:
    def measure(stage: Stage, most: Work) -> Work:
        work, answer = stage.call(tool, case, most)
        assert stage.meter.exceeded or not answer.is_error, answer.content
        return work

    compare(stages, measure, REQUEST_MOST)
