"""Whom the request of a schema export names."""

from __future__ import annotations

from typing import Any

import pytest

from forgetless.domain.erasures import Target
from forgetless.domain.schema_exports import is_about, scopes_named
from forgetless.domain.scope import Scope

RUN = Target({"run_id": "2026"})


@pytest.mark.parametrize(
    "filters",
    [
        {"run_id": "2026"},
        {"run_id": 2026},
        {"run_id": {"ne": " 2026 "}},
        {"OR": [{"user_id": "bob"}, {"NOT": {"AND": [{"run_id": {"in": ["x", 2026.0]}}]}}]},
        # Metadata of a client may say it of the run, in whatever words.
        {"AND": [{"metadata": {"run_id": "2026"}}]},
    ],
)
def test_an_id_is_found_in_its_field_however_deep_and_however_it_is_written(filters: dict[str, Any]) -> None:
    assert is_about([Target({"user_id": "zoe"}), RUN], filters)
    assert not is_about([Target({"user_id": "2026"}), Target({"run_id": "202"})], filters)


@pytest.mark.parametrize(
    "filters",
    [
        {"user_id": "2026"},
        {"AND": [{"user_id": "bob"}, {"metadata": {"year": "2026"}}]},
        {"AND": [{"user_id": "bob"}, {"metadata": {"customer_id": 2026}}]},
        {"AND": [{"user_id": "bob"}, {"keywords": "2026"}]},
        {"AND": [{"user_id": "bob"}, {"memory_ids": ["2026"]}]},
    ],
)
def test_the_same_word_in_another_field_is_not_the_id(filters: dict[str, Any]) -> None:
    assert not is_about([RUN], filters)


@pytest.mark.parametrize("filters", [{"runs": [{"of": " 2026 "}]}, {"year": 2026}, [{"2026": 1}], "2026"])
def test_filters_that_cannot_be_read_name_whatever_stands_in_them(filters: Any) -> None:
    assert is_about([RUN], filters)
    assert not is_about([Target({"run_id": "2027"})], filters)


def test_any_value_of_an_id_and_a_whole_tenant() -> None:
    assert is_about([Target(names=("run_id",))], {"run_id": "x"})
    assert is_about([Target(names=("run_id",))], {"run_id": "*"})
    assert not is_about([Target(names=("run_id",))], {"user_id": "x"})
    assert is_about([Target()], {"user_id": "x"})
    assert is_about([Target()], None)
    assert not is_about([RUN], None)


def test_a_restore_tries_the_scopes_that_the_filters_may_mean() -> None:
    found = list(scopes_named({"AND": [{"user_id": 7}, {"metadata": {"customer_id": "9"}}]}, "acme"))
    assert found == [Scope("acme"), Scope("acme", user_id="7")]
