"""SQL conditions for the rows that have certain scope ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from forgetless.adapters.ledger_codec import to_blob
from forgetless.domain.errors import InvalidRequestError
from forgetless.domain.scope import NARROWEST_FIRST, SCOPE_IDS

__all__ = ["narrowest", "where"]


def where(tenant: str, ids: Mapping[str, str]) -> tuple[str, list[Any]]:
    """The condition, with its parameters, for the rows of the tenant whose scope has all `ids`."""
    conditions = ["tenant = ?"]
    params: list[Any] = [to_blob(tenant)]
    for name, value in ids.items():
        if name not in SCOPE_IDS:
            raise InvalidRequestError(f"{name}: not a scope id; use one of {', '.join(SCOPE_IDS)}")
        if value:
            conditions.append(f"{name} = ?")
            params.append(to_blob(value))
        else:
            conditions.append(f"{name} IS NULL")
    return " AND ".join(conditions), params


def narrowest(ids: Mapping[str, str]) -> str:
    """The suffix of the index with the fewest rows to check: `run`, `user` …, otherwise `tenant`."""
    return next((name.removesuffix("_id") for name in NARROWEST_FIRST if ids.get(name)), "tenant")
