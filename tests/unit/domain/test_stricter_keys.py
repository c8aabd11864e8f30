"""Two states of one key: what holds is what allows less."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forgetless.domain.keys import ApiKey, Role
from forgetless.domain.stricter_keys import stricter
from tests.contract.ledger.making import at

KEY = ApiKey("hash", "acme", Role.WRITE, at(0))
LESS = [
    replace(KEY, revoked=True),
    replace(KEY, expires_at=at(5)),
    replace(KEY, replaced_until=at(5)),
    replace(KEY, role=Role.READ),
    replace(KEY, users=("alice",), agents=("*",), apps=("*",)),
]


@pytest.mark.parametrize("less", LESS)
def test_what_allows_less_holds_in_either_order(less: ApiKey) -> None:
    assert stricter(KEY, [less]) == stricter(less, [KEY]) == less


def test_the_first_end_holds() -> None:
    assert stricter(replace(KEY, expires_at=at(9)), [replace(KEY, expires_at=at(5))]).expires_at == at(5)


def test_limits_of_a_later_version_do_not_go() -> None:
    unknown = replace(KEY, agents=("bot",))
    assert stricter(unknown, [KEY]) == unknown
