"""No route of either dialect costs more calls, rows or bytes because there are more memories."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.api.app import all_routes
from tests.scale.known_to_grow import KNOWN_TO_GROW
from tests.scale.route_cases import ROUTE_CASES
from tests.scale.stage import Ask, Stage
from tests.scale.work import allowed, growth

pytestmark = pytest.mark.xdist_group("scale")

NAMES = [f"{route.method} {route.path}" for route in all_routes()]


def name_of(route: str, case: Ask) -> str:
    return f"{route} ({case.name})" if case.name else route


def cases() -> list[Any]:
    return [
        pytest.param(route, case, id=name_of(route, case), marks=marks(name_of(route, case)))
        for route, some in ROUTE_CASES.items()
        for case in some
    ]


def marks(name: str) -> list[pytest.MarkDecorator]:
    """A case that is known to grow must fail."""
    return [pytest.mark.xfail(reason=KNOWN_TO_GROW[name], strict=True)] if name in KNOWN_TO_GROW else []


def test_every_route_has_a_case() -> None:
    assert sorted(ROUTE_CASES) == sorted(NAMES), "say in tests/scale/route_cases.py what is asked of each route"


@pytest.mark.parametrize(("route", "case"), cases())
def test_a_route_costs_the_same_in_a_larger_ledger(stages: tuple[Stage, Stage], route: str, case: Ask) -> None:
    small, large = stages
    method = route.partition(" ")[0]
    work, answer = small.ask(method, case)
    assert answer.status_code in case.statuses, answer.text[:500]
    more, answer = large.ask(method, case, most=allowed(work))
    grown = growth(work, more)
    assert not grown, "\n".join([f"{name_of(route, case)} grows with the ledger:", *grown])
    assert answer.status_code in case.statuses, answer.text[:500]
