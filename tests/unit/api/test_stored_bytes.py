"""No request holds much more than a portion of what is stored, however much memory that takes when it is read."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.api import history_answer
from forgetless.api.history_answer import NEXT_VERSION_HEADER
from tests.unit.api.client import Api
from tests.unit.heavy import MB, heavy_history, peak_of

#: Together, what these memories or versions store is 120 MB of Python objects.
MANY = 70
#: What a request may take: three portions, and its answer.
MOST = 60 * MB


@pytest.fixture
def changed(api: Api) -> str:
    """A memory with a heavy history."""
    events = heavy_history(MANY)
    api.world.ledger.append(events)
    return events[0].memory.id


HISTORIES = ["/memories/{}/history", "/v1/memories/{}/history/"]


@pytest.mark.parametrize("path", HISTORIES)
def test_a_history_is_read_in_portions(api: Api, changed: str, path: str) -> None:
    versions, start = list[int](), 1
    while start:
        given = {"from_version": start}
        answer, peak = peak_of(lambda: api.get(path.format(changed), params=given))  # noqa: B023 - it is called here
        assert peak < MOST, f"{peak / MB:.0f} MB"
        versions += [item["version"] for item in answer.json()]
        start = int(answer.headers.get(NEXT_VERSION_HEADER, 0))
    assert versions == list(range(1, MANY + 1))


@pytest.mark.parametrize("path", HISTORIES)
def test_a_history_goes_on_in_the_next_request_after_so_many_portions(
    api: Api, changed: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_answer, "_MOST_PORTIONS", 2)
    found: list[dict[str, Any]] = []
    start, answers = 1, 0
    while start:
        answer = api.get(path.format(changed), params={"from_version": start})
        shown = answer.json()
        found += shown
        start, answers = int(answer.headers.get(NEXT_VERSION_HEADER, 0)), answers + 1
        if start:
            assert answer.headers["X-Forgetless-Truncated"] == f"{len(shown)} of {len(shown) + MANY - len(found)}"
    assert answers > 1
    assert [item["version"] for item in found] == list(range(1, MANY + 1))
    assert [item["old_memory"] for item in found[1:]] == [item["new_memory"] for item in found[:-1]]
    assert api.get(path.format(changed), params={"from_version": MANY + 9}).json() == []
