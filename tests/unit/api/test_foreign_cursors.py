"""Cursors that no answer gave are refused by every list, whatever is in them."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest

from tests.unit.api.client import Api

_AT = "2026-01-01T00:00:00.000000+00:00"
#: Keys of rows of which one cannot be: a number that no column holds, a time that is none, and other forms.
_KEYS = {
    "a large number": [_AT, 10**30, "id"],
    "a fraction": [_AT, 1.5, "id"],
    "no time": ["2026", 1, "id"],
    "half a surrogate as a time": ["\ud800", 1, "id"],
    "no time of a job": ["2026", "id"],
    "an unknown kind": ["planet", "id"],
    "too few": [],
    "no list": {"a": 1},
}
_CURSORS = {
    **{name: urlsafe_b64encode(json.dumps(keys).encode("ascii")).decode() for name, keys in _KEYS.items()},
    "deep": urlsafe_b64encode(b"[" * 3000).decode(),
    "no JSON": urlsafe_b64encode(b"\xff\x00").decode(),
    "no base64": "é",
}
_LISTS = (
    "/memories?user_id=alice",
    "/entities?",
    "/audit?",
    "/api-keys?",
    "/v1/memories/?user_id=alice",
    "/v1/entities/?",
    "/v1/events/?",
    "/export?",
)


@pytest.mark.parametrize("cursor", _CURSORS.values(), ids=_CURSORS.keys())
def test_a_list_refuses_it(api: Api, cursor: str) -> None:
    api.say("one", "two")
    for address in _LISTS:
        for form in (cursor, f"events.{cursor}", f"jobs.{cursor}") if address == "/export?" else (cursor,):
            answer = api.get(f"{address}&cursor={form}")
            assert (answer.status_code, "cursor" in answer.text) == (400, True), (address, answer.text)
    for query, body in ((f"?cursor={cursor}", {}), ("", {"cursor": cursor})):
        answer = api.post(f"/v3/memories/{query}", {"filters": {"user_id": "alice"}, **body})
        assert (answer.status_code, "cursor" in answer.text) == (400, True), answer.text
