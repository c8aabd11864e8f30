"""The fuzzer: some cases of each target, and whether it finds what is broken on purpose."""

from __future__ import annotations

import random

import pytest

from forgetless.api.caller import Caller
from forgetless.api.platform.routes import lists
from forgetless.domain.filters.ast import And
from tests.fuzz.random_json import mutated
from tests.fuzz.run import TARGETS, fuzz, report
from tests.fuzz.targets import FaultFoundError


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) for name in TARGETS])
def test_every_target_takes_random_input(name: str) -> None:
    ended = fuzz(name, 1, lambda number: number < 60)
    assert ended.total() == 60
    assert len(ended) > 1, "all cases ended in the same way, so they try little"
    assert report(name, ended).startswith(name)


def test_a_seed_repeats_its_cases() -> None:
    assert fuzz("filters", 3, lambda number: number < 20) == fuzz("filters", 3, lambda number: number < 20)
    body = {"messages": [{"role": "user", "content": "tea"}], "user_id": "alice"}
    changed = [mutated(random.Random(number), body) for number in range(50)]
    assert changed == [mutated(random.Random(number), body) for number in range(50)]
    assert len({repr(one) for one in changed}) > 40


def test_a_key_that_sees_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Caller, "services", property(lambda caller: caller.build_services()))
    with pytest.raises(FaultFoundError, match=r"filters, seed 4, case \d+: leaked"):
        fuzz("filters", 4, lambda number: number < 500)


def test_a_filter_that_is_not_applied_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "scope_of", lambda *_arguments, **_options: And())
    with pytest.raises(FaultFoundError, match=r"expected \d+, got \d+"):
        fuzz("filters", 5, lambda number: number < 500)


def test_an_exception_in_a_route_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("forgetless.service.reading.search.SearchService.search", fail)
    with pytest.raises(FaultFoundError, match="500"):
        fuzz("requests", 6, lambda number: number < 2000)
