"""true is no number, and 2.5 no whole number: each dialect says what the field wants instead."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from forgetless.api.mcp import wire as mcp
from forgetless.api.platform import wire as platform
from forgetless.api.selfhosted import wire as selfhosted
from forgetless.domain.errors import InvalidRequestError
from tests.unit.api.client import Api
from tests.unit.api.mcp_calls import call_tool

ALICE = {"user_id": "alice"}
MODELS = [
    model
    for module in (mcp, platform, selfhosted)
    for _, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, BaseModel) and model.__module__ == module.__name__
]


def numeric() -> Iterator[tuple[type[BaseModel], str]]:
    """The fields of numbers alone, of every request."""
    for model in MODELS:
        for name in model.model_fields:
            if "valid number" in refused(model, name, {}) or "valid integer" in refused(model, name, {}):
                yield model, name


def refused(model: type[BaseModel], name: str, value: Any) -> str:
    """What is said of one value; empty if it is taken."""
    try:
        model.__pydantic_validator__.validate_assignment(model.model_construct(), name, value)
    except InvalidRequestError as error:
        return error.message
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return ""


def test_no_request_takes_true_for_a_number_or_cuts_a_fraction_off() -> None:
    fields = list(numeric())
    assert len(fields) > 8
    for model, name in fields:
        wanted = "a whole number" if "fraction" in refused(model, name, 2.5) else "a number"
        wanted = wanted if refused(model, name, "2026-01-31") else "a time"
        assert refused(model, name, True) == f"Input should be {wanted}, not true or false", (model, name)


@pytest.mark.parametrize("wrong", [True, 2.5])
def test_each_dialect_names_the_field(api: Api, wrong: float) -> None:
    says = "Input should be a whole number, not true or false" if wrong is True else "fractional part"
    body = {"query": "tea", "filters": ALICE, "top_k": wrong}
    own, theirs = api.post("/search", body), api.post("/v3/memories/search/", body)
    assert own.status_code == 422
    assert (own.json()["detail"][0]["loc"], says in own.text) == (["body", "top_k"], True)
    assert theirs.status_code == 400
    assert theirs.json()["detail"].startswith("top_k: ")
    assert says in theirs.text


def test_mcp_names_the_argument(new_api: Any) -> None:
    api = new_api(mcp=True)
    asked = {**ALICE, "query": "tea"}
    says = "limit: Input should be a whole number, not true or false."
    assert call_tool(api, "search_memories", {**asked, "limit": True}) == says
    says = "threshold: Input should be a number, not true or false."
    assert call_tool(api, "search_memories", {**asked, "threshold": True}) == says


def test_true_is_no_time(api: Api) -> None:
    messages = [{"role": "user", "content": "x"}]
    answer = api.post("/v3/memories/add/", {"messages": messages, **ALICE, "timestamp": True})
    assert answer.json()["detail"] == "timestamp: Input should be a time, not true or false"


@pytest.mark.parametrize("wrong", [True, 1.5])
def test_an_id_in_a_platform_filter_may_be_a_whole_number_only(api: Api, wrong: float) -> None:
    answer = api.post("/v3/memories/search/", {"query": "tea", "filters": {"user_id": wrong}})
    assert answer.json()["detail"] == "user_id must be text that is not empty, or a whole number"
